//! Names on the command line to noise schedules.

use super::Method;
use super::parameters::Parameters;
use anyhow::{Context, Result, bail};
use clap::Args;
use std::path::{Path, PathBuf};
use tweedie_schedules::{
    DiscreteTable, Edm, SubVpLinear, VeGeometric, VpCosine, VpLinear, cosine_betas_with,
};
use tweedie_training::{DataRange, Habits, RunSchedule, habits_of, schedule_of};

/// What `--help` says about the names.
pub(crate) const SCHEDULES: &str = "\
Schedules, with their parameters and published defaults:
  continuous time
    vp-linear      beta-min=0.1, beta-max=20
    vp-cosine      offset=0.008, max-rate=999
    sub-vp         beta-min=0.1, beta-max=20
    ve             sigma-min=0.01, sigma-max=50
    edm            sigma-min=0.002, sigma-max=80
  tables of betas, each with steps=1000 and zero-terminal-snr=false
    linear         beta-start=0.0001, beta-end=0.02
    scaled-linear  beta-start=0.00085, beta-end=0.012
    quadratic      beta-start=0.0001, beta-end=0.02
    sigmoid        beta-start=0.0001, beta-end=0.02
    cosine         offset=0.008, max-beta=0.999
    constant       beta=0.02
    jsd";

/// The longest table: more steps than anyone has trained, few enough to hold.
const MOST_STEPS: usize = 1_000_000;

/// Which noise schedules are meant: by name, or those of runs.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Schedule")]
pub(crate) struct ScheduleArgs {
    /// A schedule by name, with parameters that differ from the defaults below
    #[arg(
        long = "schedule",
        short,
        value_name = "NAME[:KEY=VALUE,...]",
        value_parser = NamedSchedule::parse,
        required_unless_present = "runs"
    )]
    schedules: Vec<NamedSchedule>,
    /// The schedule that a run, or a checkpoint of another program, was trained with
    #[arg(long = "run", value_name = "RUN")]
    runs: Vec<PathBuf>,
}

impl ScheduleArgs {
    /// All that were asked for, at least one: names first, then runs.
    pub(crate) fn all(&self) -> Result<Vec<NamedSchedule>> {
        let of_runs: Result<Vec<_>> =
            self.runs.iter().map(|run| NamedSchedule::of_run(run)).collect();
        Ok(self.schedules.iter().cloned().chain(of_runs?).collect())
    }
}

/// A noise schedule and how it was asked for.
#[derive(Clone, Debug)]
pub(crate) struct NamedSchedule {
    name: String,
    schedule: RunSchedule,
    /// Where it is a model's, how the program samples that the model comes from, on data of which range.
    habits: Option<(Habits, DataRange)>,
}

impl NamedSchedule {
    /// The schedule of a name with its parameters.
    fn parse(text: &str) -> Result<Self, String> {
        // clap shows only the outermost message of an error
        Self::build(text).map_err(|error| format!("{error:#}"))
    }

    fn build(text: &str) -> Result<Self> {
        let mut parameters = Parameters::parse(text)?;
        let schedule = schedule(&mut parameters)?;
        parameters.finish()?;
        Ok(Self { name: text.to_owned(), schedule, habits: None })
    }

    /// The schedule that a model was trained with.
    fn of_run(run: &Path) -> Result<Self> {
        let schedule = schedule_of(run);
        let schedule = schedule.with_context(|| format!("the schedule of {}", run.display()))?;
        let (mut habits, range) = habits_of(run)?;
        // which only a network knows
        habits.variance = habits.variance.filter(|variance| !variance.is_learned());
        Ok(Self { name: run.display().to_string(), schedule, habits: Some((habits, range)) })
    }

    /// As it was asked for.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// A method as it runs on this schedule.
    pub(crate) fn suited(&self, method: &Method) -> Method {
        match &self.habits {
            Some((habits, range)) => method.following(habits, *range, &self.schedule),
            None => method.clone(),
        }
    }

    /// The schedule.
    pub(crate) fn schedule(&self) -> &RunSchedule {
        &self.schedule
    }
}

fn schedule(given: &mut Parameters<'_>) -> Result<RunSchedule> {
    Ok(match given.name() {
        "vp-linear" => RunSchedule::VpLinear(VpLinear::new(
            given.number("beta-min", 0.1)?,
            given.number("beta-max", 20.0)?,
        )?),
        "sub-vp" => RunSchedule::SubVp(SubVpLinear::new(
            given.number("beta-min", 0.1)?,
            given.number("beta-max", 20.0)?,
        )?),
        "vp-cosine" => RunSchedule::VpCosine(VpCosine::new(
            given.number("offset", 0.008)?,
            given.number("max-rate", 999.0)?,
        )?),
        "ve" => RunSchedule::Ve(VeGeometric::new(
            given.number("sigma-min", 0.01)?,
            given.number("sigma-max", 50.0)?,
        )?),
        "edm" => RunSchedule::Edm(Edm::new(
            given.number("sigma-min", 0.002)?,
            given.number("sigma-max", 80.0)?,
        )?),
        _ => RunSchedule::Table(table(given)?),
    })
}

fn table(given: &mut Parameters<'_>) -> Result<DiscreteTable> {
    let name = given.name();
    let steps = given.count("steps", 1000, MOST_STEPS)?;
    let mut ends = |start: f64, end: f64| -> Result<(f64, f64)> {
        Ok((given.number("beta-start", start)?, given.number("beta-end", end)?))
    };
    let table = match name {
        "linear" => {
            let (start, end) = ends(1e-4, 0.02)?;
            DiscreteTable::linear(steps, start, end)?
        }
        "scaled-linear" => {
            let (start, end) = ends(0.00085, 0.012)?;
            DiscreteTable::quadratic(steps, start, end)?
        }
        "quadratic" => {
            let (start, end) = ends(1e-4, 0.02)?;
            DiscreteTable::quadratic(steps, start, end)?
        }
        "sigmoid" => {
            let (start, end) = ends(1e-4, 0.02)?;
            DiscreteTable::sigmoid(steps, start, end)?
        }
        "cosine" => {
            let offset = given.number("offset", 0.008)?;
            let max_beta = given.number("max-beta", 0.999)?;
            DiscreteTable::from_betas(&cosine_betas_with(steps, offset, max_beta)?)?
        }
        "constant" => DiscreteTable::constant(steps, given.number("beta", 0.02)?)?,
        "jsd" => DiscreteTable::jsd(steps)?,
        other => bail!(
            "there is no schedule '{other}', expected vp-linear, vp-cosine, sub-vp, ve, edm, \
             linear, scaled-linear, quadratic, sigmoid, cosine, constant or jsd"
        ),
    };
    Ok(if given.flag("zero-terminal-snr")? { table.rescaled_to_zero_snr()? } else { table })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tweedie_schedules::NoiseSchedule;

    #[test]
    fn every_name_of_the_help_has_the_defaults_it_says() {
        let mut found = 0;
        for line in SCHEDULES.lines().filter_map(|line| line.strip_prefix("    ")) {
            let (name, defaults) = line.split_once(' ').unwrap_or((line, ""));
            let written = format!("{name}:{}", defaults.trim());
            let (plain, full) = (NamedSchedule::build(name), NamedSchedule::build(&written));
            let (plain, full) = (plain.unwrap(), full.unwrap());
            let (clean, noisy) = plain.schedule().time_range();
            assert_eq!(full.schedule().time_range(), (clean, noisy), "{name}");
            for t in [clean, 0.5 * (clean + noisy), noisy] {
                assert_eq!(plain.schedule().level(t), full.schedule().level(t), "{name} at {t}");
            }
            found += 1;
        }
        assert_eq!(found, 12);
    }

    #[test]
    fn a_table_can_be_made_to_end_in_pure_noise() {
        let plain = NamedSchedule::build("linear:steps=10").unwrap();
        let zero = NamedSchedule::build("linear:steps=10,zero-terminal-snr").unwrap();
        let last = |named: &NamedSchedule| named.schedule().table().unwrap().alpha_bar(9).unwrap();
        assert!(last(&plain) > 0.0);
        assert_eq!(last(&zero), 0.0);
    }

    #[test]
    fn wrong_parameters_are_named() {
        for (text, says) in [
            ("nothing", "expected vp-linear, vp-cosine"),
            ("ve:beta-min=1", "ve has no 'beta-min', expected sigma-min, sigma-max"),
            ("ve:zero-terminal-snr", "ve has no 'zero-terminal-snr'"),
            ("linear:steps=0", "steps is '0', expected a whole number from 1"),
            ("linear:beta-end=1.5", "beta_end is 1.5, expected a value in (0, 1)"),
            ("linear:beta-end=high", "beta-end is 'high', expected a number"),
            ("linear:steps=3,steps=4", "steps is given twice"),
            ("edm:sigma-min=90", "sigma"),
        ] {
            let error = NamedSchedule::parse(text).unwrap_err();
            assert!(error.contains(says), "`{says}` is not in: {error}");
        }
    }
}
