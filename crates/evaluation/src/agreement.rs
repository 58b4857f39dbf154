//! Whether images look like the class that was asked for, judged by their nearest real neighbours.

use crate::neighbours::Neighbours;

/// Neighbours that vote.
pub const VOTERS: usize = 3;

/// How often the neighbours agreed with the class asked for.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Agreement {
    /// The class, or `None` for all together.
    pub class: Option<u32>,
    /// Images that were to be of it.
    pub asked: usize,
    /// Those whose neighbours voted for it.
    pub agreed: usize,
    /// `agreed / asked`; 0 when none was asked for.
    pub share: f64,
}

/// The class that at least two of three neighbours have; none when all three differ.
#[must_use]
pub fn vote(classes: [u32; VOTERS]) -> Option<u32> {
    let [first, second, third] = classes;
    if first == second || first == third {
        Some(first)
    } else {
        (second == third).then_some(second)
    }
}

/// For each image whether its neighbours vote for the class it was asked to be.
///
/// `neighbours` holds the three nearest real images (more are passed over), `asked` one class an
/// image, `reference` the classes of the real images.
///
/// # Panics
/// When there are fewer than three neighbours, or fewer classes than images.
#[must_use]
pub fn votes_as_asked(neighbours: &Neighbours, asked: &[u32], reference: &[u32]) -> Vec<bool> {
    let rows = neighbours.indices.rows().into_iter().enumerate();
    rows.map(|(image, found)| {
        let classes = std::array::from_fn(|voter| reference[found[voter]]);
        vote(classes) == Some(asked[image])
    })
    .collect()
}

/// The share over all images, then over those of each class below `classes`.
#[must_use]
pub fn agreement(asked: &[u32], agreed: &[bool], classes: u32) -> (Agreement, Vec<Agreement>) {
    let count = |class: Option<u32>| {
        let of_class =
            asked.iter().zip(agreed).filter(|(asked, _)| class.is_none_or(|c| c == **asked));
        let (asked, agreed) =
            of_class.fold((0, 0), |(n, yes), (_, &agrees)| (n + 1, yes + usize::from(agrees)));
        Agreement { class, asked, agreed, share: agreed as f64 / asked.max(1) as f64 }
    };
    (count(None), (0..classes).map(|class| count(Some(class))).collect())
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array};

    use super::*;

    #[test]
    fn two_of_three_decide_and_a_tie_is_no_vote() {
        assert_eq!(vote([4, 4, 4]), Some(4));
        assert_eq!(vote([4, 4, 1]), Some(4));
        assert_eq!(vote([4, 1, 4]), Some(4));
        assert_eq!(vote([1, 4, 4]), Some(4));
        assert_eq!(vote([1, 2, 3]), None);
    }

    #[test]
    fn shares_are_counted_for_all_and_for_each_class() {
        let neighbours = Neighbours {
            indices: array![[0, 1, 4], [0, 2, 4], [2, 3, 0], [4, 2, 3]],
            distances: Array2::zeros((4, 3)),
        };
        // Classes of the five real images; the votes are 0, a tie, 1, 1.
        let reference = [0, 0, 1, 1, 2];
        let asked = [0, 0, 1, 2];
        let agreed = votes_as_asked(&neighbours, &asked, &reference);
        assert_eq!(agreed, [true, false, true, false]);
        let (all, each) = agreement(&asked, &agreed, 4);
        assert_eq!((all.class, all.asked, all.agreed, all.share), (None, 4, 2, 0.5));
        let shares: Vec<_> = each.iter().map(|a| (a.asked, a.agreed, a.share)).collect();
        assert_eq!(shares, [(2, 1, 0.5), (1, 1, 1.0), (1, 0, 0.0), (0, 0, 0.0)]);
    }
}
