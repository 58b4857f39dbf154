//! Recorded noise, played back in order.

use super::{Draw, NoiseSource, index_below};
use crate::NoiseError;
use std::collections::VecDeque;

/// Draws written down elsewhere, handed out one after the other whatever kind is asked for.
#[derive(Clone, Debug)]
pub struct Replay {
    draws: VecDeque<Vec<f64>>,
    recorded: usize,
}

impl Replay {
    /// A replay of `draws`: each is one whole draw, in row-major order.
    #[must_use]
    pub fn new(draws: impl IntoIterator<Item = Vec<f64>>) -> Self {
        let draws: VecDeque<_> = draws.into_iter().collect();
        let recorded = draws.len();
        Self { draws, recorded }
    }

    /// Draws that have not been asked for yet.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.draws.len()
    }

    fn next(&mut self, expected: usize) -> Result<Vec<f64>, NoiseError> {
        let index = self.recorded - self.draws.len();
        let Some(draw) = self.draws.pop_front() else {
            return Err(NoiseError::Exhausted { recorded: self.recorded });
        };
        if draw.len() == expected {
            Ok(draw)
        } else {
            Err(NoiseError::SizeMismatch { index, got: draw.len(), expected })
        }
    }

    fn state<S: Draw>(&mut self, like: &S) -> Result<S, NoiseError> {
        let mut values = self.next(like.batch_len() * like.item_len())?.into_iter();
        Ok(S::draw_like(like, &mut || values.next().unwrap_or(f64::NAN)))
    }
}

impl<S: Draw> NoiseSource<S> for Replay {
    fn normal_like(&mut self, like: &S) -> Result<S, NoiseError> {
        self.state(like)
    }

    fn rademacher_like(&mut self, like: &S) -> Result<S, NoiseError> {
        self.state(like)
    }

    fn uniform_like(&mut self, like: &S) -> Result<S, NoiseError> {
        self.state(like)
    }

    fn uniform(&mut self, count: usize) -> Result<Vec<f64>, NoiseError> {
        self.next(count)
    }

    /// A recorded index is taken as it stands (a uniform number below 1 only ever gives index 0).
    fn indices(&mut self, count: usize, below: usize) -> Result<Vec<usize>, NoiseError> {
        let draw = self.next(count)?;
        Ok(draw.into_iter().map(|value| index_below(value / below as f64, below)).collect())
    }
}

#[cfg(all(test, feature = "ndarray"))]
mod tests {
    use super::*;
    use ndarray::ArrayD;

    #[test]
    fn draws_come_back_in_order_and_run_out() {
        let like = ArrayD::<f64>::zeros(vec![1, 2]);
        let mut replay = Replay::new([vec![1.0, 2.0], vec![3.0]]);
        let first: ArrayD<f64> = replay.normal_like(&like).unwrap();
        assert_eq!(first.as_slice().unwrap(), [1.0, 2.0]);
        let error = NoiseSource::<ArrayD<f64>>::normal_like(&mut replay, &like).unwrap_err();
        assert_eq!(error, NoiseError::SizeMismatch { index: 1, got: 1, expected: 2 });
        let error = NoiseSource::<ArrayD<f64>>::uniform(&mut replay, 1).unwrap_err();
        assert_eq!(error, NoiseError::Exhausted { recorded: 2 });
    }

    #[test]
    fn recorded_indices_come_back_exactly() {
        let recorded: Vec<f64> = (0..1000).map(f64::from).collect();
        let mut replay = Replay::new([recorded]);
        let indices = NoiseSource::<ArrayD<f64>>::indices(&mut replay, 1000, 1000).unwrap();
        assert_eq!(indices, (0..1000).collect::<Vec<_>>());
    }
}
