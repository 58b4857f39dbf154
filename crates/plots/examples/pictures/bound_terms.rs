//! What each step of a model with the exact score costs in the variational bound.

use anyhow::Result;
use std::f64::consts::LN_2;
use tweedie_closed_form::{Mixture, Part};
use tweedie_plots::{Axis, Chart, Line, Picture, Style};
use tweedie_schedules::{DiscreteTable, Interval, NoiseLevel};

/// Half the width of the region over which states are averaged, and the distance of its points.
const REACH: (f64, f64) = (4.5, 0.005);

pub(crate) fn picture() -> Result<Picture> {
    let part = |weight, mean| Part { weight, mean: vec![mean], deviation: 0.03 };
    let data = Mixture::new(vec![part(0.4, -0.9), part(0.35, 0.1), part(0.25, 0.8)])?;
    let tables = [
        ("linear (DDPM)", DiscreteTable::linear(1000, 1e-4, 0.02)?),
        ("cosine (improved DDPM)", DiscreteTable::cosine(1000)?),
    ];
    let axes = (Axis::log("time t").over(1e-3, 1.0), Axis::log("bits").over(1e-6, 1.0));
    let mut chart = Chart::new("", axes.0, axes.1);
    for (index, (name, table)) in tables.iter().enumerate() {
        let style = Style { width: 2.0, ..Style::of_series(index) };
        chart = chart.with(Line::new(terms(&data, table)?, style).named(*name));
    }
    Ok(Picture::new("What each of 1000 steps costs: the terms of the bound", vec![chart])
        .in_columns(1, 360))
}

/// Each step's term in bits, with the posterior's own variance.
fn terms(data: &Mixture, table: &DiscreteTable) -> Result<Vec<(f64, f64)>> {
    let term = |index: usize| {
        let interval = Interval { from: table.node(index)?, to: table.node(index - 1)? };
        let posterior = interval.posterior();
        // Ho et al. 2020, eq. 8
        let nats =
            posterior.data.powi(2) * open(data, interval.from.level) / (2.0 * posterior.variance);
        Ok((interval.from.t, nats / LN_2))
    };
    (1..table.len()).map(term).collect()
}

/// What a state leaves open about the data: the mean of `Var(x_0 | x)`.
fn open(data: &Mixture, at: NoiseLevel) -> f64 {
    let noisy = data.at(at);
    let count = (2.0 * REACH.0 / REACH.1) as i32;
    let places = (0..count).map(|k| REACH.1 * (f64::from(k) + 0.5) - REACH.0);
    let square = |x: f64| REACH.1 * noisy.density(&[x]) * noisy.score(&[x])[0].powi(2);
    let moment: f64 = places.map(square).sum();
    (at.sigma / at.alpha).powi(2) * (1.0 - at.sigma.powi(2) * moment)
}
