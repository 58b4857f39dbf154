//! The suite that every backend must pass: run it from the tests of a new one.

use crate::{Batch, Draw, Elementwise, Threshold};

/// Checks that a state type keeps the promises of its traits, to a relative tolerance.
///
/// `zeros` makes a state of a given shape.
///
/// # Panics
/// When a promise is broken.
pub fn check<S: Draw + Elementwise>(zeros: &dyn Fn(Vec<usize>) -> S, tolerance: f64) {
    let counting = |start: f64| {
        let mut value = start;
        S::draw_like(&zeros(vec![3, 2, 2]), &mut || {
            value += 0.25;
            value
        })
    };
    let (x, y) = (counting(-1.0), counting(0.5));
    assert_eq!((x.shape(), x.batch_len(), x.item_len()), (vec![3, 2, 2], 3, 4), "shape");
    assert_eq!(zeros(vec![]).batch_len(), 0, "a state without axes");
    check_combine(&x, &y, tolerance);
    check_samples(&x, &y, tolerance);
    check_elements(&x, tolerance);
}

/// Checks what thresholding asks of a state, as [`check`] does the rest.
///
/// # Panics
/// When a promise is broken.
pub fn check_threshold<S: Draw + Threshold>(zeros: &dyn Fn(Vec<usize>) -> S, tolerance: f64) {
    let mut values = [3.0, -4.0, 0.0, 1.0, -0.5, 0.5, 0.25, 0.0].into_iter();
    let x = S::draw_like(&zeros(vec![2, 2, 2]), &mut || values.next().unwrap_or(0.0));
    for (quantile, expected) in [(0.0, [0.0, 0.0]), (0.5, [2.0, 0.375]), (1.0, [4.0, 0.5])] {
        for (got, expected) in x.abs_quantile_each(quantile).into_iter().zip(expected) {
            assert!((got - expected).abs() <= tolerance, "quantile {quantile}: {got}");
        }
    }
    let dots = x.clamp_each(&[2.0, 0.25]).dot_each(&x);
    for (got, expected) in dots.into_iter().zip([15.0, 0.3125]) {
        assert!((got - expected).abs() <= 10.0 * tolerance, "clamp_each: {got}");
    }
}

#[track_caller]
fn assert_same<S: Batch>(a: &S, b: &S, tolerance: f64) {
    let difference = S::combine(&[(1.0, a), (-1.0, b)]);
    for (error, size) in difference.norm_each().iter().zip(a.norm_each()) {
        assert!(*error <= tolerance * (1.0 + size), "differ by {error}");
    }
}

fn check_combine<S: Batch>(x: &S, y: &S, tolerance: f64) {
    let sum = S::combine(&[(2.0, x), (-3.0, y), (0.5, x)]);
    let regrouped = S::combine(&[(1.0, &S::combine(&[(2.5, x)])), (-3.0, y)]);
    assert_same(&sum, &regrouped, tolerance);
    let own = S::combine(&[(1.0, x)]);
    assert_same(&own.combine_reusing(2.0, &[(-3.0, y), (0.5, x)]), &sum, 0.0);
    let by_dot = sum.dot_each(x);
    let by_pairs = S::dot_sum_each(&[(&sum, x), (x, y), (y, y)]);
    let (of_x, of_y) = (x.dot_each(x), y.dot_each(y));
    for (sample, xy) in x.dot_each(y).into_iter().enumerate() {
        let expected = 2.5 * of_x[sample] - 3.0 * xy;
        let all = expected + xy + of_y[sample];
        let close =
            |got: f64, expected: f64| (got - expected).abs() <= tolerance * (1.0 + expected.abs());
        assert!(close(by_dot[sample], expected), "linear");
        assert!(close(by_pairs[sample], all), "sum of dots");
    }
    assert_eq!(S::dot_sum_each(&[]), [0.0; 0]);
}

fn check_samples<S: Batch>(x: &S, y: &S, tolerance: f64) {
    let norms = x.norm_each();
    let scaled = x.scale_each(&[1.0, 0.0, -2.0]).norm_each();
    for (scaled, expected) in scaled.iter().zip([norms[0], 0.0, 2.0 * norms[2]]) {
        assert!((scaled - expected).abs() <= tolerance * (1.0 + expected), "scale_each");
    }
    let joined = S::concat(&[x, y]);
    assert_eq!(joined.batch_len(), 6, "concat");
    let pieces = joined.split(&[3, 2, 1]);
    assert_same(&pieces[0], x, 0.0);
    assert_same(&S::concat(&[&pieces[1], &pieces[2]]), y, 0.0);
}

fn check_elements<S: Batch + Elementwise>(x: &S, tolerance: f64) {
    let inverse = S::combine(&[(-1.0, x)]).exp();
    let ones = x.exp().mul(&inverse);
    for square in ones.dot_each(&ones) {
        assert!((square - 4.0).abs() <= 10.0 * tolerance, "exp(x) exp(-x) is 1");
    }
    let size = x.mul(x).sqrt();
    assert_same(&size.mul(&size), &x.mul(x), tolerance);
    let clamped = x.clamp(-0.5, 0.5);
    assert_same(&clamped.clamp(-0.5, 0.5), &clamped, 0.0);
    assert!(clamped.norm_each().iter().all(|norm| *norm <= 1.0 + tolerance), "clamp");
}
