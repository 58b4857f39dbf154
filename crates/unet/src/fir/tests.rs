//! The filters against sums written out in f64.

use tweedie_torch_ext::{MemoryFormat, has_format, to_format};

use super::*;

/// Numbers without a pattern that a transposed or flipped kernel would share.
fn drawn(size: &[i64]) -> Tensor {
    let count = size.iter().product::<i64>();
    let index = Tensor::arange(count, (Kind::Double, Device::Cpu));
    ((&index * 12.9898).sin() * 43.758).sin().view(size)
}

/// Images as rows of pixels, one for each sample and channel.
type Planes = Vec<Vec<Vec<f64>>>;

fn flat(x: &Tensor) -> Vec<f64> {
    Vec::try_from(x.contiguous().view(-1)).unwrap()
}

fn planes(x: &Tensor) -> Planes {
    let (height, width) = (x.size()[2] as usize, x.size()[3] as usize);
    let rows = |plane: &[f64]| plane.chunks(width).map(<[f64]>::to_vec).collect();
    flat(x).chunks(height * width).map(rows).collect()
}

/// Zeros between pixels (and behind the last), zeros around, convolution with k k^T, every `down`-th
/// pixel: the published rule word by word.
fn upfirdn(
    image: &[Vec<f64>],
    taps: &[f64],
    up: usize,
    down: usize,
    pads: [i64; 2],
) -> Vec<Vec<f64>> {
    let length = taps.len() as i64;
    let sum: f64 = taps.iter().sum();
    let size = |side: usize| ((side * up) as i64 + pads[0] + pads[1] - length) / down as i64 + 1;
    let pixel = |row: i64, column: i64| {
        let up = up as i64;
        let inside = row >= 0 && column >= 0 && row % up == 0 && column % up == 0;
        let at = |row: i64, column: i64| image.get(row as usize)?.get(column as usize).copied();
        if inside { at(row / up, column / up).unwrap_or(0.0) } else { 0.0 }
    };
    let value = |row: i64, column: i64| {
        let mut total = 0.0;
        for (i, a) in taps.iter().rev().enumerate() {
            for (j, b) in taps.iter().rev().enumerate() {
                let from = |at: i64, tap: usize| at * down as i64 + tap as i64 - pads[0];
                total += a * b / (sum * sum) * pixel(from(row, i), from(column, j));
            }
        }
        total * (up * up) as f64
    };
    let (height, width) = (size(image.len()), size(image[0].len()));
    (0..height).map(|row| (0..width).map(|column| value(row, column)).collect()).collect()
}

fn as_tensor(planes: &Planes, channels: i64) -> Tensor {
    let flat: Vec<f64> = planes.iter().flatten().flatten().copied().collect();
    let (h, w) = (planes[0].len() as i64, planes[0][0].len() as i64);
    Tensor::from_slice(&flat).view([-1, channels, h, w])
}

#[track_caller]
fn check(got: &Tensor, want: &Tensor) {
    assert_eq!(got.size(), want.size());
    let error = (got.to_kind(Kind::Double) - want).abs().max().double_value(&[]);
    assert!(error < 1e-12, "{error}");
}

const FILTERS: [&[f64]; 7] = [
    &[1.0, 3.0, 3.0, 1.0],
    &[1.0, 4.0, 6.0, 4.0, 1.0],
    &[0.5, -1.0, 3.0, 7.0, 2.0],
    &[2.0, 5.0, -1.0, 3.0],
    &[1.0, 2.0, 4.0],
    &[1.0, 1.0],
    &[1.0, -2.0, 3.0, 4.0, 5.0, 6.0, 9.0],
];
const SIZES: [[i64; 2]; 4] = [[4, 6], [5, 7], [2, 9], [8, 8]];

#[test]
fn halving_is_the_published_sum() {
    for taps in FILTERS {
        for [h, w] in SIZES {
            let x = drawn(&[2, 3, h, w]);
            let p = taps.len() as i64 - 2;
            let pads = [(p + 1) / 2, p / 2];
            let want = planes(&x).iter().map(|image| upfirdn(image, taps, 1, 2, pads)).collect();
            let fir = Fir::new(taps).unwrap();
            check(&fir.downsample(&x), &as_tensor(&want, 3));
        }
    }
}

#[test]
fn doubling_is_the_published_sum() {
    for taps in FILTERS {
        for [h, w] in SIZES {
            let x = drawn(&[2, 3, h, w]);
            let p = taps.len() as i64 - 2;
            let pads = [(p + 1) / 2 + 1, p / 2];
            let want = planes(&x).iter().map(|image| upfirdn(image, taps, 2, 1, pads)).collect();
            let fir = Fir::new(taps).unwrap();
            check(&fir.upsample(&x), &as_tensor(&want, 3));
        }
    }
}

/// Every output channel as a sum over pixels and channels, with zeros between the input's pixels.
fn convolved(x: &Planes, channels: usize, weight: &Tensor, up: usize, stride: usize) -> Planes {
    let [out, _, side, _] = weight.size()[..] else { panic!("not a weight") };
    // A doubled image is padded so that every pixel meets every tap.
    let pad = if up == 2 { side - 1 } else { 0 };
    let size = |from: usize| {
        let stuffed = (from as i64 - 1) * up as i64 + 1;
        (stuffed + 2 * pad - side) / stride as i64 + 1
    };
    let (height, width) = (size(x[0].len()), size(x[0][0].len()));
    let pixel = |plane: usize, row: i64, column: i64| {
        let up = up as i64;
        let inside = row >= 0 && column >= 0 && row % up == 0 && column % up == 0;
        let at = |row: i64, column: i64| x[plane].get(row as usize)?.get(column as usize).copied();
        if inside { at(row / up, column / up).unwrap_or(0.0) } else { 0.0 }
    };
    let weights = flat(weight);
    let mut planes = Planes::new();
    for sample in 0..x.len() / channels {
        for to in 0..out {
            let value = |row: i64, column: i64| {
                let mut total = 0.0;
                for from in 0..channels {
                    for i in 0..side {
                        for j in 0..side {
                            let (r, c) =
                                (row * stride as i64 + i - pad, column * stride as i64 + j - pad);
                            let w = weights[(((to * channels as i64 + from as i64) * side + i)
                                * side
                                + j) as usize];
                            total += w * pixel(sample * channels + from, r, c);
                        }
                    }
                }
                total
            };
            let row = |r| (0..width).map(|column| value(r, column)).collect();
            planes.push((0..height).map(row).collect());
        }
    }
    planes
}

#[test]
fn halving_with_a_convolution_filters_first() {
    for taps in FILTERS {
        for [h, w] in SIZES {
            let (x, weight) = (drawn(&[2, 3, h, w]), drawn(&[2, 3, 3, 3]));
            let p = taps.len() as i64 - 2 + 2;
            let pads = [(p + 1) / 2, p / 2];
            let filtered: Planes =
                planes(&x).iter().map(|image| upfirdn(image, taps, 1, 1, pads)).collect();
            let want = as_tensor(&convolved(&filtered, 3, &weight, 1, 2), 2);
            let fir = Fir::new(taps).unwrap();
            check(&fir.downsample_convolved(&x, &weight), &want);
        }
    }
}

#[test]
fn doubling_with_a_convolution_filters_last() {
    // The published padding is negative for shorter filters than these.
    for taps in FILTERS.into_iter().filter(|taps| taps.len() > 2) {
        for [h, w] in SIZES {
            let (x, weight) = (drawn(&[2, 3, h, w]), drawn(&[2, 3, 3, 3]));
            let p = taps.len() as i64 - 2 - 2;
            let pads = [(p + 1).div_euclid(2) + 1, p.div_euclid(2) + 1];
            let wide = convolved(&planes(&x), 3, &weight, 2, 1);
            let filtered = wide.iter().map(|image| upfirdn(image, taps, 1, 1, pads)).collect();
            let fir = Fir::new(taps).unwrap();
            check(&fir.upsample_convolved(&x, &weight), &(as_tensor(&filtered, 2) * 4.0));
        }
    }
}

#[test]
fn a_constant_stays_a_constant_inside() {
    let x = Tensor::ones([1, 2, 12, 12], (Kind::Double, Device::Cpu));
    for taps in FILTERS {
        let fir = Fir::new(taps).unwrap();
        check(
            &fir.downsample(&x).slice(2, 2, 4, 1).slice(3, 2, 4, 1),
            &x.slice(2, 0, 2, 1).slice(3, 0, 2, 1),
        );
    }
    // Going up even and odd pixels meet every other tap: it takes taps whose two halves sum alike.
    for taps in [FILTERS[0], FILTERS[1], FILTERS[5]] {
        let up = Fir::new(taps).unwrap().upsample(&x);
        check(&up.slice(2, 6, 18, 1).slice(3, 6, 18, 1), &x);
    }
}

#[test]
fn the_layout_and_the_kind_are_those_of_the_images() {
    let fir = Fir::new(&[1.0, 3.0, 3.0, 1.0]).unwrap();
    let x = drawn(&[2, 8, 6, 4]);
    for kind in [Kind::Float, Kind::BFloat16] {
        let narrow = to_format(&x.to_kind(kind), MemoryFormat::ChannelsLast);
        let wide = narrow.to_kind(Kind::Double);
        let pairs = [
            (fir.downsample(&narrow), fir.downsample(&wide)),
            (fir.upsample(&narrow), fir.upsample(&wide)),
        ];
        for (got, want) in pairs {
            assert_eq!(got.kind(), kind);
            assert!(has_format(&got, MemoryFormat::ChannelsLast));
            let error = (got.to_kind(Kind::Double) - want).abs().max().double_value(&[]);
            // Half a unit in the last place of a number below 2.
            assert!(error < if kind == Kind::Float { 1e-6 } else { 4e-3 }, "{error}");
        }
    }
}

#[test]
fn taps_that_no_scale_makes_sum_to_one_are_refused() {
    for taps in
        [vec![], vec![1.0, -1.0], vec![1.0, f64::NAN], vec![f64::MAX, 1.0, f64::MAX], vec![1.0; 65]]
    {
        let error = Fir::new(&taps).unwrap_err().to_string();
        assert!(error.contains("key `model.fir_kernel`") && error.contains("1 to 64"), "{error}");
    }
}
