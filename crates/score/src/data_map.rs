//! Maps of the data estimate (clipping, thresholding, any other): samplers never hear of them.

use crate::{Batch, Elementwise, ScoreError, ScoreFn, Times};
use tweedie_schedules::Prediction;

/// A change made to every estimate of the data.
///
/// [`Clip`] and [`DynamicThreshold`](crate::DynamicThreshold) are such maps, and so is every closure
/// `Fn(S, Times) -> Result<S, ScoreError>`.
pub trait DataMap<S> {
    /// The changed estimate, which was made at time `at`.
    ///
    /// # Errors
    /// When the map cannot be made.
    fn map(&self, data: S, at: Times<'_>) -> Result<S, ScoreError>;
}

impl<S, M: Fn(S, Times<'_>) -> Result<S, ScoreError>> DataMap<S> for M {
    fn map(&self, data: S, at: Times<'_>) -> Result<S, ScoreError> {
        self(data, at)
    }
}

/// Holds the data estimate within the data's own range. The code published with DDPM clips so.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Clip {
    /// Smallest value of the data.
    pub low: f64,
    /// Largest value of the data.
    pub high: f64,
}

impl Clip {
    /// The range of these ends.
    ///
    /// # Errors
    /// When an end is no number, or the lower one is not below the upper one.
    pub fn new(low: f64, high: f64) -> Result<Self, ScoreError> {
        if low < high {
            return Ok(Self { low, high });
        }
        let (name, value) = if low.is_nan() { ("lower end", low) } else { ("upper end", high) };
        let allowed = "two ends in order";
        Err(ScoreError::ParameterOutOfRange { name, value, allowed })
    }
}

impl<S: Elementwise> DataMap<S> for Clip {
    fn map(&self, data: S, _at: Times<'_>) -> Result<S, ScoreError> {
        Ok(data.clamp(self.low, self.high))
    }
}

/// Leaves the data estimate as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unchanged;

impl<S> DataMap<S> for Unchanged {
    fn map(&self, data: S, _at: Times<'_>) -> Result<S, ScoreError> {
        Ok(data)
    }
}

/// A score function whose estimate of the data goes through a map.
///
/// Whatever the network predicts, this predicts data, so that the noise follows the mapped estimate.
#[derive(Clone, Copy, Debug)]
pub struct MapData<F, M> {
    /// The score function.
    pub inner: F,
    /// The map.
    pub map: M,
}

impl<S: Batch, F: ScoreFn<S>, M: DataMap<S>> ScoreFn<S> for MapData<F, M> {
    fn prediction(&self) -> Prediction {
        Prediction::Data
    }

    fn predict(&self, x: &S, at: Times<'_>) -> Result<S, ScoreError> {
        self.map.map(self.inner.predict_data(x, at)?, at)
    }

    fn predict_with_variance(&self, x: &S, at: Times<'_>) -> Result<(S, Option<S>), ScoreError> {
        if let Times::Shared(point) = at {
            self.inner.conversion(Prediction::Data, point)?; // refused before the network is asked
        }
        let (output, variance) = self.inner.predict_with_variance(x, at)?;
        let data = at.convert(self.inner.prediction(), Prediction::Data, x, output)?;
        Ok((self.map.map(data, at)?, variance))
    }
}

#[cfg(all(test, feature = "ndarray"))]
mod tests {
    use super::*;
    use ndarray::ArrayD;
    use std::cell::Cell;
    use tweedie_schedules::{NoiseLevel, TimePoint};

    /// A network of the noise that counts its calls.
    struct Counted(Cell<usize>);

    impl ScoreFn<ArrayD<f64>> for Counted {
        fn prediction(&self) -> Prediction {
            Prediction::Noise
        }

        fn predict(&self, x: &ArrayD<f64>, _at: Times<'_>) -> Result<ArrayD<f64>, ScoreError> {
            self.0.set(self.0.get() + 1);
            Ok(x.clone())
        }
    }

    #[test]
    fn ends_of_a_clip_that_are_out_of_order_are_refused() {
        assert_eq!(Clip::new(-1.0, 1.0).unwrap(), Clip { low: -1.0, high: 1.0 });
        let error = Clip::new(1.0, -1.0).unwrap_err();
        assert_eq!(error.to_string(), "upper end is -1, expected two ends in order");
        assert!(Clip::new(f64::NAN, 1.0).is_err() && Clip::new(0.0, f64::NAN).is_err());
    }

    #[test]
    fn a_network_that_cannot_tell_the_data_is_refused_before_it_is_asked() {
        let map = Clip { low: -1.0, high: 1.0 };
        let clipped = MapData { inner: Counted(Cell::new(0)), map };
        let pure_noise = TimePoint { t: 1.0, level: NoiseLevel { alpha: 0.0, sigma: 1.0 } };
        let (x, at) = (ArrayD::zeros(vec![2, 3]), Times::Shared(pure_noise));
        assert!(clipped.predict(&x, at).is_err());
        assert!(clipped.predict_with_variance(&x, at).is_err());
        assert_eq!(clipped.inner.0.get(), 0);
    }
}
