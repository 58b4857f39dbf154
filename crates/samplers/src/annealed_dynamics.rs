//! A corrector alone, at one noise level after the other: annealed Langevin dynamics (SMLD).
//!
//! Song and Ermon 2019, algorithm 1. No step leads from level to level: the levels lie so close that
//! the state is a passable start for the next. Each level costs one correction.

use crate::predictor_corrector::correction_place;
use crate::{Corrector, SampleError, Solver, Stepper};
use tweedie_schedules::{Interval, TimeGrid};
use tweedie_score::{NoiseSource, ScoreFn};

/// The sampler that corrects at every level of a grid, its end included, and does nothing else.
///
/// With [`AnnealedLangevin::with_step_size`](crate::AnnealedLangevin::with_step_size) it is the sampler
/// of SMLD, with [`Denoised`](crate::Denoised) around it the one of Song and Ermon 2020.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnnealedDynamics<C>(pub C);

struct Levels<'a, C> {
    corrector: &'a C,
    places: Vec<Interval>,
}

/// An interval for each level with noise.
fn places(grid: &TimeGrid) -> Result<Vec<Interval>, SampleError> {
    if grid.is_empty() {
        return Err(SampleError::EmptyGrid);
    }
    Ok((0..=grid.len()).filter_map(|level| correction_place(grid, level)).collect())
}

impl<S, C: Corrector<S>> Solver<S> for AnnealedDynamics<C> {
    fn plan<'a>(&'a self, grid: &'a TimeGrid) -> Result<Box<dyn Stepper<S> + 'a>, SampleError> {
        Ok(Box::new(Levels { corrector: &self.0, places: places(grid)? }))
    }

    fn evaluations(&self, grid: &TimeGrid) -> Result<usize, SampleError> {
        Ok(places(grid)?.len() * self.0.evaluations())
    }

    fn steps(&self, grid: &TimeGrid) -> usize {
        places(grid).map_or(0, |places| places.len())
    }
}

impl<S, C: Corrector<S>> Stepper<S> for Levels<'_, C> {
    fn step(
        &mut self,
        index: usize,
        x: S,
        score: &dyn ScoreFn<S>,
        noise: &mut dyn NoiseSource<S>,
    ) -> Result<S, SampleError> {
        let corrected = self.corrector.correct(x, self.places[index], score, noise);
        corrected.map_err(|error| error.at_step(index))
    }
}
