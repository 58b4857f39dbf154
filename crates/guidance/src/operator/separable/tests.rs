//! Maps of pictures as products of small matrices, held to what they are made of.

use super::*;
use ndarray::{Array, ArrayD};

const SHAPE: [usize; 3] = [3, 4, 6];

/// Two pixels in three.
const KNOWN: [bool; 24] = {
    let mut known = [true; 24];
    let mut k = 0;
    while k < 24 {
        known[k] = k % 3 != 1;
        k += 1;
    }
    known
};

fn wave(shape: &[usize], pace: f64) -> ArrayD<f64> {
    let mut k = 0.0;
    ArrayD::from_shape_simple_fn(shape, || {
        k += pace;
        f64::sin(k)
    })
}

fn operators() -> Vec<Separable> {
    let grey = Separable::grey([3, 4, 6]);
    let boxes = Separable::box_downsampling([1, 4, 6], 2).unwrap();
    vec![
        Separable::box_downsampling(SHAPE, 2).unwrap(),
        Separable::bicubic_downsampling(SHAPE, 2).unwrap(),
        Separable::blur(SHAPE, 0.7).unwrap(),
        boxes.after(&grey).unwrap(),
        Separable::mask(SHAPE, &KNOWN)
            .unwrap()
            .after(&Separable::blur(SHAPE, 0.7).unwrap())
            .unwrap(),
        Separable::blur(SHAPE, 0.4)
            .unwrap()
            .after(&Separable::mask(SHAPE, &KNOWN).unwrap())
            .unwrap(),
    ]
}

#[test]
fn the_adjoint_is_one_and_the_coordinates_are_orthonormal() {
    for operator in operators() {
        let x = wave(&[2, 3, 4, 6], 1.7);
        let y = LinearOperator::<ArrayD<f64>>::apply(&operator, &x);
        let other = wave(y.shape(), 0.9);
        let (forth, back) = ((&y * &other).sum(), (&x * &operator.adjoint(&other)).sum());
        assert!((forth - back).abs() < 1e-12, "{forth} against {back}");
        let coordinates = operator.decouple(&x);
        assert!(((&x * &x).sum() - (&coordinates * &coordinates).sum()).abs() < 1e-11);
        assert!((operator.couple(&coordinates) - &x).iter().all(|off| off.abs() < 1e-12));
    }
}

#[test]
fn a_measurement_says_what_the_seen_coordinates_are() {
    for operator in operators() {
        let x = wave(&[2, 3, 4, 6], 1.3);
        let seen = operator.seen_in(&operator.apply(&x)).unwrap();
        let mask = operator.spectrum(&x).seen;
        let expected: ArrayD<f64> = operator.decouple(&x) * mask;
        assert!((seen - expected).iter().all(|off| off.abs() < 1e-9), "{operator:?}");
    }
}

#[test]
fn filters_keep_a_flat_picture_flat_and_boxes_are_means() {
    let flat = ArrayD::from_elem(vec![1, 3, 4, 6], 0.4);
    for operator in &operators()[..4] {
        let y: ArrayD<f64> = operator.apply(&flat);
        assert!(y.iter().all(|value| (value - 0.4).abs() < 1e-12));
    }
    let x = wave(&[1, 3, 4, 6], 1.1);
    let y: ArrayD<f64> = operators()[0].apply(&x);
    let mean = 0.25 * (x[[0, 1, 2, 4]] + x[[0, 1, 2, 5]] + x[[0, 1, 3, 4]] + x[[0, 1, 3, 5]]);
    assert!((y[[0, 1, 1, 2]] - mean).abs() < 1e-14);
}

#[test]
fn bicubic_downsampling_keeps_a_slope_away_from_the_border() {
    let line = Array::from_iter((0..16).map(f64::from)).into_dyn();
    let line = line.into_shape_with_order(vec![1, 1, 1, 16]).unwrap();
    let rows = |length: usize| {
        let scale = 2.0;
        filter(length, length / 2, |i| (i as f64 + 0.5) * scale - 0.5, 4, |off| cubic(off / scale))
    };
    let y = line.along_axis(3, rows(16).transpose().as_slice());
    for i in 2..6 {
        assert!((y[[0, 0, 0, i]] - (2.0 * i as f64 + 0.5)).abs() < 1e-12);
    }
}

#[test]
fn nonsense_is_refused() {
    assert!(Separable::box_downsampling(SHAPE, 4).is_err());
    assert!(Separable::bicubic_downsampling(SHAPE, 0).is_err());
    assert!(Separable::blur(SHAPE, 0.0).is_err());
    assert!(Separable::new(&[vec![vec![1.0, 2.0], vec![1.0]]]).is_err());
    let boxes = Separable::box_downsampling(SHAPE, 2).unwrap();
    assert!(boxes.after(&Separable::grey(SHAPE)).is_err());
    let error = boxes.seen_in(&wave(&[1, 3, 4, 6], 1.0)).unwrap_err();
    let text = "the measurement has shape [3, 4, 6], expected [3, 2, 3]";
    assert_eq!(error.to_string(), text);
}

#[test]
fn a_product_is_one_map_after_the_other_whatever_axes_they_group() {
    let x = wave(&[2, 3, 4, 6], 1.3);
    let (mask, blur) =
        (Separable::mask(SHAPE, &KNOWN).unwrap(), Separable::blur(SHAPE, 0.7).unwrap());
    let boxes = Separable::box_downsampling(SHAPE, 2).unwrap();
    let grey = Separable::grey([3, 2, 3]);
    let stages = [&mask, &blur, &boxes, &grey];
    let mut product = stages[0].clone();
    let mut expected: ArrayD<f64> = stages[0].apply(&x);
    for stage in &stages[1..] {
        product = stage.after(&product).unwrap();
        expected = stage.apply(&expected);
    }
    assert_eq!(product.shape_of_item(), SHAPE);
    assert_eq!(product.shape_of_measurement(), [1, 2, 3]);
    let got: ArrayD<f64> = product.apply(&x);
    assert_eq!(got.shape(), [2, 1, 2, 3]);
    assert!((got - expected).iter().all(|off| off.abs() < 1e-14));
}

#[test]
fn a_mask_is_refused_by_size() {
    let error = Separable::mask(SHAPE, &[true; 23]).unwrap_err();
    assert_eq!(error.to_string(), "the mask has shape [23], expected [4, 6]");
    let error = Separable::mask([1, 33, 32], &[true; 33 * 32]).unwrap_err();
    let text = "a mask in a product mixes 1056 values, expected at most 1024";
    assert_eq!(error.to_string(), text);
}
