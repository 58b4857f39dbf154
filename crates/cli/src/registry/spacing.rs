//! Lists of times by name.

use anyhow::{Result, bail};
use clap::ValueEnum;
use tweedie_schedules::{DiscreteTable, NoiseSchedule, Spacing, TimeGrid};
use tweedie_training::RunSchedule;

/// Karras et al. 2022, sec. 3.
const KARRAS_RHO: f64 = 7.0;

/// More steps than any method gains from, on a schedule in continuous time.
const MOST_STEPS: usize = 100_000;

/// Which times a run visits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SpacingName {
    /// Steps of the model in equal strides back from the last: starts at pure noise
    Trailing,
    /// Steps of the model in equal strides from the first: the noisiest is left out
    Leading,
    /// Steps of the model in equal strides that hit both the first and the last
    Linspace,
    /// Equal parts of time
    Time,
    /// Equal parts of lambda, half the log signal-to-noise ratio
    Lambda,
    /// Karras et al. 2022: equal parts of sigma^(1/7)
    Karras,
}

impl SpacingName {
    /// Its name on the command line.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// The grid of `steps` steps over a schedule, its last one ending with the data.
    ///
    /// # Errors
    /// When it needs the steps of a discrete model and there are none, or too few.
    pub(crate) fn grid(self, schedule: &RunSchedule, steps: usize) -> Result<TimeGrid> {
        check_steps(schedule, steps)?;
        let table = schedule.table();
        let (_, noisy) = schedule.time_range();
        let before = steps - 1; // the step to the data comes last
        let grid = match self {
            Self::Trailing => return of_model(table, steps, Spacing::Trailing),
            Self::Leading => return of_model(table, steps, Spacing::Leading),
            Self::Linspace => return of_model(table, steps, Spacing::Linspace),
            _ if before == 0 => TimeGrid::at_times(schedule, &[noisy])?,
            Self::Time => TimeGrid::uniform_time(schedule, before)?,
            Self::Lambda => TimeGrid::uniform_lambda(schedule, before)?,
            Self::Karras => TimeGrid::karras(schedule, before, KARRAS_RHO)?,
        };
        Ok(grid.ending_clean())
    }
}

/// Refuses more steps than a model has.
pub(super) fn check_steps(schedule: &RunSchedule, steps: usize) -> Result<()> {
    let most = most_steps(schedule);
    if steps == 0 || steps > most {
        let of_model = if schedule.table().is_some() { " (the steps of the model)" } else { "" };
        bail!("--steps is {steps}, expected 1 to {most}{of_model}");
    }
    Ok(())
}

/// The most steps that a grid over a schedule may have: those of a discrete model, all that make sense else.
pub(crate) fn most_steps(schedule: &RunSchedule) -> usize {
    schedule.table().map_or(MOST_STEPS, DiscreteTable::len)
}

fn of_model(table: Option<&DiscreteTable>, steps: usize, spacing: Spacing) -> Result<TimeGrid> {
    let Some(table) = table else {
        let name = format!("{spacing:?}").to_lowercase();
        bail!(
            "--spacing {name} picks steps of a discrete model, this schedule is continuous: time, lambda or karras"
        );
    };
    Ok(TimeGrid::discrete(table, steps, spacing)?.ending_clean())
}
