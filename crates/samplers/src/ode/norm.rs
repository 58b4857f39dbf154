//! One number for the error of a batch.

use super::tableau::{ErrorWeights, Tableau};
use tweedie_score::{ErrorNorm, Tolerance};

/// What the error of an attempt is taken over. All samples share one step either way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ErrorOver {
    /// The root mean square over the whole batch, as one system of equations: scipy's norm of the
    /// flattened batch. An inaccurate sample can hide among accurate ones.
    #[default]
    Batch,
    /// The largest over samples of each sample's own root mean square.
    WorstSample,
    /// The largest over the parts of a state that is made of several, each the root mean square of that
    /// part over the whole batch: torchdiffeq's norm of a tuple. As `Batch` for a state of one part.
    WorstPart,
}

impl ErrorOver {
    /// One number for a batch whose samples have these errors, each a root mean square; not a number
    /// if any is not.
    #[must_use]
    pub fn of(self, each: &[f64]) -> f64 {
        match self {
            Self::WorstSample => largest(each),
            Self::Batch | Self::WorstPart => {
                let mean = each.iter().map(|rms| rms * rms).sum::<f64>() / each.len() as f64;
                mean.sqrt()
            }
        }
    }
}

/// The norm that an adaptive run uses throughout.
#[derive(Clone, Copy, Debug)]
pub(super) struct Norm {
    pub(super) tolerance: Tolerance,
    pub(super) over: ErrorOver,
}

impl Norm {
    /// Size of `error` against what is allowed between `a` and `b`.
    pub(super) fn of<S: ErrorNorm>(self, error: &S, a: &S, b: &S) -> f64 {
        largest(&self.parts(error, a, b))
    }

    /// Size of the error of a step of size `h` from `x` to `end`, whose stages are given.
    pub(super) fn of_step<S: ErrorNorm>(
        self,
        tableau: &Tableau,
        h: f64,
        stages: &[S],
        (x, end): (&S, &S),
    ) -> f64 {
        let estimate = |weights: &[f64]| {
            let terms = weights.iter().zip(stages).filter(|(weight, _)| **weight != 0.0);
            let terms: Vec<_> = terms.map(|(weight, stage)| (*weight, stage)).collect();
            let sizes = self.parts(&S::combine(&terms), x, end).into_iter();
            sizes.map(|size| h.abs() * size).collect::<Vec<f64>>()
        };
        match tableau.error {
            ErrorWeights::One(weights) => largest(&estimate(weights)),
            ErrorWeights::FifthAndThird { fifth, third } => {
                // Hairer et al. 1993, sec. II.10, eq. 10.17
                let tempered = |(fifth, third): (f64, f64)| {
                    let size = fifth.hypot(0.1 * third);
                    if size == 0.0 { 0.0 } else { fifth * (fifth / size) }
                };
                let pairs = estimate(fifth).into_iter().zip(estimate(third));
                largest(&pairs.map(tempered).collect::<Vec<f64>>())
            }
        }
    }

    /// One number for the batch, one a sample or one a part.
    fn parts<S: ErrorNorm>(self, error: &S, a: &S, b: &S) -> Vec<f64> {
        match self.over {
            ErrorOver::WorstPart => error.scaled_rms_parts(a, b, self.tolerance),
            ErrorOver::WorstSample => error.scaled_rms_each(a, b, self.tolerance),
            ErrorOver::Batch => vec![self.over.of(&error.scaled_rms_each(a, b, self.tolerance))],
        }
    }
}

/// The largest value, or not a number if any is not.
fn largest(values: &[f64]) -> f64 {
    let larger = |most: f64, value: f64| if value > most || value.is_nan() { value } else { most };
    values.iter().copied().fold(0.0, larger)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_its_root_mean_square_and_the_worst_sample_the_largest() {
        assert_eq!(ErrorOver::Batch.of(&[1.0, 7.0]), 5.0);
        assert_eq!(ErrorOver::WorstSample.of(&[1.0, 7.0]), 7.0);
        for over in [ErrorOver::Batch, ErrorOver::WorstSample, ErrorOver::WorstPart] {
            for each in [[f64::NAN, 7.0], [7.0, f64::NAN]] {
                assert!(over.of(&each).is_nan(), "{over:?} {each:?}");
            }
        }
    }
}
