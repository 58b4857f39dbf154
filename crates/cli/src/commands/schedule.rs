//! `tweedie schedule`: shows noise schedules.

use crate::print;
use crate::registry::schedules::{NamedSchedule, SCHEDULES, ScheduleArgs};
use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tweedie_checkpoints::write_atomically;
use tweedie_plots::{Picture, schedule_picture};
use tweedie_schedules::NoiseSchedule;

/// Show noise schedules
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    command: ScheduleCommand,
}

#[derive(Debug, Subcommand)]
enum ScheduleCommand {
    Plot(PlotOptions),
}

/// Draw alpha, sigma, lambda and the SNR of one or more schedules over time
#[derive(Debug, Args)]
#[command(after_help = format!("{SCHEDULES}\n\n{EXAMPLES}"))]
struct PlotOptions {
    #[command(flatten)]
    schedules: ScheduleArgs,
    /// Where to write the picture, a .png or .svg
    #[arg(long, short, value_name = "PATH", default_value = "schedule.png")]
    out: PathBuf,
}

const EXAMPLES: &str = "\
Examples:
  tweedie schedule plot --schedule cosine
  tweedie schedule plot --schedule linear:steps=500,beta-end=0.01 --out linear.png
  tweedie schedule plot --schedule linear --schedule linear:zero-terminal-snr --out zero.svg
  tweedie schedule plot --run runs/digits";

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let ScheduleCommand::Plot(options) = &options.command;
    let schedules = options.schedules.all()?;
    let curves: Vec<(&str, &dyn NoiseSchedule)> =
        schedules.iter().map(|named| (named.name(), named.schedule() as _)).collect();
    write(&schedule_picture(&curves), &options.out)?;
    for named in &schedules {
        print::line(&describe(named))?;
    }
    print::line(&format!("picture: {}", options.out.display()))?;
    Ok(ExitCode::SUCCESS)
}

/// The name and both ends of a schedule.
fn describe(named: &NamedSchedule) -> String {
    let (clean, noisy) = named.schedule().time_range();
    let end = |t: f64| {
        let level = named.schedule().level(t);
        format!("t = {t}: alpha {:.6}, sigma {:.6}", level.alpha, level.sigma)
    };
    let steps =
        named.schedule().table().map_or(String::new(), |table| format!(", {} steps", table.len()));
    format!("{}{steps}\n  from {}\n  to   {}", named.name(), end(clean), end(noisy))
}

/// Writes the picture in the form of the path's ending.
fn write(picture: &Picture, path: &Path) -> Result<()> {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
    let bytes = match ending.as_deref() {
        Some("png") => picture.png()?,
        Some("svg") => picture.svg()?.into_bytes(),
        _ => bail!("--out is {}, expected a name that ends in .png or .svg", path.display()),
    };
    let folder = path.parent().filter(|folder| *folder != Path::new(""));
    folder
        .map_or(Ok(()), std::fs::create_dir_all)
        .with_context(|| format!("--out {}: cannot write there", path.display()))?;
    write_atomically(path, &bytes).with_context(|| format!("--out {}", path.display()))
}
