//! A data set divided into images to train on and images held out.

use crate::{dataset::Dataset, error::DatasetError};

/// Images to train on and images held out for judging.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Splits {
    /// What a model is trained on.
    pub train: Dataset,
    /// What it never sees. Empty when the source is too small to hold anything out.
    pub test: Dataset,
}

impl Splits {
    /// Holds one image in ten of each class out: `round(m / 10)` of a class of `m`.
    ///
    /// Those held out lie evenly spread over the class in the order of the set, so that the division
    /// depends on nothing but the set itself.
    ///
    /// # Errors
    /// Never for a whole [`Dataset`]; the type is that of [`Dataset::select`].
    pub fn one_in_ten(set: &Dataset) -> Result<Self, DatasetError> {
        Self::hold_out(set, |members| (members + 5) / 10)
    }

    /// Holds `count(m)` images out of each class of `m` images.
    pub(crate) fn hold_out(
        set: &Dataset,
        count: impl Fn(usize) -> usize,
    ) -> Result<Self, DatasetError> {
        let mut held_out = vec![false; set.len()];
        for members in members_of_classes(set) {
            let count = count(members.len()).min(members.len());
            for j in 0..count {
                held_out[members[(2 * j + 1) * members.len() / (2 * count)]] = true;
            }
        }
        let part = |wanted| {
            let chosen: Vec<_> = (0..set.len()).filter(|&k| held_out[k] == wanted).collect();
            set.select(&chosen)
        };
        Ok(Self { train: part(false)?, test: part(true)? })
    }
}

/// The numbers of each class's images; all images in one list when there are no labels.
fn members_of_classes(set: &Dataset) -> Vec<Vec<usize>> {
    let mut members = vec![vec![]; set.classes().max(1)];
    for index in 0..set.len() {
        members[set.label(index).unwrap_or(0) as usize].push(index);
    }
    members
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::numbered_classes;

    #[test]
    fn one_in_ten_of_each_class_is_held_out_evenly_spread() {
        let labels = (0..40).map(|k| u32::from(k >= 30)).collect();
        let set = Dataset::new("forty", (0..40).collect(), [1, 1, 1], 256)
            .and_then(|set| set.with_labels(labels, numbered_classes(2)))
            .unwrap();
        let splits = Splits::one_in_ten(&set).unwrap();
        assert_eq!(splits.test.images(), [5, 15, 25, 35]);
        assert_eq!(splits.test.labels().unwrap(), [0, 0, 0, 1]);
        assert_eq!(splits.train.len(), 36);
    }

    #[test]
    fn a_set_too_small_to_divide_is_all_for_training() {
        let set = Dataset::new("four", (0..4).collect(), [1, 1, 1], 256).unwrap();
        let splits = Splits::one_in_ten(&set).unwrap();
        assert_eq!((splits.train.len(), splits.test.len()), (4, 0));
    }
}
