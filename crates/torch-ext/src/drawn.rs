//! Random tensors for tests, from a generator of their own: libtorch's is shared by all threads of
//! the process, so that tests running at once would draw from each other's stream.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use tch::Tensor;

/// A stream of standard normal tensors.
pub(crate) struct Drawn(ChaCha8Rng);

impl Drawn {
    pub(crate) fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// The next tensor, in f64.
    pub(crate) fn normal(&mut self, size: &[i64]) -> Tensor {
        let count = size.iter().product::<i64>() as usize;
        let values: Vec<f64> = StandardNormal.sample_iter(&mut self.0).take(count).collect();
        Tensor::from_slice(&values).reshape(size)
    }
}
