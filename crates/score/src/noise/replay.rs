//! Recorded noise, played back in order.

use super::{Draw, NoiseSource};
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

    /// A recorded index is taken as it stands.
    fn indices(&mut self, count: usize, below: usize) -> Result<Vec<usize>, NoiseError> {
        let index = self.recorded - self.draws.len();
        let whole = |value: f64| {
            let is_index = value >= 0.0 && value < below as f64 && value.fract() == 0.0;
            is_index.then_some(value as usize).ok_or(NoiseError::NoIndex { index, value, below })
        };
        self.next(count)?.into_iter().map(whole).collect()
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

    fn indices(recorded: Vec<f64>, below: usize) -> Result<Vec<usize>, NoiseError> {
        let count = recorded.len();
        NoiseSource::<ArrayD<f64>>::indices(&mut Replay::new([recorded]), count, below)
    }

    #[test]
    fn recorded_indices_come_back_exactly() {
        for below in [1, 50, 100, 200, 232, 1000, 2000] {
            let recorded = (0..below).map(|index| index as f64).collect();
            assert_eq!(indices(recorded, below), Ok((0..below).collect()));
        }
    }

    #[test]
    fn what_is_no_index_is_refused_by_its_value() {
        for value in [50.0, 51.0, -1.0, 0.5, 49.9, f64::INFINITY] {
            let error = indices(vec![3.0, value], 50).unwrap_err();
            assert_eq!(error, NoiseError::NoIndex { index: 0, value, below: 50 });
        }
        assert!(indices(vec![f64::NAN], 50).is_err());
        assert_eq!(
            indices(vec![50.0], 50).unwrap_err().to_string(),
            "draw 0 of the recording holds 50, expected a whole number from 0 and below 50"
        );
    }
}
