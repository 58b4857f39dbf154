//! How often a classifier is right.

use serde::{Deserialize, Serialize};

/// Shares of images whose class a classifier finds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Accuracy {
    /// Those whose class is the likeliest.
    pub top_1: f64,
    /// Those whose class is among the five likeliest.
    pub top_5: f64,
}

impl Accuracy {
    /// Of images with these ranks, how many classes were taken for likelier than the true one, each with
    /// its weight; `None` where there are none.
    pub(crate) fn of(ranks: impl IntoIterator<Item = (i64, f64)>) -> Option<Self> {
        let (mut all, mut first, mut five) = (0.0, 0.0, 0.0);
        for (rank, weight) in ranks {
            all += weight;
            first += if rank < 1 { weight } else { 0.0 };
            five += if rank < 5 { weight } else { 0.0 };
        }
        (all > 0.0).then(|| Self { top_1: first / all, top_5: five / all })
    }

    /// The standard errors of both, of so many images that count alike.
    pub(crate) fn standard_error(self, images: usize) -> Self {
        let of = |share: f64| (share * (1.0 - share) / images as f64).sqrt();
        Self { top_1: of(self.top_1), top_5: of(self.top_5) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_weighted_and_of_none_there_is_no_share() {
        let ranks = [(0, 1.0), (3, 1.0), (4, 1.0), (5, 1.0)];
        assert_eq!(Accuracy::of(ranks), Some(Accuracy { top_1: 0.25, top_5: 0.75 }));
        let weighted = Accuracy::of([(0, 3.0), (9, 1.0)]).unwrap();
        assert_eq!(weighted, Accuracy { top_1: 0.75, top_5: 0.75 });
        assert_eq!(Accuracy::of([]), None);
        let error = Accuracy { top_1: 0.5, top_5: 1.0 }.standard_error(100);
        assert_eq!(error, Accuracy { top_1: 0.05, top_5: 0.0 });
    }
}
