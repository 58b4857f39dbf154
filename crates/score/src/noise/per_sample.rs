//! One stream of noise for each image, so that an image does not depend on its batch.

use super::{Draw, NoiseSource, index_below, stream_rng};
use crate::NoiseError;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

/// Noise in which image `k` of a seed always gets stream `k`, whatever the batch size.
#[derive(Clone, Debug)]
pub struct PerSample {
    streams: Vec<ChaCha8Rng>,
}

impl PerSample {
    /// The noise of images `first .. first + count` of a seed.
    #[must_use]
    pub fn new(seed: u64, first: usize, count: usize) -> Self {
        let streams = (first..first + count).map(|image| stream_rng(seed, image as u64));
        Self { streams: streams.collect() }
    }

    fn check(&self, got: usize) -> Result<(), NoiseError> {
        let expected = self.streams.len();
        if got == expected { Ok(()) } else { Err(NoiseError::BatchMismatch { got, expected }) }
    }

    /// Fills the samples one after the other, each from its own stream.
    fn fill<S: Draw>(
        &mut self,
        like: &S,
        mut value: impl FnMut(&mut ChaCha8Rng) -> f64,
    ) -> Result<S, NoiseError> {
        self.check(like.batch_len())?;
        let item = like.item_len().max(1);
        let mut count = 0;
        Ok(S::draw_like(like, &mut || {
            let stream = &mut self.streams[count / item];
            count += 1;
            value(stream)
        }))
    }
}

impl<S: Draw> NoiseSource<S> for PerSample {
    fn normal_like(&mut self, like: &S) -> Result<S, NoiseError> {
        self.fill(like, |rng| rng.sample(StandardNormal))
    }

    fn rademacher_like(&mut self, like: &S) -> Result<S, NoiseError> {
        self.fill(like, |rng| if rng.random() { 1.0 } else { -1.0 })
    }

    fn uniform_like(&mut self, like: &S) -> Result<S, NoiseError> {
        self.fill(like, |rng| rng.random())
    }

    fn uniform(&mut self, count: usize) -> Result<Vec<f64>, NoiseError> {
        self.check(count)?;
        Ok(self.streams.iter_mut().map(|rng| rng.random()).collect())
    }

    fn indices(&mut self, count: usize, below: usize) -> Result<Vec<usize>, NoiseError> {
        self.check(count)?;
        Ok(self.streams.iter_mut().map(|rng| index_below(rng.random(), below)).collect())
    }
}

#[cfg(all(test, feature = "ndarray"))]
mod tests {
    use super::*;
    use crate::Batch;
    use ndarray::ArrayD;

    fn zeros(batch: usize) -> ArrayD<f64> {
        ArrayD::zeros(vec![batch, 2, 3])
    }

    #[test]
    fn an_image_gets_the_same_noise_in_any_batch() {
        let mut together = PerSample::new(5, 0, 4);
        let mut alone = PerSample::new(5, 2, 1);
        for _ in 0..3 {
            let all = together.normal_like(&zeros(4)).unwrap().split(&[2, 1, 1]);
            assert_eq!(all[1], alone.normal_like(&zeros(1)).unwrap());
        }
    }

    #[test]
    fn another_batch_size_is_refused() {
        let error = PerSample::new(5, 0, 4).normal_like(&zeros(3)).unwrap_err();
        assert_eq!(error, NoiseError::BatchMismatch { got: 3, expected: 4 });
    }
}
