//! Ancestral sampling with the variance that the network learned.
//!
//! `x_s = mean of q(x_s | x_t, x0_hat) + std * z`, where the deviation differs from value to value.
//! Nichol and Dhariwal 2021, sec. 3.1. One evaluation a step, stochastic; the network must give the
//! values behind the variance ([`ScoreFn::predict_with_variance`]).

use crate::{Ancestral, Predictor, SampleError, Solver, Stepper, Variance};
use tweedie_schedules::{Interval, NoiseLevel, Prediction, TimeGrid};
use tweedie_score::{Elementwise, NoiseSource, ScoreError, ScoreFn, Times};

/// What the values beside the prediction say about the variance of a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Learned {
    /// They place its logarithm between those of its bounds: -1 is the small variance, 1 the large one.
    #[default]
    Range,
    /// They are its natural logarithm.
    LogVariance,
    /// They are the variance.
    Variance,
}

/// DDPM's sampler with a learned variance.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LearnedAncestral {
    /// What the network's values mean.
    pub learned: Learned,
    /// Noise of a step that ends clean. `None`: there is none. `Some(floor)`: the step draws what the
    /// network says, and `floor` stands for the small variance, which is zero there.
    pub clean_floor: Option<f64>,
}

/// The deviation of the noise in one step, which may follow the network's values `v`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Deviation {
    /// The same for every value.
    Fixed(f64),
    /// `factor * exp(rate * v)`.
    Exponential {
        /// The deviation where `v` is 0.
        factor: f64,
        /// Growth of its logarithm with `v`.
        rate: f64,
    },
    /// `sqrt(v)`.
    Root,
}

/// An ancestral method: the posterior's mean, and noise of some deviation.
pub trait ReverseNoise {
    /// The deviation over `interval`; `None` where the step adds no noise.
    fn deviation(&self, interval: Interval) -> Option<Deviation>;
}

impl ReverseNoise for Ancestral {
    fn deviation(&self, interval: Interval) -> Option<Deviation> {
        let noise = self.coefficients(interval).noise;
        (noise != 0.0).then_some(Deviation::Fixed(noise))
    }
}

#[derive(Clone, Copy, Debug)]
struct Step {
    x: f64,
    data: f64,
    /// `None` where the step adds no noise.
    deviation: Option<Deviation>,
}

struct Steps<'a> {
    intervals: &'a [Interval],
    steps: Vec<Step>,
}

impl ReverseNoise for LearnedAncestral {
    fn deviation(&self, interval: Interval) -> Option<Deviation> {
        let log_small = if interval.to.level == NoiseLevel::CLEAN {
            self.clean_floor?.ln()
        } else {
            Variance::FixedSmall.log_of(interval)
        };
        Some(match self.learned {
            Learned::Variance => Deviation::Root,
            Learned::LogVariance => Deviation::Exponential { factor: 1.0, rate: 0.5 },
            Learned::Range => {
                // Nichol and Dhariwal 2021, eq. 15, with its v in [0, 1] written (1 + v) / 2
                let log_large = Variance::FixedLarge.log_of(interval);
                let factor = (0.25 * (log_large + log_small)).exp();
                Deviation::Exponential { factor, rate: 0.25 * (log_large - log_small) }
            }
        })
    }
}

impl LearnedAncestral {
    fn steps(&self, grid: &TimeGrid) -> Result<Vec<Step>, SampleError> {
        if grid.is_empty() {
            return Err(SampleError::EmptyGrid);
        }
        let step = |(step, interval): (usize, &Interval)| {
            let posterior = interval.posterior();
            let (x, data) = (posterior.x, posterior.data);
            let deviation = self.deviation(*interval);
            let bounded = deviation.is_none_or(Deviation::is_finite);
            if bounded && x.is_finite() && data.is_finite() && posterior.variance >= 0.0 {
                return Ok(Step { x, data, deviation });
            }
            let (from, to) = (interval.from.t, interval.to.t);
            let reason = "the variance of its reverse Gaussian has no bounds; expected less noise at its end";
            Err(SampleError::ImpossibleStep { step, from, to, reason })
        };
        grid.intervals().iter().enumerate().map(step).collect()
    }
}

impl<S: Elementwise> Solver<S> for LearnedAncestral {
    fn plan<'a>(&'a self, grid: &'a TimeGrid) -> Result<Box<dyn Stepper<S> + 'a>, SampleError> {
        Ok(Box::new(Steps { intervals: grid.intervals(), steps: self.steps(grid)? }))
    }

    fn evaluations(&self, grid: &TimeGrid) -> Result<usize, SampleError> {
        Ok(self.steps(grid)?.len())
    }
}

impl Deviation {
    fn is_finite(self) -> bool {
        match self {
            Self::Fixed(deviation) => deviation.is_finite(),
            Self::Exponential { factor, rate } => factor.is_finite() && rate.is_finite(),
            Self::Root => true,
        }
    }

    /// The deviation times `z`, as a state and a factor that is the same for all of it.
    ///
    /// # Errors
    /// When the deviation follows `values` and there are none.
    pub fn times<S: Elementwise>(self, z: &S, values: Option<&S>) -> Result<(f64, S), ScoreError> {
        let values = || values.ok_or(ScoreError::NoVariance);
        Ok(match self {
            Self::Fixed(deviation) => (deviation, S::combine(&[(1.0, z)])),
            Self::Exponential { factor, rate } => {
                (factor, S::combine(&[(rate, values()?)]).exp().mul(z))
            }
            Self::Root => (1.0, values()?.sqrt().mul(z)),
        })
    }
}

impl<S: Elementwise> Stepper<S> for Steps<'_> {
    fn step(
        &mut self,
        index: usize,
        x: S,
        score: &dyn ScoreFn<S>,
        noise: &mut dyn NoiseSource<S>,
    ) -> Result<S, SampleError> {
        let (from, step) = (self.intervals[index].from, self.steps[index]);
        let failed = |source| SampleError::Score { step: index, t: from.t, source };
        let (output, values) =
            score.predict_with_variance(&x, Times::Shared(from)).map_err(failed)?;
        let (of_x, of_output) = score.conversion(Prediction::Data, from).map_err(failed)?;
        let (a, b) = (step.x + step.data * of_x, step.data * of_output);
        let Some(deviation) = step.deviation else {
            return Ok(S::combine(&[(a, &x), (b, &output)]));
        };
        let z =
            noise.normal_like(&x).map_err(|source| SampleError::Noise { step: index, source })?;
        let (factor, added) = deviation.times(&z, values.as_ref()).map_err(failed)?;
        Ok(S::combine(&[(a, &x), (b, &output), (factor, &added)]))
    }
}
