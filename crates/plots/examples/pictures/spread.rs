//! Error against network evaluations of stochastic methods, free of chance, on normal data.
//!
//! Everything is linear there, so a state can be kept as a vector with one axis for the starting
//! noise and one for each draw: its length is the standard deviation that a random run would have.

use crate::State;
use crate::counted::Counted;
use crate::methods::{self, OnGrid};
use anyhow::Result;
use tweedie_closed_form::{ExactScore, Mixture};
use tweedie_plots::{Axis, Chart, Line, Picture, Style};
use tweedie_samplers::sample;
use tweedie_schedules::{Prediction, VpLinear};
use tweedie_score::{NoiseError, NoiseSource};

/// Standard deviation of the data.
const DEVIATION: f64 = 0.5;

pub(crate) fn picture() -> Result<Picture> {
    let schedule = VpLinear::new(0.1, 20.0)?;
    let mut chart = Chart::new(
        "",
        Axis::log("network evaluations").over(7.0, 600.0),
        Axis::log("relative error of the standard deviation").over(3e-5, 2.0),
    );
    for (index, method) in methods::stochastic(&schedule)?.iter().enumerate() {
        let points = points(&schedule, method)?;
        chart = chart.with(Line::new(points, Style::of_marked_series(index)).named(method.name));
    }
    Ok(Picture::new("What an evaluation buys: stochastic methods", vec![chart]).in_columns(1, 440))
}

fn points(schedule: &VpLinear, method: &OnGrid<'_>) -> Result<Vec<(f64, f64)>> {
    let data = Mixture::gaussian(vec![0.0], DEVIATION)?;
    let mut points = Vec::new();
    for steps in [4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512] {
        let grid = method.grid(schedule, steps)?;
        let network = Counted::new(ExactScore::new(data.clone(), Prediction::Noise));
        let deviation = |level| data.at(level).coordinate(0).variance().sqrt();
        let mut noise = Axes { used: 0 };
        let start = noise.axis(2 * steps + 2)? * deviation(grid.start().level);
        let end = sample(&*method.solver, &network, &grid, start, &mut noise)?;
        let exact = deviation(grid.intervals()[steps - 1].to.level);
        let reached = end.mapv(|value| value * value).sum().sqrt();
        points.push((network.calls() as f64, (reached / exact - 1.0).abs()));
    }
    Ok(points)
}

/// Noise whose every draw has an axis of its own.
struct Axes {
    used: usize,
}

impl Axes {
    fn axis(&mut self, count: usize) -> Result<State, NoiseError> {
        let mut draw = State::zeros(vec![1, count]);
        let place = draw.get_mut([0, self.used]);
        *place.ok_or(NoiseError::Exhausted { recorded: count })? = 1.0;
        self.used += 1;
        Ok(draw)
    }
}

impl NoiseSource<State> for Axes {
    fn normal_like(&mut self, like: &State) -> Result<State, NoiseError> {
        self.axis(like.len())
    }

    fn rademacher_like(&mut self, _: &State) -> Result<State, NoiseError> {
        Err(NoiseError::Exhausted { recorded: 0 })
    }

    fn uniform_like(&mut self, _: &State) -> Result<State, NoiseError> {
        Err(NoiseError::Exhausted { recorded: 0 })
    }

    fn uniform(&mut self, _: usize) -> Result<Vec<f64>, NoiseError> {
        Err(NoiseError::Exhausted { recorded: 0 })
    }

    fn indices(&mut self, _: usize, _: usize) -> Result<Vec<usize>, NoiseError> {
        Err(NoiseError::Exhausted { recorded: 0 })
    }
}
