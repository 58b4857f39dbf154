//! A two-dimensional mixture drawn by every method: one small chart each.

use crate::counted::Counted;
use crate::methods::{self, OnGrid};
use crate::{State, path};
use anyhow::Result;
use tweedie_closed_form::{ExactScore, Mixture, Part};
use tweedie_plots::{Axis, Chart, Colour, Density, Dots, Line, Picture, Style};
use tweedie_samplers::{ProbabilityFlow, RungeKutta};
use tweedie_schedules::{NoiseSchedule, Prediction, TimeGrid, VpLinear};
use tweedie_score::{NoiseSource, Seeded};

/// Half the side of a chart, in units of the data.
const REACH: f64 = 2.4;

/// States drawn by each method.
const DRAWN: usize = 250;

/// Paths shown, which start from a ring: of deterministic methods and of stochastic ones.
const PATHS: (usize, usize) = (9, 2);

/// Network evaluations of the deterministic methods and of the stochastic ones, about.
const EVALUATIONS: (usize, usize) = (18, 60);

/// The deterministic methods.
pub(crate) fn deterministic() -> Result<Picture> {
    let schedule = VpLinear::new(0.1, 20.0)?;
    let scene = Scene::new(&schedule)?;
    let mut charts = Vec::new();
    for method in methods::deterministic(&schedule)? {
        charts.push(scene.chart(&method, EVALUATIONS.0, PATHS.0)?);
    }
    charts.push(scene.flow()?);
    let title = "Deterministic methods, with their numbers of network evaluations";
    Ok(Picture::new(title, charts).in_columns(4, 205))
}

/// The stochastic methods.
pub(crate) fn stochastic() -> Result<Picture> {
    let schedule = VpLinear::new(0.1, 20.0)?;
    let scene = Scene::new(&schedule)?;
    let mut charts = Vec::new();
    let others = methods::without_order(&schedule, &scene.network, EVALUATIONS.1)?;
    for method in methods::stochastic(&schedule)?.into_iter().chain(others) {
        charts.push(scene.chart(&method, EVALUATIONS.1, PATHS.1)?);
    }
    let title = "Stochastic methods, with their numbers of network evaluations";
    Ok(Picture::new(title, charts).in_columns(4, 205))
}

/// What all charts share: the data, its density, and the noise to start from.
struct Scene<'s> {
    schedule: &'s VpLinear,
    network: ExactScore,
    shades: Density,
    start: State,
}

impl<'s> Scene<'s> {
    fn new(schedule: &'s VpLinear) -> Result<Self> {
        let data = data()?;
        let peak = data.parts().iter().map(|part| data.density(&part.mean)).fold(0.0, f64::max);
        let range = (-REACH, REACH);
        // the root shows the tails, and a whole number of shades their contours
        let shades = Density::new(range, range, (96, 96), |x, y| {
            (8.0 * (data.density(&[x, y]) / peak).sqrt()).round() / 8.0 * 0.55
        });
        let mut start: State = Seeded::new(11).normal_like(&State::zeros(vec![DRAWN, 2]))?;
        for k in 0..PATHS.0 {
            let angle = std::f64::consts::TAU * (k as f64 + 0.3) / PATHS.0 as f64;
            (start[[k, 0]], start[[k, 1]]) = (1.2 * angle.cos(), 1.2 * angle.sin());
        }
        Ok(Self { schedule, network: ExactScore::new(data, Prediction::Noise), shades, start })
    }

    /// The paths and samples of a method that walks a grid.
    fn chart(&self, method: &OnGrid<'_>, most: usize, paths: usize) -> Result<Chart> {
        let grid = self.grid(method, most)?;
        let network = Counted::new(&self.network);
        let mut noise = Seeded::new(12);
        let states = path::walk(&*method.solver, &network, &grid, self.start.clone(), &mut noise)?;
        Ok(self.panel(format!("{} ({})", method.name, network.calls()), &states, paths))
    }

    /// The probability flow by a method that chooses its own steps, at enough times for smooth paths.
    fn flow(&self) -> Result<Chart> {
        let (clean, noisy) = self.schedule.time_range();
        let times: Vec<f64> =
            (0..=60).map(|k| noisy + (clean - noisy) * f64::from(k) / 60.0).collect();
        let method = RungeKutta::new(1e-2, 1e-2)?;
        let flow = ProbabilityFlow::new(self.schedule, method);
        let mut slope = |t: f64, x: &State| flow.slope(&self.network, t, x);
        let (run, states) =
            method.integrate_at(&mut slope, (noisy, clean), self.start.clone(), &times)?;
        let title = format!("RK45 ({})", run.counters.evaluations);
        Ok(self.panel(title, &states, PATHS.0))
    }

    fn panel(&self, title: String, states: &[State], paths: usize) -> Chart {
        let point = |state: &State, k: usize| (state[[k, 0]], state[[k, 1]]);
        let last = &states[states.len() - 1];
        let ends = (0..DRAWN).map(|k| point(last, k)).collect();
        let style = Style::plain(Colour([213, 94, 0]), 1.0);
        let path = |k: usize| Line::new(states.iter().map(|x| point(x, k)).collect(), style);
        let starts = (0..paths).map(|k| point(&states[0], k)).collect();
        let side = || Axis::linear("").over(-REACH, REACH);
        let chart = Chart::new(title, side(), side()).framed().with(self.shades.clone());
        let chart = chart.with(Dots::new(ends, Colour([12, 52, 110]), 0.9));
        chart.with_all((0..paths).map(path)).with(Dots::new(starts, Colour([213, 94, 0]), 1.8))
    }

    /// The longest grid on which the method takes at most a number of evaluations.
    fn grid(&self, method: &OnGrid<'_>, most: usize) -> Result<TimeGrid> {
        let mut longest = method.grid(self.schedule, 1)?;
        for steps in 2..=most {
            let grid = method.grid(self.schedule, steps)?;
            if method.solver.evaluations(&grid)? > most {
                break;
            }
            longest = grid;
        }
        Ok(longest)
    }
}

/// Five normal distributions on a ring, of different weights.
fn data() -> Result<Mixture> {
    let part = |k: i32| {
        let angle = std::f64::consts::TAU * (f64::from(k) / 5.0 + 0.25);
        let mean = vec![1.5 * angle.cos(), 1.5 * angle.sin()];
        Part { weight: f64::from(2 + k % 3), mean, deviation: 0.16 }
    };
    Ok(Mixture::new((0..5).map(part).collect())?)
}
