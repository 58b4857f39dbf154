//! How a sampler is made to agree with a measurement, by name.

use super::method::{Method, Resampling};
use super::plan::Plan;
use crate::drawing::count_up_to;
use crate::run::Run;
use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use tch::Tensor;
use tweedie_guidance::{Measurement, PosteriorGuided, Spread};
use tweedie_samplers::Solver;
use tweedie_score::{DifferentiableScoreFn, ScoreFn};

/// How a measurement comes into the sampling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum WayName {
    /// What is known is put back into the state, at its noise, after each step and each correction
    /// (default: Song et al.'s predictor and corrector of 1000 steps for models in continuous time, ddpm for others)
    Reimpose,
    /// What is known is put into the estimate of the data (default: 20 steps of dpm-solver++)
    Project,
    /// DDRM, a method of its own, which knows the noise of the measurement (default: 50 steps)
    Ddrm,
    /// The score given the measurement, by the network's Jacobian: the nearest to the posterior, with
    /// 1 + 2 * --iterations passes of the network instead of one (default: 20 steps of dpm-solver++)
    Posterior,
}

/// How the measurement is used.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Measurement")]
pub(crate) struct Way {
    /// How what is known comes into the sampling
    #[arg(long, value_enum, default_value = "reimpose")]
    by: WayName,
    /// Walk each stretch of the run so often, noise added back in between, at so many times the cost (Lugmayr
    /// et al. 2022; 10 is published, with --steps 250), or as in 1,1,5,8,5 a number for each, the noisiest
    /// first: --by reimpose
    #[arg(long, value_name = "N", value_parser = walks, value_delimiter = ',', allow_negative_numbers = true)]
    resample: Vec<usize>,
    /// Share of the noise that is added back; less leads to likelier images, which differ less than they should
    /// [default: 1]
    #[arg(long, value_name = "SHARE", requires = "resample", allow_negative_numbers = true)]
    resample_noise: Option<f64>,
    /// Steps of such a stretch [default: 10]
    #[arg(long, value_name = "J", value_parser = walks, requires = "resample", allow_negative_numbers = true)]
    jump: Option<usize>,
    /// Products with the Jacobian a step, two passes of the network each [default: 3]: --by posterior
    #[arg(long, value_name = "N", value_parser = walks, allow_negative_numbers = true)]
    iterations: Option<usize>,
}

/// More walks, steps of a stretch or products than any run gains from.
const MOST: usize = 1000;

fn walks(text: &str) -> Result<usize, String> {
    count_up_to(MOST, text)
}

impl Way {
    /// Refuses options of another way.
    ///
    /// # Errors
    /// As said.
    pub(crate) fn check(&self) -> Result<()> {
        if !self.resample.is_empty() && self.by != WayName::Reimpose {
            bail!("--resample goes with --by reimpose")
        }
        if self.iterations.is_some() && self.by != WayName::Posterior {
            bail!("--iterations goes with --by posterior")
        }
        match self.resample_noise {
            Some(share) if !(0.0..=1.0).contains(&share) => {
                bail!("--resample-noise is {share}, expected a share from 0 to 1")
            }
            _ => Ok(()),
        }
    }

    /// The sampling method, the one that suits where none is asked for.
    ///
    /// # Errors
    /// When one is asked for that does not go with the way.
    pub(crate) fn method(&self, asked: &Method, run: &Run) -> Result<Method> {
        Ok(match self.by {
            WayName::Reimpose => asked.suited_to_reimposing(run),
            WayName::Project | WayName::Posterior => asked.suited_to_estimates(run),
            WayName::Ddrm => asked.suited_to_ddrm(run)?,
        })
    }

    /// The plan with the noise levels that the way needs: to put a noisy measurement back into states, one where
    /// the noise is the measurement's.
    ///
    /// # Errors
    /// When a level is not finite.
    pub(crate) fn plan(
        &self,
        plan: Plan,
        run: &Run,
        measurement: &Measurement<Tensor>,
    ) -> Result<Plan> {
        match plan {
            // walks are counted in steps of the grid that was asked for
            Plan::Steps { solver, grid }
                if self.by == WayName::Reimpose && self.resample.is_empty() =>
            {
                let grid = measurement.meeting(&grid, run.schedule())?;
                Ok(Plan::Steps { solver, grid })
            }
            plan => Ok(plan),
        }
    }

    /// The solver of a batch where the way needs another than the plan's own.
    ///
    /// # Errors
    /// When an option is out of range, or the plan finds its own steps and the way needs a list of them.
    pub(crate) fn solver<'m>(
        &self,
        (method, plan): (&Method, &Plan),
        run: &Run,
        measurement: &'m Measurement<Tensor>,
    ) -> Result<Option<Box<dyn Solver<Tensor> + 'm>>> {
        if let (WayName::Reimpose, Plan::Adaptive { .. }) = (self.by, plan) {
            bail!(
                "--by reimpose puts what is known back after each of a list of steps, and this sampler finds \
                 its own; --by project goes with it"
            );
        }
        Ok(match self.by {
            WayName::Reimpose => Some(method.reimposed(run, measurement, self.resampling())?),
            WayName::Ddrm => Some(method.ddrm(measurement)?),
            WayName::Project | WayName::Posterior => None,
        })
    }

    /// What is walked again; `None` where nothing is.
    fn resampling(&self) -> Option<Resampling<'_>> {
        let (jump, share) = (self.jump.unwrap_or(10), self.resample_noise.unwrap_or(1.0));
        let walks = &self.resample;
        (!walks.is_empty()).then_some(Resampling { jump, walks, share })
    }

    /// The network with its estimates of the data held as the method asks for.
    ///
    /// # Errors
    /// When the quantile is out of range.
    pub(crate) fn held<'a>(
        &self,
        method: &Method,
        run: &Run,
        score: &'a dyn ScoreFn<Tensor>,
    ) -> Result<Box<dyn ScoreFn<Tensor> + 'a>> {
        match self.by {
            WayName::Reimpose => method.held_in_range(run.schedule(), score),
            _ => method.held_throughout(run, score),
        }
    }

    /// Whether what is known is put into the estimates of the data.
    pub(crate) fn projects(&self) -> bool {
        self.by == WayName::Project
    }

    /// Whether the score itself is that given the measurement, which needs derivatives of the network.
    pub(crate) fn differentiates(&self) -> bool {
        self.by == WayName::Posterior
    }

    /// The score given the measurement.
    ///
    /// # Errors
    /// When there is no product to make.
    pub(crate) fn posterior<'m, F: DifferentiableScoreFn<Tensor>>(
        &self,
        score: F,
        measurement: &'m Measurement<Tensor>,
    ) -> Result<PosteriorGuided<'m, F, Tensor>> {
        let spread = Spread::Jacobian { iterations: self.iterations.unwrap_or(3) };
        Ok(PosteriorGuided::new(score, measurement, spread)?)
    }

    /// Way and method in words, for reports.
    pub(crate) fn describe(&self, method: &Method, run: &Run) -> String {
        let way = match (self.by, self.resampling()) {
            (WayName::Ddrm, _) => return method.describe_ddrm(run.schedule()),
            (WayName::Reimpose, Some(resampling)) => {
                format!("reimpose, {}", resampling.describe())
            }
            (WayName::Reimpose, None) => "reimpose".to_owned(),
            (WayName::Project, _) => "project".to_owned(),
            (WayName::Posterior, _) => {
                format!("posterior, {} products a step", self.iterations.unwrap_or(3))
            }
        };
        format!("{way}, {}", method.describe(run.schedule()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        way: Way,
    }

    fn way(words: &str) -> Way {
        Line::parse_from(["x"].into_iter().chain(words.split_whitespace())).way
    }

    #[test]
    fn options_of_another_way_are_refused() {
        for (words, says) in [
            ("--by project --resample 2", "--resample goes with --by reimpose"),
            ("--by ddrm --iterations 2", "--iterations goes with --by posterior"),
            ("--iterations 2", "--iterations goes with --by posterior"),
            ("--resample 2 --iterations 2", "--iterations goes with"),
            ("--resample 2 --resample-noise 1.5", "--resample-noise is 1.5, expected a share from"),
            ("--resample 2 --resample-noise nan", "--resample-noise is NaN"),
        ] {
            assert!(way(words).check().unwrap_err().to_string().contains(says), "{words}");
        }
        for words in ["", "--resample 10 --jump 5", "--by posterior --iterations 1", "--by ddrm"] {
            way(words).check().expect(words);
        }
        way("--resample 1,5,8 --jump 1 --resample-noise 0.9").check().unwrap();
        assert!(Line::try_parse_from(["x", "--jump", "3"]).is_err());
        for walks in ["0", "1,0", "1,", ""] {
            assert!(Line::try_parse_from(["x", "--resample", walks]).is_err(), "{walks}");
        }
    }
}
