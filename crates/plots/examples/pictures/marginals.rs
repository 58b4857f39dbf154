//! A one-dimensional mixture on its way to noise and back: densities with paths through them.

use crate::{State, path};
use anyhow::Result;
use tweedie_closed_form::{ExactScore, Mixture, Part};
use tweedie_plots::{Axis, Chart, Colour, Density, Line, Picture, Style};
use tweedie_samplers::{EulerMaruyama, OneStep, Solver};
use tweedie_schedules::{NoiseSchedule, Prediction, TimeGrid, VpLinear};
use tweedie_score::Seeded;

/// Half the height of the picture, in units of the data.
const REACH: f64 = 2.6;

/// Paths along the flow, which cannot cross, and along the SDE, which can.
const PATHS: (usize, usize) = (15, 5);

pub(crate) fn picture() -> Result<Picture> {
    let schedule = VpLinear::new(0.1, 20.0)?;
    let part = |weight, mean, deviation| Part { weight, mean: vec![mean], deviation };
    let data =
        Mixture::new(vec![part(0.3, -1.1, 0.12), part(0.45, 0.3, 0.16), part(0.25, 1.3, 0.1)])?;
    let chart = |title: &str, solver: &dyn Solver<State>, count: usize| -> Result<Chart> {
        let chart = Chart::new(
            title,
            Axis::linear("time t").over(0.0, 1.0),
            Axis::linear("state x").over(-REACH, REACH),
        );
        Ok(chart.with(shades(&schedule, &data)).with_all(paths(&schedule, &data, solver, count)?))
    };
    let flow = OneStep(EulerMaruyama::new(schedule, 0.0)?);
    let reverse = OneStep(EulerMaruyama::new(schedule, 1.0)?);
    let charts = vec![
        chart("probability flow", &flow, PATHS.0)?,
        chart("reverse-time SDE", &reverse, PATHS.1)?,
    ];
    Ok(Picture::new("From noise (t = 1) to data (t = 0)", charts).in_columns(2, 330))
}

/// The density at each time, as a share of its peak at that time.
fn shades(schedule: &VpLinear, data: &Mixture) -> Density {
    let (columns, rows) = (300, 200);
    let noisy = |t: f64| data.at(schedule.level(t));
    let peak = |t: f64| {
        let density = noisy(t);
        let heights = (0..1000).map(|k| density.density(&[REACH * (f64::from(k) / 500.0 - 1.0)]));
        heights.fold(0.0, f64::max)
    };
    let middles = (0..columns).map(|k| (k as f64 + 0.5) / columns as f64);
    let columns_of: Vec<(Mixture, f64)> = middles.map(|t| (noisy(t), peak(t))).collect();
    Density::new((0.0, 1.0), (-REACH, REACH), (columns, rows), |t, x| {
        let (density, peak) = &columns_of[(t * columns as f64) as usize];
        // the root shows the tails, and a whole number of shades their contours
        (15.9 * (density.density(&[x]) / peak).sqrt()).floor() / 16.0 * 0.8
    })
}

/// Paths that start at evenly spread quantiles of the noise.
fn paths(
    schedule: &VpLinear,
    data: &Mixture,
    solver: &dyn Solver<State>,
    count: usize,
) -> Result<Vec<Line>> {
    let grid = TimeGrid::uniform_time(schedule, 1000)?;
    let start = data.at(grid.start().level).coordinate(0);
    let quantile = |k: usize| start.quantile((k as f64 + 0.5) / count as f64);
    let x = State::from_shape_vec(vec![count, 1], (0..count).map(quantile).collect())?;
    let network = ExactScore::new(data.clone(), Prediction::Score);
    let states = path::walk(solver, &network, &grid, x, &mut Seeded::new(3))?;
    let ends = grid.intervals().iter().map(|interval| interval.to.t);
    let times: Vec<f64> = std::iter::once(grid.start().t).chain(ends).collect();
    let style = Style::plain(Colour([213, 94, 0]), 1.0);
    let line = |k: usize| {
        let points = times.iter().zip(&states).map(|(t, x)| (*t, x[[k, 0]]));
        Line::new(points.collect(), style)
    };
    Ok((0..count).map(line).collect())
}
