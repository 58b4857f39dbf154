//! Randomness as a pure function of a seed and a counter.

use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

/// What a stream of random numbers is for; streams of different purposes are independent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The order of the images; the counter is the epoch.
    Order = 1,
    /// Flips and dequantization noise; the counter is the step.
    Batch = 2,
}

/// The stream of random numbers for one count of one purpose under one seed.
pub(crate) fn stream(seed: u64, purpose: Purpose, counter: u64) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8] = purpose as u8;
    let mut rng = ChaCha8Rng::from_seed(key);
    rng.set_stream(counter);
    rng
}

/// The order in which the `len` images of a set come in an epoch: a permutation of `0..len`.
///
/// A pure function of its arguments.
#[must_use]
pub fn epoch_order(seed: u64, epoch: u64, len: usize) -> Vec<usize> {
    let mut order: Vec<_> = (0..len).collect();
    order.shuffle(&mut stream(seed, Purpose::Order, epoch));
    order
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;

    #[test]
    fn value_stability() {
        assert_eq!(epoch_order(0, 0, 10), [5, 8, 7, 3, 0, 1, 6, 9, 4, 2]);
        assert_eq!(epoch_order(0, 1, 10), [0, 3, 7, 4, 5, 2, 9, 6, 8, 1]);
        assert_eq!(epoch_order(1, 0, 10), [3, 6, 7, 1, 4, 2, 0, 9, 5, 8]);
        let drawn: [u32; 4] = stream(7, Purpose::Batch, 3).random();
        assert_eq!(drawn, [2341230768, 1949632757, 1841023312, 2451628592]);
    }

    #[test]
    fn an_order_is_a_permutation() {
        for len in [0, 1, 2, 1797] {
            let mut order = epoch_order(5, 2, len);
            order.sort_unstable();
            assert_eq!(order, (0..len).collect::<Vec<_>>());
        }
    }
}
