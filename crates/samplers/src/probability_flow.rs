//! The probability flow as a differential equation, solved with adaptive steps.
//!
//! `dx/dt = f(t) x - g(t)^2 / 2 score(x, t)` carries the prior to the data, or data to its latent,
//! through the marginals of the SDE. Song et al. 2021, eq. 13. Deterministic; as many evaluations as
//! the tolerance takes, one more for the final denoising.

use crate::{AdaptiveRun, RungeKutta, SampleError};
use tweedie_schedules::Prediction;
use tweedie_score::{ErrorNorm, ScoreError, ScoreFn, Times, VectorSpace};
use tweedie_sde::{ReverseSde, Sde};

/// The probability flow of an SDE with the score of a network.
#[derive(Clone, Copy, Debug)]
pub struct ProbabilityFlow<M> {
    sde: M,
    method: RungeKutta,
    denoise: bool,
}

impl<M: Sde> ProbabilityFlow<M> {
    /// The flow over the time range of `sde`, solved by `method`.
    #[must_use]
    pub fn new(sde: M, method: RungeKutta) -> Self {
        Self { sde, method, denoise: false }
    }

    /// The same, whose samples are replaced at the end by the mean of the data given them: Tweedie's
    /// formula, one more evaluation. // Efron 2011, eq. 1.4
    #[must_use]
    pub fn ending_denoised(self) -> Self {
        Self { denoise: true, ..self }
    }

    /// The slope `dx/dt` at time `t`.
    ///
    /// # Errors
    /// Whatever the network fails with.
    pub fn slope<S: VectorSpace>(
        &self,
        score: &dyn ScoreFn<S>,
        t: f64,
        x: &S,
    ) -> Result<S, ScoreError> {
        let at = self.sde.point(t);
        let output = score.predict(x, Times::Shared(at))?;
        let (of_x, of_score) = ReverseSde::probability_flow(&self.sde).drift(t);
        let (score_x, score_output) = score.prediction().convert(Prediction::Score, at.level);
        let (of_x, of_output) = (of_x + of_score * score_x, of_score * score_output);
        if of_output == 0.0 {
            return Ok(S::combine(&[(of_x, x)]));
        }
        // drift and score all but cancel where the state is nearly noise: what is left is summed
        // before it is scaled, so that no rounding of the two large terms remains in it
        let sum = S::combine(&[(of_x / of_output, x), (1.0, &output)]);
        Ok(S::combine(&[(of_output, &sum)]))
    }

    /// Carries a state drawn from the prior to the data.
    ///
    /// # Errors
    /// When the tolerance cannot be met or the network fails.
    pub fn sample<S: ErrorNorm>(
        &self,
        score: &dyn ScoreFn<S>,
        x: S,
    ) -> Result<AdaptiveRun<S>, SampleError> {
        let (clean, noisy) = self.sde.time_range();
        let mut run = self.integrate(score, (noisy, clean), x)?;
        if self.denoise {
            let (at, step) = (self.sde.point(clean), run.counters.accepted);
            let output = score
                .predict(&run.state, Times::Shared(at))
                .map_err(|source| SampleError::Score { step, t: clean, source })?;
            let (a, b) = score.prediction().convert(Prediction::Data, at.level);
            run.state = S::combine(&[(a, &run.state), (b, &output)]);
            run.counters.evaluations += 1;
        }
        Ok(run)
    }

    /// Carries data to the latent that [`sample`](Self::sample) would carry back.
    ///
    /// # Errors
    /// When the tolerance cannot be met or the network fails.
    pub fn encode<S: ErrorNorm>(
        &self,
        score: &dyn ScoreFn<S>,
        x: S,
    ) -> Result<AdaptiveRun<S>, SampleError> {
        self.integrate(score, self.sde.time_range(), x)
    }

    fn integrate<S: ErrorNorm>(
        &self,
        score: &dyn ScoreFn<S>,
        span: (f64, f64),
        x: S,
    ) -> Result<AdaptiveRun<S>, SampleError> {
        self.method.integrate(&mut |t, x: &S| self.slope(score, t, x), span, x)
    }
}
