//! What is done to the estimates of the data while a run goes on.

use tch::Tensor;
use tweedie_score::{Clip, DataMap, DynamicThreshold, ScoreError, Times};
use tweedie_training::DataRange;

/// What is done to each estimate of the data.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Hold {
    /// Nothing.
    Free,
    /// Its values are held within bounds.
    Within(Clip),
    /// They are held within a quantile of them, for data of this range.
    Threshold(DynamicThreshold, DataRange),
}

impl DataMap<Tensor> for Hold {
    fn map(&self, data: Tensor, at: Times<'_>) -> Result<Tensor, ScoreError> {
        match self {
            Self::Free => Ok(data),
            Self::Within(clip) => clip.map(data, at),
            // which holds values around 0
            Self::Threshold(rule, range) => {
                Ok(range.from_symmetric(&rule.map(range.to_symmetric(&data), at)?))
            }
        }
    }
}
