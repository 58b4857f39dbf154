//! Bits per dimension: from log densities of scaled data to code lengths of the data themselves.

use crate::LikelihoodError;
use std::f64::consts::LN_2;
use tweedie_score::{Draw, NoiseSource};

/// How data of whole-number levels were scaled before a model saw them: level 0 stands at `low`, the end
/// of the last level's bin at `high`.
///
/// A density of the scaled values becomes one of the levels by the width of a bin, `(high - low) /
/// levels`: in bits, `log2(levels / (high - low))` is added for each value. For 8-bit images scaled to
/// `[-1, 1]` that is 7, to `[0, 1]` 8.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DataScaling {
    levels: u32,
    low: f64,
    high: f64,
}

impl DataScaling {
    /// 8-bit values scaled to `[-1, 1]`.
    pub const BYTES: Self = Self { levels: 256, low: -1.0, high: 1.0 };

    /// Data of `levels` levels, 0 to `levels - 1`, scaled to `[low, high]`.
    ///
    /// # Errors
    /// When there are fewer than 2 levels, or the interval is empty or not finite.
    pub fn new(levels: u32, (low, high): (f64, f64)) -> Result<Self, LikelihoodError> {
        if levels < 2 {
            let (name, value) = ("number of levels", f64::from(levels));
            return Err(LikelihoodError::ParameterOutOfRange {
                name,
                value,
                allowed: "at least 2",
            });
        }
        let width = high - low;
        if !(width > 0.0 && width.is_finite()) {
            let (name, allowed) = ("width of the scaled interval", "a finite value above 0");
            return Err(LikelihoodError::ParameterOutOfRange { name, value: width, allowed });
        }
        Ok(Self { levels, low, high })
    }

    /// Number of levels.
    #[must_use]
    pub fn levels(&self) -> u32 {
        self.levels
    }

    /// What the scaling adds to the bits of each value.
    #[must_use]
    pub fn offset_bits(&self) -> f64 {
        (f64::from(self.levels) / (self.high - self.low)).log2()
    }

    /// Bits per dimension of a sample of `dimensions` values, from the log density, in nats, of its scaled
    /// values.
    #[must_use]
    pub fn bits_per_dimension(&self, log_density: f64, dimensions: usize) -> f64 {
        -log_density / (dimensions as f64 * LN_2) + self.offset_bits()
    }

    /// Uniform dequantization: each level replaced by a value drawn from its bin. The density of such values
    /// is a lower bound of the levels' log probability. // Theis et al. 2016, sec. 3.1
    ///
    /// `x` has level `k` at `low + k (high - low) / (levels - 1)`, the ends of the interval both being
    /// levels, as images are shown to networks; the bin of level `k` begins at
    /// `low + k (high - low) / levels`.
    ///
    /// # Errors
    /// When the noise source fails.
    pub fn dequantized<S: Draw>(
        &self,
        x: &S,
        noise: &mut dyn NoiseSource<S>,
    ) -> Result<S, LikelihoodError> {
        let levels = f64::from(self.levels);
        let place = noise.uniform_like(x)?;
        let ones = S::draw_like(x, &mut || 1.0);
        let terms = [((self.high - self.low) / levels, &place), (self.low / levels, &ones)];
        let within = S::combine(&terms);
        Ok(within.combine_reusing(1.0, &[((levels - 1.0) / levels, x)]))
    }

    /// Each level in the middle of its bin, the mean of [`DataScaling::dequantized`]: `x` is as there.
    pub fn middles<S: Draw>(&self, x: &S) -> S {
        let levels = f64::from(self.levels);
        let ones = S::draw_like(x, &mut || 1.0);
        let centre = (self.low + self.high) / 2.0;
        S::combine(&[((levels - 1.0) / levels, x), (centre / levels, &ones)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{ArrayD, array};
    use tweedie_score::{PerSample, Seeded};

    #[test]
    fn the_published_offsets() {
        // Song et al. 2021, in their code: 7 - inverse_scaler(-1)
        assert_eq!(DataScaling::BYTES.offset_bits(), 7.0);
        let unit = DataScaling::new(256, (0.0, 1.0)).unwrap();
        assert_eq!(unit.offset_bits(), 8.0);
        assert_eq!(unit.bits_per_dimension(0.0, 5), 8.0);
        assert_eq!(unit.bits_per_dimension(-3.0 * LN_2, 3), 9.0);
    }

    #[test]
    fn uniform_data_take_the_logarithm_of_their_levels() {
        for (levels, ends) in [(17, (-1.0, 1.0)), (2, (0.0, 3.0))] {
            let scaling = DataScaling::new(levels, ends).unwrap();
            let log_density = -4.0 * f64::ln(ends.1 - ends.0);
            let bits = scaling.bits_per_dimension(log_density, 4);
            assert!((bits - f64::from(levels).log2()).abs() < 1e-12);
        }
    }

    #[test]
    fn dequantized_values_fall_into_the_bin_of_their_level() {
        let scaling = DataScaling::new(17, (-1.0, 1.0)).unwrap();
        let levels = array![[0.0, 3.0, 16.0], [8.0, 15.0, 1.0]].into_dyn();
        let shown: ArrayD<f64> = levels.mapv(|level: f64| -1.0 + level / 8.0);
        for seed in 0..50 {
            let drawn = scaling.dequantized(&shown, &mut Seeded::new(seed)).unwrap();
            let bins = drawn.mapv(|value| ((value + 1.0) / 2.0 * 17.0).floor());
            assert_eq!(bins, levels);
        }
        let alone = shown.slice_axis(ndarray::Axis(0), (1..).into()).to_owned();
        let together = scaling.dequantized(&shown, &mut PerSample::new(3, 0, 2)).unwrap();
        let alone = scaling.dequantized(&alone, &mut PerSample::new(3, 1, 1)).unwrap();
        assert_eq!(together.index_axis(ndarray::Axis(0), 1), alone.index_axis(ndarray::Axis(0), 0));
    }

    #[test]
    fn the_middle_of_a_bin_is_half_a_width_above_its_lower_end() {
        for (low, high) in [(-1.0, 1.0), (0.0, 3.0)] {
            let scaling = DataScaling::new(4, (low, high)).unwrap();
            let levels: ArrayD<f64> = array![[0.0, 1.0, 2.0, 3.0]].into_dyn();
            let width = high - low;
            let middles = scaling.middles(&levels.mapv(|level| low + level * width / 3.0));
            let expected = levels.mapv(|level| low + (level + 0.5) * width / 4.0);
            assert!((middles - expected).iter().all(|error| error.abs() < 1e-15));
        }
    }

    #[test]
    fn a_scaling_of_no_width_is_refused() {
        let error = DataScaling::new(1, (0.0, 1.0)).unwrap_err();
        assert_eq!(error.to_string(), "number of levels is 1, expected at least 2");
        assert!(DataScaling::new(256, (1.0, 1.0)).is_err());
        assert!(DataScaling::new(256, (0.0, f64::NAN)).is_err());
    }
}
