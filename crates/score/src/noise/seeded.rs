//! One stream of noise for the whole batch.

use super::{Draw, NoiseSource, index_below};
use crate::NoiseError;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

/// The generator of stream `stream` of a seed. Streams of one seed never overlap.
///
/// `ChaCha` with 8 rounds: its output is fixed by its definition, on every machine and in every release.
#[must_use]
pub fn stream_rng(seed: u64, stream: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(stream);
    rng
}

/// Noise from one seeded stream. The same seed gives the same run for the same batch size.
#[derive(Clone, Debug)]
pub struct Seeded {
    rng: ChaCha8Rng,
}

impl Seeded {
    /// The noise of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::stream(seed, 0)
    }

    /// The noise of one stream of a seed: training takes a stream for each step.
    #[must_use]
    pub fn stream(seed: u64, stream: u64) -> Self {
        Self { rng: stream_rng(seed, stream) }
    }
}

impl<S: Draw> NoiseSource<S> for Seeded {
    fn normal_like(&mut self, like: &S) -> Result<S, NoiseError> {
        Ok(S::draw_like(like, &mut || self.rng.sample(StandardNormal)))
    }

    fn rademacher_like(&mut self, like: &S) -> Result<S, NoiseError> {
        Ok(S::draw_like(like, &mut || {
            if self.rng.random() { 1.0 } else { -1.0 }
        }))
    }

    fn uniform_like(&mut self, like: &S) -> Result<S, NoiseError> {
        Ok(S::draw_like(like, &mut || self.rng.random()))
    }

    fn uniform(&mut self, count: usize) -> Result<Vec<f64>, NoiseError> {
        Ok((0..count).map(|_| self.rng.random()).collect())
    }

    fn indices(&mut self, count: usize, below: usize) -> Result<Vec<usize>, NoiseError> {
        Ok((0..count).map(|_| index_below(self.rng.random(), below)).collect())
    }
}

#[cfg(all(test, feature = "ndarray"))]
mod tests {
    use super::*;
    use ndarray::ArrayD;

    #[test]
    fn value_stability() {
        let like = ArrayD::<f64>::zeros(vec![1, 3]);
        let drawn = Seeded::new(7).normal_like(&like).unwrap();
        let expected =
            [-0.775_371_933_217_797_1, -1.383_421_720_008_409_1, 0.889_713_018_743_037_2];
        for (value, expected) in drawn.iter().zip(expected) {
            assert!((value - expected).abs() < 1e-15, "{drawn:?}");
        }
    }

    #[test]
    fn moments_are_those_of_a_standard_normal() {
        // n = 10^5: the mean has deviation n^-1/2, the variance (2/n)^1/2; both held to 4 deviations
        let n = 100_000;
        let drawn = Seeded::new(1).normal_like(&ArrayD::<f64>::zeros(vec![1, n])).unwrap();
        let mean = drawn.sum() / n as f64;
        let variance = drawn.mapv(|value| value * value).sum() / n as f64;
        assert!(mean.abs() < 4.0 / (n as f64).sqrt());
        assert!((variance - 1.0).abs() < 4.0 * (2.0 / n as f64).sqrt());
    }

    #[test]
    fn streams_differ() {
        let like = ArrayD::<f64>::zeros(vec![1, 4]);
        let a = Seeded::stream(1, 0).normal_like(&like).unwrap();
        let b = Seeded::stream(1, 1).normal_like(&like).unwrap();
        assert!(a.iter().zip(&b).all(|(a, b)| a != b));
    }
}
