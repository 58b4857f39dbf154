//! The estimate of the score that everything else is built on.

use crate::{Batch, ScoreError, VectorSpace};
use tweedie_schedules::{NoiseLevel, Prediction, TimePoint};

/// The time of a batch: one for all while sampling, one each while training.
#[derive(Clone, Copy, Debug)]
pub enum Times<'a> {
    /// All samples stand at the same time.
    Shared(TimePoint),
    /// Each sample stands at its own.
    PerSample(&'a [TimePoint]),
}

impl Times<'_> {
    /// The time of sample `index`.
    ///
    /// # Panics
    /// When there are per-sample times and fewer than `index + 1` of them.
    #[must_use]
    pub fn of(&self, index: usize) -> TimePoint {
        match self {
            Self::Shared(point) => *point,
            Self::PerSample(points) => points[index],
        }
    }

    /// `a x + b y`, where the two coefficients depend on each sample's time.
    ///
    /// # Errors
    /// When there are per-sample times of another number than samples, or a coefficient is not finite.
    pub fn combine<S: Batch>(
        self,
        coefficients: impl Fn(TimePoint) -> (f64, f64),
        x: &S,
        y: &S,
    ) -> Result<S, ScoreError> {
        match self {
            Self::Shared(point) => {
                let (a, b) = finite(coefficients(point), point)?;
                Ok(if a == 0.0 { S::combine(&[(b, y)]) } else { S::combine(&[(a, x), (b, y)]) })
            }
            Self::PerSample(points) => {
                self.check(x.batch_len())?;
                let each = points.iter().map(|at| finite(coefficients(*at), *at));
                let (a, b): (Vec<_>, Vec<_>) =
                    each.collect::<Result<Vec<_>, _>>()?.into_iter().unzip();
                Ok(S::combine(&[(1.0, &x.scale_each(&a)), (1.0, &y.scale_each(&b))]))
            }
        }
    }

    /// The quantity `to`, from a prediction of `from` made for the state `x`.
    ///
    /// # Errors
    /// As [`combine`](Self::combine): a noise prediction says nothing about the data at `alpha = 0`.
    pub fn convert<S: Batch>(
        self,
        from: Prediction,
        to: Prediction,
        x: &S,
        output: S,
    ) -> Result<S, ScoreError> {
        if from == to {
            return Ok(output);
        }
        self.combine(|point| from.convert(to, point.level), x, &output)
    }

    /// # Errors
    /// When there are per-sample times of another number than samples.
    pub fn check(self, batch: usize) -> Result<(), ScoreError> {
        match self {
            Self::PerSample(points) if points.len() != batch => {
                Err(ScoreError::TimesMismatch { times: points.len(), batch })
            }
            _ => Ok(()),
        }
    }
}

/// The coefficients of a conversion, refused where they are not finite.
fn finite(coefficients: (f64, f64), at: TimePoint) -> Result<(f64, f64), ScoreError> {
    if coefficients.0.is_finite() && coefficients.1.is_finite() {
        return Ok(coefficients);
    }
    let NoiseLevel { alpha, sigma } = at.level;
    Err(ScoreError::Undetermined { t: at.t, alpha, sigma })
}

/// An estimate of `grad log p_t`, in the form it was trained to give.
pub trait ScoreFn<S: VectorSpace> {
    /// What [`predict`](Self::predict) returns.
    fn prediction(&self) -> Prediction;

    /// The prediction for a batch `x` at its time; same shape as `x`.
    ///
    /// # Errors
    /// Whatever the network fails with.
    fn predict(&self, x: &S, at: Times<'_>) -> Result<S, ScoreError>;

    /// The prediction and, from networks that learn it, the raw values that set the variance.
    ///
    /// # Errors
    /// Whatever the network fails with.
    fn predict_with_variance(&self, x: &S, at: Times<'_>) -> Result<(S, Option<S>), ScoreError> {
        Ok((self.predict(x, at)?, None))
    }

    /// Coefficients `(of x, of the prediction)` that turn the prediction made at `at` into `to`.
    ///
    /// # Errors
    /// Where the prediction does not determine it: data from noise at `alpha = 0`, noise from data at
    /// `sigma = 0`.
    fn conversion(&self, to: Prediction, at: TimePoint) -> Result<(f64, f64), ScoreError> {
        finite(self.prediction().convert(to, at.level), at)
    }

    /// The estimate of the data, `E[x_0 | x_t]`.
    ///
    /// # Errors
    /// Whatever the network fails with.
    fn predict_data(&self, x: &S, at: Times<'_>) -> Result<S, ScoreError>
    where
        S: Batch,
    {
        if let Times::Shared(point) = at {
            self.conversion(Prediction::Data, point)?; // refused before the network is asked
        }
        let output = self.predict(x, at)?;
        at.convert(self.prediction(), Prediction::Data, x, output)
    }
}

impl<S: VectorSpace, F: ScoreFn<S> + ?Sized> ScoreFn<S> for &F {
    fn prediction(&self) -> Prediction {
        (**self).prediction()
    }

    fn predict(&self, x: &S, at: Times<'_>) -> Result<S, ScoreError> {
        (**self).predict(x, at)
    }

    fn predict_with_variance(&self, x: &S, at: Times<'_>) -> Result<(S, Option<S>), ScoreError> {
        (**self).predict_with_variance(x, at)
    }
}
