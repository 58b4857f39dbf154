//! Draws the pictures of the docs: `cargo run -p tweedie-plots --example pictures -- docs/pictures`.
//!
//! Every number in them comes from the library: schedules, closed-form data and solvers. The same
//! seeds give the same pictures.

mod bound_terms;
mod counted;
mod errors;
mod marginals;
mod methods;
mod objectives;
mod path;
mod spread;
mod trajectories;

use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use tweedie_plots::{Picture, schedule_picture};
use tweedie_schedules::DiscreteTable;

/// States of all pictures: one point a row.
type State = ndarray::ArrayD<f64>;

fn main() -> Result<()> {
    let folder = std::env::args().nth(1).map(PathBuf::from).context("expected a folder")?;
    std::fs::create_dir_all(&folder)?;
    write(&folder, "schedules", &schedules()?)?;
    write(&folder, "marginals", &marginals::picture()?)?;
    write(&folder, "paths-deterministic", &trajectories::deterministic()?)?;
    write(&folder, "paths-stochastic", &trajectories::stochastic()?)?;
    write(&folder, "errors", &errors::picture()?)?;
    write(&folder, "spread", &spread::picture()?)?;
    write(&folder, "bound-terms", &bound_terms::picture()?)?;
    write(&folder, "likelihood-weighting", &objectives::likelihood_weighting()?)?;
    write(&folder, "objectives", &objectives::spent()?)
}

fn schedules() -> Result<Picture> {
    let linear = DiscreteTable::linear(1000, 1e-4, 0.02)?;
    let scaled = DiscreteTable::quadratic(1000, 0.00085, 0.012)?;
    let cosine = DiscreteTable::cosine(1000)?;
    Ok(schedule_picture(&[
        ("linear (DDPM)", &linear),
        ("cosine (improved DDPM)", &cosine),
        ("scaled linear (latent diffusion)", &scaled),
    ]))
}

fn write(folder: &Path, name: &str, picture: &Picture) -> Result<()> {
    let path = folder.join(format!("{name}.png"));
    let bytes = picture.png()?;
    tweedie_checkpoints::write_atomically(&path, &bytes)?;
    println!("{} ({} KB)", path.display(), bytes.len() / 1000);
    Ok(())
}
