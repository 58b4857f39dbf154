//! The log likelihood of data under the probability flow.
//!
//! The flow `dx/dt = v(x, t)` carries data at the lower time limit to a latent at the noisiest time, and
//! the log density changes along the way by the divergence of `v`:
//!
//! `log p_0(x(0)) = log p_T(x(T)) + int_0^T div v(x(t), t) dt` // Chen et al. 2018, eq. 8
//!
//! State and integral are one system ([`WithLogDensity`](crate::WithLogDensity)), integrated by any
//! adaptive Runge-Kutta method. Song et al. 2021, app. D.2. An evaluation is one forward pass of the
//! network and one backward pass for each probe; memory does not depend on the number of steps. A
//! tolerance that cannot be met ends in an error: [`RungeKutta`] bounds the evaluations.

use crate::divergence::{Directions, Divergence};
use crate::{LikelihoodError, WithLogDensity};
use tweedie_samplers::{Counters, ProbabilityFlow, RungeKutta};
use tweedie_score::{Batch, DifferentiableScoreFn, Draw, ErrorNorm, NoiseSource, ScoreError};
use tweedie_sde::Sde;

/// The density that the flow gives to data, when its far end has the prior's density.
#[derive(Clone, Copy, Debug)]
pub struct FlowLikelihood<M> {
    flow: ProbabilityFlow<M>,
    divergence: Divergence,
    lower_limit: f64,
}

/// Log likelihoods and how they came about.
#[derive(Clone, Debug)]
pub struct FlowRun<S> {
    /// The samples at the noisiest time.
    pub latent: S,
    /// Log density of each latent, in nats: under the prior, unless another density was given.
    pub terminal: Vec<f64>,
    /// Integral of the divergence along the way of each sample, in nats.
    pub integral: Vec<f64>,
    /// Times at which accepted steps begin and end, from the lower limit to the noisiest time.
    pub times: Vec<f64>,
    /// What the run took: an evaluation is one forward pass and `backward_passes` backward ones.
    pub counters: Counters,
    /// Backward passes of one evaluation.
    pub backward_passes: usize,
}

impl<S> FlowRun<S> {
    /// Log density of each sample at the lower time limit, in nats.
    #[must_use]
    pub fn log_density(&self) -> Vec<f64> {
        self.terminal.iter().zip(&self.integral).map(|(end, change)| end + change).collect()
    }
}

impl<M: Sde> FlowLikelihood<M> {
    /// The likelihood over the whole time range of `sde`, by `method`, with one Rademacher probe.
    #[must_use]
    pub fn new(sde: M, method: RungeKutta) -> Self {
        let lower_limit = sde.time_range().0;
        let flow = ProbabilityFlow::new(sde, method);
        Self { flow, divergence: Divergence::default(), lower_limit }
    }

    /// The same with another way to the divergence.
    #[must_use]
    pub fn with_divergence(self, divergence: Divergence) -> Self {
        Self { divergence, ..self }
    }

    /// The same for data taken to be at time `t` rather than at the cleanest time: below it a network was
    /// not trained, or the density changes too fast.
    ///
    /// # Errors
    /// When `t` is not before the noisiest time, or outside the time range of the SDE.
    pub fn with_lower_limit(self, t: f64) -> Result<Self, LikelihoodError> {
        let (low, high) = self.sde().time_range();
        if !(low..high).contains(&t) {
            return Err(LikelihoodError::TimeOutsideRange { t, low, high });
        }
        Ok(Self { lower_limit: t, ..self })
    }

    /// The SDE whose probability flow this is.
    #[must_use]
    pub fn sde(&self) -> &M {
        self.flow.sde()
    }

    /// The time that data are taken to be at.
    #[must_use]
    pub fn lower_limit(&self) -> f64 {
        self.lower_limit
    }

    /// Log likelihoods of data `x` whose latents have the density of the SDE's prior.
    ///
    /// # Errors
    /// When `x` is empty or not finite, the exact trace is asked of large samples, drift, diffusion or
    /// score is not finite at an end of the time range, the tolerance cannot be met, or network or noise
    /// fails.
    pub fn run<S: Draw + ErrorNorm>(
        &self,
        score: &dyn DifferentiableScoreFn<S>,
        x: S,
        noise: &mut dyn NoiseSource<S>,
    ) -> Result<FlowRun<S>, LikelihoodError> {
        let prior = |latent: &S| {
            let squares = latent.dot_each(latent).into_iter();
            squares.map(|square| self.sde().prior_log_density(square, latent.item_len())).collect()
        };
        self.run_towards(score, x, noise, &prior)
    }

    /// The same with another density of the latents, one log density a sample in nats: the closed form,
    /// where it is known, leaves no error but that of the integration.
    ///
    /// # Errors
    /// As [`run`](Self::run), and when there is not one density a sample.
    pub fn run_towards<S: Draw + ErrorNorm>(
        &self,
        score: &dyn DifferentiableScoreFn<S>,
        x: S,
        noise: &mut dyn NoiseSource<S>,
        terminal: &dyn Fn(&S) -> Vec<f64>,
    ) -> Result<FlowRun<S>, LikelihoodError> {
        check_data(&x)?;
        let span = (self.lower_limit, self.sde().time_range().1);
        self.flow.check_span(score, span)?;
        let (samples, values) = (x.batch_len(), x.item_len());
        let directions = self.divergence.directions(&x, noise)?;
        let start = WithLogDensity { x, log_density: vec![0.0; samples] };
        let mut slope =
            |t: f64, state: &WithLogDensity<S>| self.slope(score, t, state, &directions);
        let run = self.flow.carry(&mut slope, span, start)?;
        let WithLogDensity { x: latent, log_density: integral } = run.state;
        let terminal = terminal(&latent);
        if terminal.len() != samples {
            return Err(LikelihoodError::DensityCount { got: terminal.len(), samples });
        }
        let backward_passes = self.divergence.backward_passes(values);
        let (times, counters) = (run.times, run.counters);
        Ok(FlowRun { latent, terminal, integral, times, counters, backward_passes })
    }

    /// Velocity and divergence of the flow.
    fn slope<S: Batch>(
        &self,
        score: &dyn DifferentiableScoreFn<S>,
        t: f64,
        state: &WithLogDensity<S>,
        directions: &Directions<S>,
    ) -> Result<WithLogDensity<S>, ScoreError> {
        let at = self.sde().point(t);
        let coefficients = self.flow.coefficients(score, t)?;
        let (output, products) = score.predict_vjps(&state.x, at, &directions.vectors)?;
        // Song et al. 2021, eqs. 39 and 40
        let log_density = directions.trace(coefficients.x, coefficients.output, &products);
        Ok(WithLogDensity { x: coefficients.slope(&state.x, &output), log_density })
    }
}

pub(crate) fn check_data<S: Batch>(x: &S) -> Result<(), LikelihoodError> {
    let (samples, values) = (x.batch_len(), x.item_len());
    if samples == 0 || values == 0 {
        return Err(LikelihoodError::NoData { samples, values });
    }
    match x.norm_each().iter().position(|norm| !norm.is_finite()) {
        Some(sample) => Err(LikelihoodError::NotFinite { sample }),
        None => Ok(()),
    }
}
