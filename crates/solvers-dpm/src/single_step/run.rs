//! One run of a single-step solver.

use crate::linear::prediction;
use crate::stage::Stage;
use tweedie_samplers::{SampleError, Stepper};
use tweedie_score::{NoiseSource, ScoreFn, VectorSpace};

/// The planned stages, and what is known within the step under way.
pub(super) struct Run<S> {
    stages: Vec<Vec<Stage>>,
    /// The state at the start of the step; none before the first.
    start: Option<S>,
    estimates: Vec<S>,
}

impl<S: VectorSpace> Run<S> {
    pub(super) fn new(stages: Vec<Vec<Stage>>) -> Self {
        Self { stages, start: None, estimates: Vec::new() }
    }
}

impl<S: VectorSpace> Stepper<S> for Run<S> {
    fn step(
        &mut self,
        index: usize,
        mut x: S,
        score: &dyn ScoreFn<S>,
        noise: &mut dyn NoiseSource<S>,
    ) -> Result<S, SampleError> {
        for stage in &self.stages[index] {
            let estimate = prediction(index, (&x, stage.at), stage.estimate, score)?;
            if stage.row.estimates.len() == 1 {
                self.start = None; // a new step begins
                self.estimates.clear();
            }
            self.estimates.push(estimate);
            let start = self.start.get_or_insert(x);
            x = stage.row.renoise(index, stage.row.combine(start, &self.estimates), noise)?;
        }
        Ok(x)
    }
}
