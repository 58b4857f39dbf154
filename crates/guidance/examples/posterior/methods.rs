//! The methods that are compared.

use crate::problem::{Method, Problem, State};
use anyhow::Result;
use tweedie_guidance::{Ddrm, Measurement, PosteriorGuided, Reimposed, Resampled, Spread};
use tweedie_samplers::{
    Ancestral, AnnealedLangevin, Ddim, OneStep, PredictorCorrector, Repeated, Solver,
};
use tweedie_score::{MapData, ScoreFn};
use tweedie_solvers_dpm::{Multistep, Order};

/// What tells a method from the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    /// The score of the posterior itself, in closed form.
    ExactScore,
    /// The score given the measurement, from the network's Jacobian.
    Jacobian,
    /// The same, from an isotropic spread.
    Isotropic,
    /// The data estimate projected.
    Projection,
    /// What is known put back after each step and each of so many corrections, the steps of one
    /// interval walked so often.
    Replacement { corrections: usize, walks: usize },
    /// What is known put back after each step and once after so many iterations of a corrector.
    Published { iterations: usize },
    /// DDRM.
    Ddrm,
}

/// How the steps are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Steps {
    Ancestral,
    Ddim,
    Multistep,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Way {
    pub(crate) by: By,
    pub(crate) steps: Steps,
}

impl Way {
    /// Whether its moments can be taken step by step.
    pub(crate) fn remembers(self) -> bool {
        self.steps == Steps::Multistep
    }

    /// A short name.
    pub(crate) fn name(self) -> String {
        let steps = match (self.by, self.steps) {
            (By::Ddrm | By::Replacement { .. } | By::Published { .. }, _) => "",
            (_, Steps::Ancestral) => ", ancestral",
            (_, Steps::Ddim) => ", DDIM",
            (_, Steps::Multistep) => ", DPM-Solver++ 2M",
        };
        let by = match self.by {
            By::ExactScore => "exact conditional score".to_owned(),
            By::Jacobian => "guided, Jacobian".to_owned(),
            By::Isotropic => "guided, isotropic".to_owned(),
            By::Projection => "projection".to_owned(),
            By::Ddrm => "DDRM".to_owned(),
            By::Published { iterations } => {
                format!("replacement, once after {iterations} corrections")
            }
            By::Replacement { corrections, walks } => {
                let many = |count: usize, one: &str| match (count, one) {
                    (0, _) | (1, "walk") => String::new(),
                    (1, _) => format!(", 1 {one}"),
                    _ => format!(", {count} {one}s"),
                };
                "replacement".to_owned() + &many(corrections, "correction") + &many(walks, "walk")
            }
        };
        by + steps
    }

    /// Replacement with ancestral steps.
    pub(crate) fn replacement(corrections: usize, walks: usize) -> Self {
        Self { by: By::Replacement { corrections, walks }, steps: Steps::Ancestral }
    }

    fn plain(self) -> Box<dyn Solver<State>> {
        match self.steps {
            Steps::Ancestral => Box::new(OneStep(Ancestral::default())),
            Steps::Ddim => Box::new(OneStep(Ddim::DETERMINISTIC)),
            Steps::Multistep => Box::new(Multistep::dpmpp(Order::Two)),
        }
    }
}

impl Method for Way {
    fn draws(&self) -> usize {
        match self.by {
            // two each for the corrections and the step with what is put back after them, and the way up
            By::Replacement { corrections, .. } => 2 * corrections + 3,
            By::Published { iterations } => iterations + 3,
            _ => 1,
        }
    }

    fn solver<'a>(&'a self, known: &'a Measurement<State>) -> Result<Box<dyn Solver<State> + 'a>> {
        let predictor = Reimposed::new(self.plain(), known);
        let corrector = |iterations| -> Result<_> {
            Ok(Reimposed::new(AnnealedLangevin::new(0.3, iterations)?, known))
        };
        Ok(match self.by {
            By::Replacement { corrections, walks } => {
                let corrector = Repeated::new(corrector(1)?, corrections);
                let solver = PredictorCorrector::new(predictor, corrector);
                let solver = Resampled::new(solver, 1, walks)?;
                Box::new(solver.down_to(known.largest_deviation())?)
            }
            By::Published { iterations } => {
                Box::new(PredictorCorrector::new(predictor, corrector(iterations)?))
            }
            By::Ddrm => Box::new(Ddrm::new(known)),
            _ => self.plain(),
        })
    }

    fn score<'a>(
        &'a self,
        problem: &'a Problem,
        known: &'a Measurement<State>,
    ) -> Result<Box<dyn ScoreFn<State> + 'a>> {
        let data = &problem.data;
        let guided = |spread| PosteriorGuided::new(data, known, spread);
        Ok(match self.by {
            By::ExactScore => Box::new(&problem.posterior),
            By::Jacobian => Box::new(guided(Spread::Jacobian { iterations: 4 })?),
            By::Isotropic => Box::new(guided(Spread::Isotropic { data_deviation: 1.0 })?),
            By::Projection => Box::new(MapData { inner: data, map: known }),
            By::Replacement { .. } | By::Published { .. } | By::Ddrm => Box::new(data),
        })
    }
}
