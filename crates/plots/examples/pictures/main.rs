//! Draws the pictures of the docs: `cargo run -p tweedie-plots --example pictures -- docs/pictures`.

use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use tweedie_plots::{Picture, schedule_picture};
use tweedie_schedules::DiscreteTable;

fn main() -> Result<()> {
    let folder = std::env::args().nth(1).map(PathBuf::from).context("expected a folder")?;
    std::fs::create_dir_all(&folder)?;
    write(&folder, "schedules", &schedules()?)
}

fn schedules() -> Result<Picture> {
    let (linear, cosine) = (DiscreteTable::linear(1000, 1e-4, 0.02)?, DiscreteTable::cosine(1000)?);
    Ok(schedule_picture(&[("linear", &linear), ("cosine", &cosine)]))
}

fn write(folder: &Path, name: &str, picture: &Picture) -> Result<()> {
    let path = folder.join(format!("{name}.png"));
    tweedie_checkpoints::write_atomically(&path, &picture.png()?)?;
    println!("{}", path.display());
    Ok(())
}
