//! The way between two latents around the sphere.

use crate::LikelihoodError;
use crate::flow::check_data;
use tweedie_score::Batch;

/// Length of the sum of two directions below which they are taken as opposite: about the rounding of
/// states in single precision.
const OPPOSITE: f64 = 1e-6;

/// The states at `share` of the way from `a` to `b`, sample by sample, around the sphere rather than
/// through it: latents are nearly of one length, and what lies between them should be too.
///
/// `sin((1 - s) theta)/sin(theta) a + sin(s theta)/sin(theta) b`, `theta` the angle between the two
/// samples. Song et al. 2021a, eq. 67. Parallel samples, and those of length 0, are interpolated along
/// the straight line, to which the formula tends.
///
/// # Errors
/// When `share` is not finite, the batches differ in shape, a sample is not finite, or two samples point in
/// opposite directions.
pub fn slerp<S: Batch>(a: &S, b: &S, share: f64) -> Result<S, LikelihoodError> {
    if !share.is_finite() {
        let (name, allowed) = ("share of the way", "a finite value");
        return Err(LikelihoodError::ParameterOutOfRange { name, value: share, allowed });
    }
    let [shape, other] = [a.shape(), b.shape()];
    if shape != other {
        return Err(LikelihoodError::ShapeMismatch { a: shape, b: other });
    }
    check_data(a)?;
    check_data(b)?;
    let angles = angles(a, b)?;
    let (of_a, of_b): (Vec<f64>, Vec<f64>) =
        angles.into_iter().map(|angle| weights(angle, share)).unzip();
    Ok(S::combine(&[(1.0, &a.scale_each(&of_a)), (1.0, &b.scale_each(&of_b))]))
}

/// The angle between each sample of `a` and its counterpart; 0 for those of length 0.
fn angles<S: Batch>(a: &S, b: &S) -> Result<Vec<f64>, LikelihoodError> {
    let lengths: Vec<_> = a.norm_each().into_iter().zip(b.norm_each()).collect();
    let finite = |(a, b): &(f64, f64)| a.is_finite() && b.is_finite();
    if let Some(sample) = lengths.iter().position(|lengths| !finite(lengths)) {
        return Err(LikelihoodError::NotFinite { sample });
    }
    let both = |(a, b): &(f64, f64)| *a > 0.0 && *b > 0.0;
    let inverse = |of: fn(&(f64, f64)) -> f64| -> Vec<f64> {
        lengths.iter().map(|pair| if both(pair) { of(pair).recip() } else { 0.0 }).collect()
    };
    let (a, b) = (a.scale_each(&inverse(|pair| pair.0)), b.scale_each(&inverse(|pair| pair.1)));
    // an arc cosine would lose half of the digits of small angles
    let apart = S::combine(&[(1.0, &a), (-1.0, &b)]).norm_each();
    let together = S::combine(&[(1.0, &a), (1.0, &b)]).norm_each();
    let angle = |(sample, (apart, together)): (usize, (f64, f64))| {
        if both(&lengths[sample]) && together < OPPOSITE {
            return Err(LikelihoodError::Opposite { sample });
        }
        Ok(2.0 * apart.atan2(together))
    };
    apart.into_iter().zip(together).enumerate().map(angle).collect()
}

/// The factors of two samples at some angle.
fn weights(angle: f64, share: f64) -> (f64, f64) {
    if angle == 0.0 {
        return (1.0 - share, share);
    }
    // Song et al. 2021a, eq. 67
    (((1.0 - share) * angle).sin() / angle.sin(), (share * angle).sin() / angle.sin())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{ArrayD, array};
    use proptest::prelude::*;

    fn row(values: [f64; 2]) -> ArrayD<f64> {
        array![values].into_dyn()
    }

    proptest! {
        #[test]
        fn what_lies_between_two_of_one_length_has_that_length(
            radius in 0.1..20.0, from in 0.0..6.0, turn in -3.1..3.1, share in 0.0..1.0,
        ) {
            let at = |angle: f64| row([radius * f64::cos(angle), radius * f64::sin(angle)]);
            let (a, b, between) = (at(from), at(from + turn), at(from + share * turn));
            let got = slerp(&a, &b, share).unwrap();
            // near half a turn the sine divides away digits
            prop_assert!((got - between).iter().all(|e| e.abs() < 1e-9 * radius));
        }
    }

    #[test]
    fn both_ends_are_the_samples_themselves() {
        let a: ArrayD<f64> = array![[1.0, 2.0], [0.0, 0.0]].into_dyn();
        let b: ArrayD<f64> = array![[0.5, -3.0], [1.0, 1.0]].into_dyn();
        assert!((slerp(&a, &b, 0.0).unwrap() - &a).iter().all(|e| e.abs() < 1e-15));
        assert!((slerp(&a, &b, 1.0).unwrap() - &b).iter().all(|e| e.abs() < 1e-15));
    }

    #[test]
    fn parallel_samples_go_straight_and_opposite_ones_are_refused() {
        let a = row([1.0, 2.0]);
        let got = slerp(&a, &(&a * 3.0), 0.25).unwrap();
        assert!((got - &a * 1.5).iter().all(|e| e.abs() < 1e-15));
        let error = slerp(&a, &(&a * -1.0), 0.5).unwrap_err();
        assert!(matches!(error, LikelihoodError::Opposite { sample: 0 }), "{error}");
    }

    #[test]
    fn nonsense_is_refused() {
        let a = row([1.0, 2.0]);
        assert!(slerp(&a, &a, f64::NAN).is_err());
        assert!(slerp(&a, &row([f64::NAN, 0.0]), 0.5).is_err());
        let three = ArrayD::ones(vec![1, 3]);
        let error = slerp(&a, &three, 0.5).unwrap_err();
        let says = "one batch has the shape [1, 2], the other [1, 3], expected the same";
        assert_eq!(error.to_string(), says);
        // as many values in another arrangement
        let [flat, deep] = [vec![1, 4], vec![1, 2, 2]].map(ArrayD::<f64>::ones);
        assert!(matches!(slerp(&flat, &deep, 0.5), Err(LikelihoodError::ShapeMismatch { .. })));
        let none = ArrayD::<f64>::ones(vec![]);
        assert!(matches!(slerp(&none, &none, 0.5), Err(LikelihoodError::NoData { .. })));
    }
}
