//! A look at every estimate of the data on its way to the sampler.

use crate::{Batch, ScoreError, ScoreFn, Times};
use tweedie_schedules::{Prediction, TimePoint};

/// A score function that shows each of its data estimates to `watch`, and is otherwise unchanged.
///
/// Previews while sampling, and the estimate behind the last step of a run, come from here; put it
/// outside of a [`MapData`](crate::MapData) to see the mapped estimate.
#[derive(Clone, Copy, Debug)]
pub struct WatchData<F, W> {
    /// The score function.
    pub inner: F,
    /// Called with each estimate and its time.
    pub watch: W,
}

impl<F, W> WatchData<F, W> {
    fn show<S: Batch>(&self, x: &S, output: &S, at: Times<'_>) -> Result<(), ScoreError>
    where
        F: ScoreFn<S>,
        W: Fn(&S, Times<'_>),
    {
        let prediction = self.inner.prediction();
        let to_data = |point: TimePoint| prediction.convert(Prediction::Data, point.level);
        (self.watch)(&at.combine(to_data, x, output)?, at);
        Ok(())
    }
}

impl<S: Batch, F: ScoreFn<S>, W: Fn(&S, Times<'_>)> ScoreFn<S> for WatchData<F, W> {
    fn prediction(&self) -> Prediction {
        self.inner.prediction()
    }

    fn predict(&self, x: &S, at: Times<'_>) -> Result<S, ScoreError> {
        let output = self.inner.predict(x, at)?;
        self.show(x, &output, at)?;
        Ok(output)
    }

    fn predict_with_variance(&self, x: &S, at: Times<'_>) -> Result<(S, Option<S>), ScoreError> {
        let (output, variance) = self.inner.predict_with_variance(x, at)?;
        self.show(x, &output, at)?;
        Ok((output, variance))
    }
}

#[cfg(all(test, feature = "ndarray"))]
mod tests {
    use super::*;
    use crate::{Clip, MapData};
    use ndarray::{ArrayD, arr1};
    use std::cell::RefCell;
    use tweedie_schedules::NoiseLevel;

    struct NoNoise;

    impl ScoreFn<ArrayD<f64>> for NoNoise {
        fn prediction(&self) -> Prediction {
            Prediction::Noise
        }

        fn predict(&self, x: &ArrayD<f64>, _at: Times<'_>) -> Result<ArrayD<f64>, ScoreError> {
            Ok(x * 0.0)
        }
    }

    #[test]
    fn the_estimate_is_seen_in_the_form_of_data_and_passes_unchanged() {
        let level = NoiseLevel { alpha: 0.5, sigma: 0.75_f64.sqrt() };
        let at = Times::Shared(TimePoint { t: 0.5, level });
        let x = arr1(&[0.25, -2.0]).into_dyn();
        let seen = RefCell::new(Vec::new());
        let watch = |data: &ArrayD<f64>, _: Times<'_>| seen.borrow_mut().push(data.clone());
        let output = WatchData { inner: NoNoise, watch }.predict(&x, at).unwrap();
        assert_eq!(output, &x * 0.0);
        let clipped = MapData { inner: NoNoise, map: Clip { low: -1.0, high: 1.0 } };
        WatchData { inner: clipped, watch }.predict(&x, at).unwrap();
        let seen = seen.into_inner();
        assert_eq!(seen, [arr1(&[0.5, -4.0]).into_dyn(), arr1(&[0.5, -1.0]).into_dyn()]);
    }

    #[test]
    fn what_noise_cannot_tell_is_refused() {
        let level = NoiseLevel { alpha: 0.0, sigma: 1.0 };
        let at = Times::Shared(TimePoint { t: 1.0, level });
        let error = NoNoise.predict_data(&arr1(&[0.1]).into_dyn(), at).unwrap_err();
        assert!(matches!(error, ScoreError::Undetermined { alpha: 0.0, .. }), "{error}");
    }
}
