//! How the errors of a sample's values become one number.

/// From the values of one sample to its loss. Over a batch the losses of the samples are averaged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reduction {
    /// The mean over the values: a loss that does not grow with the image.
    #[default]
    Mean,
    /// Half the sum over the values: with likelihood weighting, nats of the whole image.
    HalfSum, // Song et al. 2021b, sec. 4.1
}

impl Reduction {
    /// The factor that makes the sum over `values` values the loss.
    #[must_use]
    pub fn of_sum(self, values: usize) -> f64 {
        match self {
            Self::Mean => 1.0 / values as f64,
            Self::HalfSum => 0.5,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_and_half_a_sum_differ_by_half_the_number_of_values() {
        assert_eq!(Reduction::HalfSum.of_sum(12) / Reduction::Mean.of_sum(12), 6.0);
    }
}
