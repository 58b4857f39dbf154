//! Measuring the second moment of the noise prediction from data, batch by batch.

use super::{EstimatedMoments, NoiseMoments};
use crate::{RunningMean, SampleError};
use tweedie_schedules::{Prediction, TimePoint};
use tweedie_score::{Batch, NoiseSource, ScoreFn, Times};

/// A running mean of `|eps_hat(x_t)|^2 / d` over noised data, for each of a list of times.
///
/// Bao et al. 2022, sec. 3: the one number a level that the optimal variance needs. Every sample
/// counts as one observation, so the standard error is that of a mean over samples.
#[derive(Clone, Debug)]
pub struct MomentEstimator {
    points: Vec<TimePoint>,
    means: Vec<RunningMean>,
}

impl MomentEstimator {
    /// An estimator for `points`, cleanest first; for a discrete model, the nodes of its table.
    ///
    /// # Errors
    /// When there is no point or the noise does not rise strictly from one to the next.
    pub fn new(points: Vec<TimePoint>) -> Result<Self, SampleError> {
        let levels: Vec<_> = points.iter().map(|point| point.level).collect();
        NoiseMoments::new(&levels, &vec![0.0; levels.len()])?;
        let means = vec![RunningMean::default(); points.len()];
        Ok(Self { points, means })
    }

    /// The times at which the moment is estimated, cleanest first.
    #[must_use]
    pub fn points(&self) -> &[TimePoint] {
        &self.points
    }

    /// Takes a batch of data into account at every time: one evaluation and one draw of noise each.
    ///
    /// # Errors
    /// When the network or the noise source fails.
    pub fn observe<S: Batch>(
        &mut self,
        data: &S,
        score: &dyn ScoreFn<S>,
        noise: &mut dyn NoiseSource<S>,
    ) -> Result<(), SampleError> {
        (0..self.points.len()).try_for_each(|index| self.observe_at(index, data, score, noise))
    }

    /// Takes a batch of data into account at the time of index `index` alone.
    ///
    /// # Errors
    /// When the network or the noise source fails.
    ///
    /// # Panics
    /// When there is no such index.
    pub fn observe_at<S: Batch>(
        &mut self,
        index: usize,
        data: &S,
        score: &dyn ScoreFn<S>,
        noise: &mut dyn NoiseSource<S>,
    ) -> Result<(), SampleError> {
        let at = self.points[index];
        let z =
            noise.normal_like(data).map_err(|source| SampleError::Noise { step: index, source })?;
        let x = S::combine(&[(at.level.alpha, data), (at.level.sigma, &z)]);
        let failed = |source| SampleError::Score { step: index, t: at.t, source };
        let (of_x, of_output) = score.conversion(Prediction::Noise, at).map_err(failed)?;
        let output = score.predict(&x, Times::Shared(at)).map_err(failed)?;
        let eps = S::combine(&[(of_x, &x), (of_output, &output)]);
        for square in eps.dot_each(&eps) {
            self.means[index].add(square / eps.item_len() as f64);
        }
        Ok(())
    }

    /// The estimates so far, for the network `name`.
    ///
    /// # Errors
    /// When fewer than 2 samples were observed at some time, or the network returned values that
    /// are not finite.
    pub fn estimates(&self, name: impl Into<String>) -> Result<EstimatedMoments, SampleError> {
        if let Some(index) = self.means.iter().position(|mean| mean.count() < 2) {
            return Err(SampleError::TooFewSamples { index, samples: self.means[index].count() });
        }
        let values: Vec<_> = self.means.iter().map(RunningMean::mean).collect();
        if let Some(index) = values.iter().position(|value| !value.is_finite()) {
            return Err(SampleError::MomentOutOfRange { index, value: values[index] });
        }
        let of = |(point, mean): (&TimePoint, &RunningMean)| {
            (*point, mean.mean(), mean.standard_error(), mean.count())
        };
        Ok(EstimatedMoments::new(name.into(), self.points.iter().zip(&self.means).map(of)))
    }
}

/// Estimates the moments at `points` from all `batches` of data, for the network `name`; for a
/// discrete model, `points` are the [`nodes`](tweedie_schedules::DiscreteTable::nodes) of its table.
///
/// Every batch costs an evaluation at each point.
///
/// # Errors
/// As [`MomentEstimator`].
pub fn estimate_moments<S: Batch>(
    name: impl Into<String>,
    points: Vec<TimePoint>,
    batches: impl IntoIterator<Item = S>,
    score: &dyn ScoreFn<S>,
    noise: &mut dyn NoiseSource<S>,
) -> Result<EstimatedMoments, SampleError> {
    let mut estimator = MomentEstimator::new(points)?;
    for batch in batches {
        estimator.observe(&batch, score, noise)?;
    }
    estimator.estimates(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_sample_is_refused() {
        let point =
            TimePoint { t: 0.5, level: tweedie_schedules::NoiseLevel::variance_preserving(-0.5) };
        let error = MomentEstimator::new(vec![point]).unwrap().estimates("net").unwrap_err();
        let expected = "0 samples were observed at time 0 of the list, expected at least 2";
        assert_eq!(error.to_string(), expected);
        assert!(MomentEstimator::new(vec![point, point]).is_err());
    }
}
