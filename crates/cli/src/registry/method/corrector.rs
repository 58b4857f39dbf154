//! Correctors, by name.

use super::Method;
use anyhow::Result;
use clap::ValueEnum;
use tch::Tensor;
use tweedie_samplers::{AnnealedLangevin, Corrector, Langevin, PredictorCorrector, Solver};

/// A move within a noise level, between the steps of the method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CorrectorName {
    /// Langevin dynamics whose step follows the norms of score and noise
    Langevin,
    /// Annealed Langevin dynamics: the step follows the noise level
    Annealed,
}

/// More moves a step than any run gains from.
const MOST_MOVES: usize = 1000;

pub(super) fn moves(text: &str) -> Result<usize, String> {
    let moves = text.parse().ok().filter(|moves| (1..=MOST_MOVES).contains(moves));
    moves.ok_or_else(|| format!("expected a whole number from 1 to {MOST_MOVES}"))
}

impl Method {
    /// A solver with the corrector that is asked for between its steps.
    ///
    /// # Errors
    /// When an option is out of range.
    pub(super) fn corrected<'a>(
        &self,
        predictor: Box<dyn Solver<Tensor> + 'a>,
    ) -> Result<Box<dyn Solver<Tensor> + 'a>> {
        Ok(match self.corrector(self.corrector_steps())? {
            None => predictor,
            Some(corrector) => Box::new(PredictorCorrector::new(predictor, corrector)),
        })
    }

    /// What moves the state between the steps by so many iterations, if anything does.
    ///
    /// # Errors
    /// When an option is out of range.
    pub(super) fn corrector(
        &self,
        iterations: usize,
    ) -> Result<Option<Box<dyn Corrector<Tensor>>>> {
        let snr = self.snr();
        Ok(match self.corrector.filter(|_| iterations > 0) {
            None => None,
            // per sample, so that an image does not depend on its batch
            Some(CorrectorName::Langevin) => {
                Some(Box::new(Langevin::new(snr, iterations)?.per_sample()))
            }
            Some(CorrectorName::Annealed) => {
                Some(Box::new(AnnealedLangevin::new(snr, iterations)?))
            }
        })
    }

    pub(super) fn snr(&self) -> f64 {
        let own = self.sampling().and_then(|sampling| sampling.corrector);
        self.snr.or(own.map(|own| own.snr)).unwrap_or(0.16)
    }

    /// Moves a step; none where the scheduler of the model makes none.
    pub(super) fn corrector_steps(&self) -> usize {
        let own = self.sampling().and_then(|sampling| sampling.corrector);
        self.corrector_steps.or(own.map(|own| own.moves)).unwrap_or(1)
    }
}
