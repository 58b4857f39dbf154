//! Predictor-corrector sampling: a solver steps from level to level, a corrector works within each.
//!
//! Song et al. 2021, algorithm 1. Each step costs the evaluations of the predictor's step and those of
//! one correction. The predictor may be any solver.

use crate::{Corrector, SampleError, Solver, Stepper};
use tweedie_schedules::{Interval, TimeGrid};
use tweedie_score::{NoiseSource, ScoreFn, VectorSpace};

/// Where in a step the corrector works.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CorrectorPlace {
    /// Before the predictor, at the level it leaves: the published code.
    #[default]
    Before,
    /// After the predictor, at the level where it arrives: the paper. Data needs no correction, and
    /// gets none.
    After,
}

/// A solver with a corrector.
///
/// With [`MeanAtEnd`](crate::MeanAtEnd) around the predictor the run ends without the noise of the
/// last step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PredictorCorrector<P, C> {
    /// The solver that steps from level to level; [`NoPredictor`](crate::NoPredictor) for none.
    pub predictor: P,
    /// What works within a level; [`NoCorrector`](crate::NoCorrector) for none.
    pub corrector: C,
    /// Where in a step the corrector works.
    pub place: CorrectorPlace,
}

struct Steps<'a, S, C> {
    predictor: Box<dyn Stepper<S> + 'a>,
    corrector: &'a C,
    places: Vec<Option<Interval>>,
    place: CorrectorPlace,
}

impl<P, C> PredictorCorrector<P, C> {
    /// The corrector before the predictor, as in the published code.
    #[must_use]
    pub const fn new(predictor: P, corrector: C) -> Self {
        Self { predictor, corrector, place: CorrectorPlace::Before }
    }

    /// The interval whose noisier end each step's correction stands at.
    fn places<S>(&self, grid: &TimeGrid) -> Result<Vec<Option<Interval>>, SampleError>
    where
        C: Corrector<S>,
    {
        if self.corrector.is_idle() {
            return Ok(vec![None; grid.len()]);
        }
        match self.place {
            CorrectorPlace::Before => {
                let places = grid.intervals().iter().copied().enumerate();
                places.map(|(step, place)| noisy_place(step, place).map(Some)).collect()
            }
            CorrectorPlace::After => {
                Ok((1..=grid.len()).map(|level| correction_place(grid, level)).collect())
            }
        }
    }
}

/// `place` for a correction of step `step`, when there is noise for it to work on.
fn noisy_place(step: usize, place: Interval) -> Result<Interval, SampleError> {
    if place.from.level.sigma > 0.0 {
        return Ok(place);
    }
    let (from, to) = (place.from.t, place.to.t);
    let reason = "it starts without noise, where a corrector finds no score";
    Err(SampleError::ImpossibleStep { step, from, to, reason })
}

/// The interval that starts at level `level` of a grid, the last of which is the grid's end; none at
/// a level without noise, where there is no score to follow.
pub(crate) fn correction_place(grid: &TimeGrid, level: usize) -> Option<Interval> {
    let starting = grid.intervals().get(level).copied();
    let end = |interval: &Interval| Interval { from: interval.to, to: interval.to };
    let place = starting.or_else(|| grid.intervals().last().map(end))?;
    (place.from.level.sigma > 0.0).then_some(place)
}

impl<S: VectorSpace, P: Solver<S>, C: Corrector<S>> Solver<S> for PredictorCorrector<P, C> {
    fn plan<'a>(&'a self, grid: &'a TimeGrid) -> Result<Box<dyn Stepper<S> + 'a>, SampleError> {
        let Self { corrector, place, .. } = self;
        let (places, predictor) = (self.places(grid)?, self.predictor.plan(grid)?);
        Ok(Box::new(Steps { predictor, corrector, places, place: *place }))
    }

    fn evaluations(&self, grid: &TimeGrid) -> Result<usize, SampleError> {
        let corrections = self.places(grid)?.iter().flatten().count();
        Ok(self.predictor.evaluations(grid)? + corrections * self.corrector.evaluations())
    }

    fn steps(&self, grid: &TimeGrid) -> usize {
        self.predictor.steps(grid)
    }
}

impl<S, C: Corrector<S>> Steps<'_, S, C> {
    /// The correction of a step; a step that the predictor adds to the grid's has none.
    fn correct(
        &self,
        index: usize,
        x: S,
        score: &dyn ScoreFn<S>,
        noise: &mut dyn NoiseSource<S>,
    ) -> Result<S, SampleError> {
        match self.places.get(index) {
            Some(Some(place)) => {
                let corrected = self.corrector.correct(x, *place, score, noise);
                corrected.map_err(|error| error.at_step(index))
            }
            _ => Ok(x),
        }
    }
}

impl<S: VectorSpace, C: Corrector<S>> Stepper<S> for Steps<'_, S, C> {
    fn step(
        &mut self,
        index: usize,
        x: S,
        score: &dyn ScoreFn<S>,
        noise: &mut dyn NoiseSource<S>,
    ) -> Result<S, SampleError> {
        match self.place {
            CorrectorPlace::Before => {
                let x = self.correct(index, x, score, noise)?;
                self.predictor.step(index, x, score, noise)
            }
            CorrectorPlace::After => {
                let x = self.predictor.step(index, x, score, noise)?;
                self.correct(index, x, score, noise)
            }
        }
    }
}
