//! Error against network evaluations of every deterministic method, on a one-dimensional mixture.

use crate::State;
use crate::counted::Counted;
use crate::methods::{self, OnGrid, SelfStepped};
use anyhow::Result;
use tweedie_closed_form::{ExactScore, Mixture, Part};
use tweedie_plots::{Axis, Chart, Line, Picture, Style};
use tweedie_samplers::sample;
use tweedie_schedules::{NoiseSchedule, Prediction, VpLinear};
use tweedie_score::Replay;

/// Evaluations and the error they leave.
type Points = Vec<(f64, f64)>;

/// Paths over whose ends the error is averaged.
const PATHS: usize = 31;

/// Network evaluations that are shown.
const EVALUATIONS: (f64, f64) = (4.0, 400.0);

pub(crate) fn picture() -> Result<Picture> {
    let schedule = VpLinear::new(0.1, 20.0)?;
    let task = Task::new(&schedule)?;
    let mut lines: Vec<(&str, Points)> = Vec::new();
    for method in methods::deterministic(&schedule)? {
        lines.push((method.name, task.on_grids(&method)?));
    }
    for method in methods::self_stepped(&schedule) {
        lines.push((method.name, task.self_stepped(&method)?));
    }
    let chart = Chart::new(
        "",
        Axis::log("network evaluations").over(EVALUATIONS.0 * 0.9, EVALUATIONS.1 * 1.1),
        Axis::log("error of the final state (root mean square)").over(1e-9, 1.0),
    );
    let lines = lines.into_iter().enumerate().map(|(index, (name, points))| {
        Line::new(points, Style::of_marked_series(index)).named(name)
    });
    let chart = chart.with_all(lines);
    Ok(Picture::new("What an evaluation buys: deterministic methods", vec![chart])
        .in_columns(1, 560))
}

/// Paths of the probability flow, whose ends are known: quantiles go to quantiles.
struct Task<'s> {
    schedule: &'s VpLinear,
    network: ExactScore,
    start: State,
    end: State,
}

impl<'s> Task<'s> {
    fn new(schedule: &'s VpLinear) -> Result<Self> {
        let part = |weight, mean, deviation| Part { weight, mean: vec![mean], deviation };
        let data = Mixture::new(vec![part(0.3, -0.8, 0.2), part(0.7, 0.6, 0.3)])?;
        let (clean, noisy) = schedule.time_range();
        let at = |t: f64| -> Result<State> {
            let states = data.at(schedule.level(t)).coordinate(0);
            let share = |k: usize| (k as f64 + 0.5) / PATHS as f64;
            let quantiles = (0..PATHS).map(|k| states.quantile(share(k))).collect();
            Ok(State::from_shape_vec(vec![PATHS, 1], quantiles)?)
        };
        let (start, end) = (at(noisy)?, at(clean)?);
        Ok(Self { schedule, network: ExactScore::new(data, Prediction::Noise), start, end })
    }

    fn error(&self, reached: &State) -> f64 {
        (reached - &self.end).mapv(|error| error * error).mean().unwrap_or(f64::NAN).sqrt()
    }

    fn on_grids(&self, method: &OnGrid<'_>) -> Result<Points> {
        let mut points = Vec::new();
        for steps in [4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384] {
            let grid = method.grid(self.schedule, steps)?;
            let network = Counted::new(&self.network);
            let mut none = Replay::new([]);
            let end = sample(&*method.solver, &network, &grid, self.start.clone(), &mut none)?;
            points.push((network.calls() as f64, self.error(&end)));
        }
        Ok(points)
    }

    fn self_stepped(&self, method: &SelfStepped<'_>) -> Result<Points> {
        let mut points = Points::new();
        for half_decade in 1..=24 {
            let tolerance = 10_f64.powf(-0.5 * f64::from(half_decade));
            let network = Counted::new(&self.network);
            let run = (method.run)(&network, self.start.clone(), tolerance)?;
            let evaluations = network.calls() as f64;
            // of two tolerances that take as many evaluations, the sharper one
            points.retain(|point| point.0 < evaluations);
            points.push((evaluations, self.error(&run.state)));
            if evaluations > EVALUATIONS.1 {
                break;
            }
        }
        Ok(points)
    }
}
