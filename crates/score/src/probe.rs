//! Directions in which a Jacobian is looked at: drawn at random, or along one axis.

use crate::{Draw, NoiseError, NoiseSource};

/// What probes are drawn from; with any distribution of mean 0 and covariance 1 the mean of
/// `v^T J v` is the trace of `J`. // Hutchinson 1990
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProbeKind {
    /// Independent signs: the least variance, none at all from the Jacobian's diagonal.
    #[default]
    Rademacher,
    /// Standard normal numbers.
    Gaussian,
}

impl ProbeKind {
    /// A probe of the shape of `like`.
    ///
    /// # Errors
    /// When the noise source fails.
    pub fn draw<S>(self, like: &S, noise: &mut dyn NoiseSource<S>) -> Result<S, NoiseError> {
        match self {
            Self::Rademacher => noise.rademacher_like(like),
            Self::Gaussian => noise.normal_like(like),
        }
    }
}

/// In every sample of a batch like `like`, 1 at place `axis` and 0 elsewhere.
#[must_use]
pub fn unit_like<S: Draw>(like: &S, axis: usize) -> S {
    let (values, mut place) = (like.item_len(), 0);
    S::draw_like(like, &mut || {
        place += 1;
        if (place - 1) % values == axis { 1.0 } else { 0.0 }
    })
}

#[cfg(all(test, feature = "ndarray"))]
mod tests {
    use super::*;
    use crate::Seeded;
    use ndarray::{ArrayD, array};

    #[test]
    fn a_unit_has_one_place_in_every_sample() {
        let like = ArrayD::<f64>::zeros(vec![2, 3]);
        assert_eq!(unit_like(&like, 1), array![[0.0, 1.0, 0.0], [0.0, 1.0, 0.0]].into_dyn());
    }

    #[test]
    fn probes_are_of_their_kind() {
        let (like, mut noise) = (ArrayD::<f64>::zeros(vec![4, 3]), Seeded::new(0));
        let signs = ProbeKind::Rademacher.draw(&like, &mut noise).unwrap();
        assert!(signs.iter().all(|sign| sign.abs() == 1.0));
        let normal = ProbeKind::Gaussian.draw(&like, &mut noise).unwrap();
        assert!(normal.iter().all(|value| value.abs() != 1.0));
    }
}
