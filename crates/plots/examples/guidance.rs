//! Draws what `cargo xtask bench guidance` measured:
//! `cargo run -p tweedie-plots --example guidance -- guidance.json guidance.png`.
//!
//! For each way of guiding a curve over the scales: how often the class is the one asked for, and how different the
//! images of a class are.

use anyhow::{Context, Result};
use serde_json::Value;
use tweedie_plots::{Axis, Chart, Line, Picture, Style};

/// Points of a curve.
type Points = Vec<(f64, f64)>;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (from, to) = arguments.next().zip(arguments.next()).context("expected two files")?;
    let measured: Value = serde_json::from_slice(&std::fs::read(&from)?)?;
    let ways = measured["ways"].as_array().context("no ways in the file")?;
    let scales = || Axis::linear("guidance");
    let mut share = Chart::new("", scales(), Axis::linear("share with the class asked for"));
    let mut diversity = Chart::new("", scales(), Axis::linear("distance within a class"));
    for (index, way) in ways.iter().enumerate() {
        let name = way["name"].as_str().context("a way without a name")?;
        let style = || Style::of_marked_series(index);
        share = share.with(Line::new(curve(way, "share")?, style()).named(name));
        diversity = diversity.with(Line::new(curve(way, "diversity")?, style()).named(name));
    }
    let real = |key: &str| measured["real"][key].as_f64().context("nothing said of real images");
    let last = ways.iter().filter_map(|way| way["scales"].as_array()?.last()?.as_f64());
    let last = last.fold(0.0, f64::max);
    let level = |value: f64| {
        Line::new(vec![(0.0, value), (last, value)], Style::of_series(ways.len()))
            .named("real images")
    };
    let title = measured["title"].as_str().unwrap_or("Guidance");
    let charts = vec![share.with(level(real("share")?)), diversity.with(level(real("diversity")?))];
    let picture = Picture::new(title, charts).in_columns(2, 330);
    tweedie_checkpoints::write_atomically(to.as_ref(), &picture.png()?)?;
    Ok(())
}

/// A figure of a way over the scales.
fn curve(way: &Value, key: &str) -> Result<Points> {
    let numbers = |key: &str| -> Option<Vec<f64>> {
        way[key].as_array()?.iter().map(Value::as_f64).collect()
    };
    let (scales, values) =
        numbers("scales").zip(numbers(key)).with_context(|| format!("no {key} over the scales"))?;
    Ok(scales.into_iter().zip(values).collect())
}
