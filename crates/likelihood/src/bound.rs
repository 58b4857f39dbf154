//! The variational bound of a chain, with all of its terms by step.
//!
//! `-ln p(x_0) <= L_T + sum of L_t + L_0` (Ho et al. 2020, eq. 5), for the chain that ancestral sampling walks
//! over a grid: every step of a discrete model, or any sub-sequence, with a fixed, learned or optimal
//! variance. One evaluation of the network and one draw of noise a step. What it bounds is the
//! probability of the *levels* of the data under that chain, which is another model than the probability flow.
//!
//! ```
//! use ndarray::ArrayD;
//! use tweedie_closed_form::{ExactScore, Mixture, Part};
//! use tweedie_likelihood::VariationalBound;
//! use tweedie_losses::Decoder;
//! use tweedie_schedules::{DiscreteTable, Prediction, Spacing, TimeGrid, Variance};
//! use tweedie_score::PerSample;
//!
//! let data = Mixture::new(vec![Part { weight: 1.0, mean: vec![0.2, -0.1], deviation: 0.4 }])?;
//! let score = ExactScore::new(data, Prediction::Noise);
//! let table = DiscreteTable::cosine(1000)?;
//! let grid = TimeGrid::discrete(&table, 20, Spacing::Linspace)?.ending_clean();
//! let bound = VariationalBound::new(&grid, &Variance::FixedSmall, Decoder::default())?;
//! let x0 = ArrayD::from_elem(vec![3, 2], 0.25);
//! let terms = bound.evaluate(&x0, &score, &mut PerSample::new(0, 0, 3))?;
//! assert_eq!((terms.steps.len(), terms.total().len()), (20, 3));
//! let bits = terms.bits_per_dimension(terms.total()[0]);
//! assert!(bits > 0.0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod summary;
mod terms;

pub use summary::{BoundSummary, StepSummary};
pub use terms::{BoundTerms, StepTerm};

use crate::LikelihoodError;
use crate::flow::check_data;
use tweedie_losses::{BoundChain, BoundState, Decoder, prior_kl_each};
use tweedie_schedules::{Prediction, TimeGrid};
use tweedie_score::{NoiseSource, ReverseNoise, ScoreFn, Times};

/// The bound of the chain over a grid.
#[derive(Clone, Debug, PartialEq)]
pub struct VariationalBound {
    chain: BoundChain,
    prior_std: f64,
}

impl VariationalBound {
    /// The bound of the chain through `grid`, which ends in the data
    /// ([`ending_clean`](TimeGrid::ending_clean)), whose steps have the variance of `noise`: a fixed
    /// [`Variance`](tweedie_schedules::Variance), a [`Learned`](tweedie_score::Learned) one, or that of
    /// [`AnalyticDpm`](tweedie_samplers::AnalyticDpm).
    ///
    /// Its prior is standard normal.
    ///
    /// # Errors
    /// As [`BoundChain::new`].
    pub fn new(
        grid: &TimeGrid,
        noise: &dyn ReverseNoise,
        decoder: Decoder,
    ) -> Result<Self, LikelihoodError> {
        Ok(Self { chain: BoundChain::new(grid, noise, decoder)?, prior_std: 1.0 })
    }

    /// The same with a normal prior of deviation `prior_std`, that of the model's process.
    ///
    /// # Errors
    /// When it is not above 0 and finite.
    pub fn with_prior_std(self, prior_std: f64) -> Result<Self, LikelihoodError> {
        if prior_std > 0.0 && prior_std.is_finite() {
            return Ok(Self { prior_std, ..self });
        }
        let (name, allowed) = ("deviation of the prior", "a finite value above 0");
        Err(LikelihoodError::ParameterOutOfRange { name, value: prior_std, allowed })
    }

    /// The chain.
    #[must_use]
    pub const fn chain(&self) -> &BoundChain {
        &self.chain
    }

    /// Number of steps: of evaluations, of draws and of terms beside the prior's.
    #[must_use]
    pub fn len(&self) -> usize {
        self.chain.steps().len()
    }

    /// Whether there is no step; a chain has at least one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.chain.steps().is_empty()
    }

    /// The prior's term of each sample, in nats: how far its noise is from the prior at the chain's start.
    ///
    /// # Errors
    /// When the batch is empty or holds values that are not finite.
    pub fn prior<S: BoundState>(&self, x0: &S) -> Result<Vec<f64>, LikelihoodError> {
        check_data(x0)?;
        // Ho et al. 2020, eq. 5, L_T
        Ok(prior_kl_each(x0, self.chain.start().level, self.prior_std))
    }

    /// The term of one step, noisiest first, of each sample. It is an estimate from one draw of noise.
    ///
    /// # Errors
    /// When the data, the network or the noise source fails, or a term is not finite.
    ///
    /// # Panics
    /// When there is no such step.
    pub fn step<S: BoundState>(
        &self,
        index: usize,
        x0: &S,
        score: &dyn ScoreFn<S>,
        noise: &mut dyn NoiseSource<S>,
    ) -> Result<StepTerm, LikelihoodError> {
        check_data(x0)?;
        let interval = self.chain.steps()[index].interval();
        let (at, level) = (interval.from, interval.from.level);
        let failed = |source| LikelihoodError::Score { t: at.t, source };
        let (of_x, of_output) = score.conversion(Prediction::Data, at).map_err(failed)?;
        let eps = noise.normal_like(x0)?;
        let x = S::combine(&[(level.alpha, x0), (level.sigma, &eps)]);
        let (output, values) =
            score.predict_with_variance(&x, Times::Shared(at)).map_err(failed)?;
        let data = S::combine(&[(of_x, &x), (of_output, &output)]);
        let steps = vec![index; x0.batch_len()];
        let terms = self.chain.terms(&steps, x0, &data, values.as_ref()).map_err(failed)?;
        let error = S::combine(&[(1.0, &data), (-1.0, x0)]);
        let mean = |sum: f64| sum / x0.item_len() as f64;
        let data_error: Vec<f64> = error.dot_each(&error).into_iter().map(mean).collect();
        // x_t is given, so an error of the data is one of the noise by the ratio of their coefficients
        let noise_error = data_error.iter().map(|square| square * level.snr()).collect();
        StepTerm { interval, nats: terms.sum_each(), data_error, noise_error }.checked(index)
    }

    /// All terms of each sample of a batch.
    ///
    /// # Errors
    /// As [`step`](Self::step).
    pub fn evaluate<S: BoundState>(
        &self,
        x0: &S,
        score: &dyn ScoreFn<S>,
        noise: &mut dyn NoiseSource<S>,
    ) -> Result<BoundTerms, LikelihoodError> {
        let prior = self.prior(x0)?;
        let step = |index| self.step(index, x0, score, noise);
        let steps = (0..self.len()).map(step).collect::<Result<_, _>>()?;
        Ok(BoundTerms { dimensions: x0.item_len(), prior, steps })
    }
}
