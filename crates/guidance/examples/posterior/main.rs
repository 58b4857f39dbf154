//! Measures how far every method for linear inverse problems is from the true posterior, on normal data
//! with the exact score: `cargo run -p tweedie-guidance --example posterior -- docs/pictures`.
//!
//! Prints the tables of docs/posterior.md and draws the picture there. All numbers are free of chance.

mod methods;
mod problem;
mod table;

use anyhow::{Context, Result};
use methods::{By, Steps, Way};
use problem::{Off, Problem, grid};
use std::path::PathBuf;
use tweedie_plots::{Axis, Chart, Line, Picture, Style};

/// One problem's methods and how far they are off.
type Measured = Vec<(Way, Vec<Off>)>;

/// One number of a distance.
type Value = fn(&Off) -> f64;

fn main() -> Result<()> {
    let folder = std::env::args().nth(1).map(PathBuf::from).context("expected a folder")?;
    std::fs::create_dir_all(&folder)?;
    let problems = table::problems()?;
    let mut all = Vec::new();
    for problem in &problems {
        println!("{}\n", problem.name);
        let levels = table::LEVELS.map(|levels| format!(" {levels} |")).concat();
        println!("| method |{levels}\n|---|{}", "---|".repeat(table::LEVELS.len()));
        all.push(rows(problem)?);
        println!();
    }
    let path = folder.join("posterior.png");
    std::fs::write(&path, picture(&problems, &all).png()?)?;
    println!("{}", path.display());
    Ok(())
}

fn rows(problem: &Problem) -> Result<Measured> {
    let mut rows = Measured::new();
    for way in table::ways() {
        let offs = measured(problem, way)?;
        println!("{}", row(way, &offs));
        rows.push((way, offs));
    }
    Ok(rows)
}

/// How far a method is off, by the number of noise levels.
fn measured(problem: &Problem, way: Way) -> Result<Vec<Off>> {
    let off = |levels: &usize| {
        let grid = grid(*levels)?;
        if way.remembers() { problem.run_through(&way, &grid) } else { problem.run(&way, &grid) }
    };
    table::LEVELS.iter().map(off).collect()
}

/// A row: mean and covariance by the number of noise levels.
fn row(way: Way, offs: &[Off]) -> String {
    let cells = offs.iter().map(|off| format!(" {:.3}, {:.3} |", off.mean, off.covariance));
    table::title(way) + &cells.collect::<String>()
}

/// The methods that are drawn.
fn drawn() -> Vec<Way> {
    let fast = |by| Way { by, steps: Steps::Multistep };
    let mut ways = [By::ExactScore, By::Isotropic, By::Projection].map(fast).to_vec();
    ways.push(Way { by: By::Ddrm, steps: Steps::Ancestral });
    ways.extend([(0, 1), (4, 1), (64, 1), (0, 12)].map(|(c, w)| Way::replacement(c, w)));
    ways
}

fn picture(problems: &[Problem], all: &[Measured]) -> Picture {
    let of: [(&str, Value); 2] = [("mean", |off| off.mean), ("covariance", |off| off.covariance)];
    let charts = problems.iter().zip(all).flat_map(|(problem, measured)| {
        of.map(|(what, value)| chart(format!("{}: {what}", problem.name), measured, value))
    });
    let title = "Distance from the posterior, by noise levels";
    Picture::new(title, charts.collect()).in_columns(of.len(), 260)
}

fn chart(title: String, measured: &Measured, value: Value) -> Chart {
    let chart = Chart::new(
        title,
        Axis::log("noise levels").over(27.0, 270.0),
        Axis::log("largest error").over(1e-3, 1.0),
    );
    let lines = drawn().into_iter().enumerate().filter_map(|(index, way)| {
        let (_, offs) = measured.iter().find(|(other, _)| *other == way)?;
        let levels = table::LEVELS.map(|levels| levels as f64);
        let points = levels.into_iter().zip(offs.iter().map(value)).collect();
        Some(Line::new(points, Style::of_marked_series(index)).named(way.name()))
    });
    chart.with_all(lines)
}
