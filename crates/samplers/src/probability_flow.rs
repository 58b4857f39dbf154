//! The probability flow as a differential equation, solved with adaptive steps.
//!
//! `dx/dt = f(t) x - g(t)^2 / 2 score(x, t)` carries the prior to the data, or data to its latent,
//! through the marginals of the SDE. Song et al. 2021, eq. 13. Deterministic; as many evaluations as
//! the tolerance takes, one more for the final denoising.

use crate::{AdaptiveRun, RungeKutta, SampleError, Slope};
use tweedie_schedules::{NoiseLevel, Prediction};
use tweedie_score::{ErrorNorm, ScoreError, ScoreFn, Times, VectorSpace};
use tweedie_sde::{ReverseSde, Sde};

/// The probability flow of an SDE with the score of a network.
#[derive(Clone, Copy, Debug)]
pub struct ProbabilityFlow<M> {
    sde: M,
    method: RungeKutta,
    denoise: bool,
}

/// The slope of the flow at one time: `x` times the state and `output` times the prediction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FlowCoefficients {
    /// Factor of the state.
    pub x: f64,
    /// Factor of what the network predicts.
    pub output: f64,
}

impl FlowCoefficients {
    /// `dx/dt` of a state for which the network predicts `output`.
    ///
    /// # Panics
    /// When the shapes differ.
    #[must_use]
    pub fn slope<S: VectorSpace>(self, x: &S, output: &S) -> S {
        if self.output == 0.0 {
            return S::combine(&[(self.x, x)]);
        }
        // drift and score all but cancel where the state is nearly noise: what is left is summed
        // before it is scaled, so that no rounding of the two large terms remains in it
        let sum = S::combine(&[(self.x / self.output, x), (1.0, output)]);
        sum.combine_reusing(self.output, &[])
    }
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
    /// Where the prediction does not determine the score, or whatever the network fails with.
    pub fn slope<S: VectorSpace>(
        &self,
        score: &dyn ScoreFn<S>,
        t: f64,
        x: &S,
    ) -> Result<S, ScoreError> {
        let coefficients = self.coefficients(score, t)?;
        let output = score.predict(x, Times::Shared(self.sde.point(t)))?;
        Ok(coefficients.slope(x, &output))
    }

    /// The slope at time `t` as a combination of the state and of what `score` predicts there.
    ///
    /// # Errors
    /// Where the prediction does not determine the score.
    pub fn coefficients<S: VectorSpace>(
        &self,
        score: &dyn ScoreFn<S>,
        t: f64,
    ) -> Result<FlowCoefficients, ScoreError> {
        let (score_x, score_output) = score.conversion(Prediction::Score, self.sde.point(t))?;
        let (of_x, of_score) = ReverseSde::probability_flow(&self.sde).drift(t);
        Ok(FlowCoefficients { x: of_x + of_score * score_x, output: of_score * score_output })
    }

    /// The SDE whose marginals the flow passes through.
    #[must_use]
    pub fn sde(&self) -> &M {
        &self.sde
    }

    /// The method that solves it.
    #[must_use]
    pub fn method(&self) -> &RungeKutta {
        &self.method
    }

    /// Carries a state drawn from the prior to the data.
    ///
    /// # Errors
    /// When drift, diffusion or score is not finite at an end of the time range, the tolerance cannot
    /// be met, or the network fails.
    pub fn sample<S: ErrorNorm>(
        &self,
        score: &dyn ScoreFn<S>,
        x: S,
    ) -> Result<AdaptiveRun<S>, SampleError> {
        let (clean, noisy) = self.sde.time_range();
        let mut run = self.integrate(score, (noisy, clean), x)?;
        if self.denoise {
            let (at, step) = (self.sde.point(clean), run.counters.accepted);
            let failed = |source| SampleError::Score { step, t: clean, source };
            let (a, b) = score.conversion(Prediction::Data, at).map_err(failed)?;
            let output = score.predict(&run.state, Times::Shared(at)).map_err(failed)?;
            run.state = S::combine(&[(a, &run.state), (b, &output)]);
            run.counters.evaluations += 1;
        }
        Ok(run)
    }

    /// Carries data to the latent that [`sample`](Self::sample) would carry back.
    ///
    /// # Errors
    /// When drift, diffusion or score is not finite at an end of the time range, the tolerance cannot
    /// be met, or the network fails.
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
        self.check_span(score, span)?;
        self.carry(&mut |t, x: &S| self.slope(score, t, x), span, x)
    }

    /// Integrates `dx/dt = slope(t, x)`, an equation that moves with the SDE, in steps of the SDE's
    /// [clock](Sde::clock).
    ///
    /// # Errors
    /// As [`RungeKutta::integrate`].
    pub fn carry<S: ErrorNorm>(
        &self,
        slope: &mut Slope<'_, S>,
        (from, to): (f64, f64),
        x: S,
    ) -> Result<AdaptiveRun<S>, SampleError> {
        let span = (self.sde.clock(from), self.sde.clock(to));
        let time = |clock: f64| match clock {
            clock if clock == span.0 => from,
            clock if clock == span.1 => to,
            clock => self.sde.time_at_clock(clock),
        };
        let mut by_clock = |clock: f64, x: &S| {
            let t = time(clock);
            let (slope, rate) = (slope(t, x)?, self.sde.clock_rate(t));
            Ok(if rate == 1.0 { slope } else { slope.combine_reusing(1.0 / rate, &[]) })
        };
        let run = self.method.integrate(&mut by_clock, span, x);
        let mut run = run.map_err(|error| error.at_time_of(time))?;
        run.times.iter_mut().for_each(|t| *t = time(*t));
        Ok(run)
    }

    /// Refuses a span at whose ends the slope is not known, before the network is asked.
    ///
    /// # Errors
    /// When drift, diffusion or score is not finite at an end.
    pub fn check_span<S: VectorSpace>(
        &self,
        score: &dyn ScoreFn<S>,
        (from, to): (f64, f64),
    ) -> Result<(), SampleError> {
        for t in [from, to] {
            self.check_finite(t)?;
            let failed = |source| SampleError::Score { step: 0, t, source };
            score.conversion(Prediction::Score, self.sde.point(t)).map_err(failed)?;
        }
        Ok(())
    }

    /// Refuses a time at which the SDE has no finite motion, before the network is asked about it.
    fn check_finite(&self, t: f64) -> Result<(), SampleError> {
        let (drift, diffusion_squared) = (self.sde.drift(t), self.sde.diffusion_squared(t));
        if drift.is_finite() && diffusion_squared.is_finite() {
            return Ok(());
        }
        let NoiseLevel { alpha, sigma } = self.sde.level(t);
        Err(SampleError::InfiniteSlope { t, alpha, sigma, drift, diffusion_squared })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{ArrayD, arr2};
    use std::cell::Cell;
    use tweedie_schedules::{DiscreteTable, VpLinear};

    /// A network that counts its calls and says nothing.
    struct Silent {
        calls: Cell<usize>,
        prediction: Prediction,
    }

    impl ScoreFn<ArrayD<f64>> for Silent {
        fn prediction(&self) -> Prediction {
            self.prediction
        }

        fn predict(&self, x: &ArrayD<f64>, _at: Times<'_>) -> Result<ArrayD<f64>, ScoreError> {
            self.calls.set(self.calls.get() + 1);
            Ok(x * 0.0)
        }
    }

    /// What both directions of the flow are refused with, the network never asked.
    fn refusals(sde: impl Sde, prediction: Prediction) -> [SampleError; 2] {
        let score = Silent { calls: Cell::new(0), prediction };
        let flow = ProbabilityFlow::new(sde, RungeKutta::new(1e-4, 1e-4).unwrap());
        let x = || arr2(&[[0.3, -1.2]]).into_dyn();
        let errors = [flow.sample(&score, x()).unwrap_err(), flow.encode(&score, x()).unwrap_err()];
        assert_eq!(score.calls.get(), 0);
        errors
    }

    #[test]
    fn a_table_that_ends_in_pure_noise_is_refused_before_the_network_is_asked() {
        let table = DiscreteTable::linear(50, 1e-3, 0.2).unwrap().rescaled_to_zero_snr().unwrap();
        for error in refusals(&table, Prediction::Velocity) {
            assert!(matches!(error, SampleError::InfiniteSlope { .. }), "{error}");
            let text = error.to_string();
            assert!(text.starts_with("at t = 1 (alpha = 0, sigma = 1)"), "{text}");
            assert!(text.contains("with_time_range"), "{text}");
        }
        let narrowed = table.with_time_range(0.02, 0.98).unwrap();
        let flow = ProbabilityFlow::new(narrowed, RungeKutta::new(1e-4, 1e-4).unwrap());
        let score = Silent { calls: Cell::new(0), prediction: Prediction::Score };
        assert!(flow.sample(&score, arr2(&[[0.3]]).into_dyn()).is_ok());
    }

    #[test]
    fn a_network_that_tells_no_score_at_one_end_is_not_asked() {
        let from_the_data = VpLinear::new(0.1, 20.0).unwrap().with_time_range(0.0, 1.0).unwrap();
        for error in refusals(from_the_data, Prediction::Noise) {
            let SampleError::Score { t: 0.0, source, .. } = error else { panic!("{error}") };
            assert!(matches!(source, ScoreError::Undetermined { sigma: 0.0, .. }), "{source}");
        }
    }
}
