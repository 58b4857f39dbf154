//! Between levels and the numbers a network sees, in `[-1, 1]`.
//!
//! With `L` levels, a pixel of level `v` (0 to L - 1) becomes
//!
//! - scaled: `2 v / (L - 1) - 1`, so that the lowest level is -1 and the highest 1;
//! - dequantized: `2 (v + u) / L - 1` with `u` uniform in `[0, 1)`, so that each level fills an
//!   interval of width `2 / L` and a density over `[-1, 1]` gives probabilities of levels
//!   (bits/dim adds `log2(L / 2)` per pixel to the negative log2-density).
//!
//! Both are computed in f64 and rounded to f32 once.

/// The number in `[-1, 1]` that stands for `level` of `levels`: `2 v / (L - 1) - 1`.
#[must_use]
pub fn scale(level: u8, levels: u32) -> f32 {
    (2.0 * f64::from(level) / f64::from(levels - 1) - 1.0) as f32
}

/// A number in the interval that `level` of `levels` fills: `2 (v + u) / L - 1`, `uniform` in `[0, 1)`.
///
/// # Precision
/// Rounded to f32, so the top of the last interval can come out as 1.
#[must_use]
pub fn dequantize(level: u8, levels: u32, uniform: f64) -> f32 {
    (2.0 * (f64::from(level) + uniform) / f64::from(levels) - 1.0) as f32
}

/// The level nearest to a scaled number: the inverse of [`scale`].
///
/// Numbers beyond `[-1, 1]` become the lowest or highest level, not-a-number the lowest.
#[must_use]
pub fn nearest_level(value: f32, levels: u32) -> u8 {
    let top = f64::from(levels - 1);
    // Clamping keeps not-a-number, which the cast takes to 0.
    ((f64::from(value) + 1.0) / 2.0 * top).round().clamp(0.0, top) as u8
}

/// The level whose interval holds a dequantized number: the inverse of [`dequantize`].
///
/// Numbers beyond `[-1, 1]` become the lowest or highest level, not-a-number the lowest.
#[must_use]
pub fn level_of_interval(value: f32, levels: u32) -> u8 {
    let top = f64::from(levels - 1);
    ((f64::from(value) + 1.0) / 2.0 * f64::from(levels)).floor().clamp(0.0, top) as u8
}

/// The grey value, 0 to 255, that shows `level` of `levels` in a picture.
#[must_use]
pub fn picture_byte(level: u8, levels: u32) -> u8 {
    (f64::from(level) * 255.0 / f64::from(levels - 1)).round() as u8
}

/// The grey value, 0 to 255, that shows each number of `[-1, 1]` in a picture.
#[must_use]
pub fn to_picture(values: &[f32]) -> Vec<u8> {
    values.iter().map(|&value| nearest_level(value, 256)).collect()
}

/// The grey value, 0 to 255, that shows the level of each dequantized number in a picture: for what a
/// network draws that was trained on [`dequantize`]d images of so many levels.
#[must_use]
pub fn to_picture_dequantized(values: &[f32], levels: u32) -> Vec<u8> {
    values.iter().map(|&value| picture_byte(level_of_interval(value, levels), levels)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_ends_are_exact() {
        for levels in [2, 17, 256] {
            assert_eq!(scale(0, levels), -1.0);
            assert_eq!(scale((levels - 1) as u8, levels), 1.0);
            assert_eq!(dequantize(0, levels, 0.0), -1.0);
        }
        assert_eq!(scale(8, 17), 0.0);
        assert_eq!(dequantize(8, 17, 0.5), 0.0);
    }

    #[test]
    fn numbers_out_of_range_are_clamped() {
        assert_eq!(to_picture(&[-3.0, -1.0, 0.0, 1.0, 7.0, f32::NAN]), [0, 0, 128, 255, 255, 0]);
        assert_eq!(nearest_level(f32::INFINITY, 17), 16);
        assert_eq!(nearest_level(f32::NEG_INFINITY, 17), 0);
        assert_eq!(level_of_interval(1.0, 17), 16);
        assert_eq!(level_of_interval(f32::NAN, 17), 0);
        assert_eq!(picture_byte(16, 17), 255);
        assert_eq!(picture_byte(8, 17), 128);
        assert_eq!(picture_byte(200, 256), 200);
        let beyond = [-3.0, 7.0, f32::NAN];
        assert_eq!(to_picture_dequantized(&beyond, 17), [0, 255, 0]);
    }

    #[test]
    fn a_dequantized_picture_shows_levels_from_black_to_white() {
        for levels in [2, 17, 256] {
            for level in [0, 1, levels / 2, levels - 1].map(|level| level as u8) {
                let values = [0.01, 0.5, 0.99].map(|uniform| dequantize(level, levels, uniform));
                let bytes = to_picture_dequantized(&values, levels);
                assert_eq!(bytes, [picture_byte(level, levels); 3], "{level} of {levels}");
            }
        }
    }

    proptest! {
        #[test]
        fn scaling_inverts(level in 0u8..=255, levels in 2u32..=256) {
            prop_assume!(u32::from(level) < levels);
            prop_assert_eq!(nearest_level(scale(level, levels), levels), level);
        }

        #[test]
        fn dequantizing_stays_in_the_interval_of_the_level(
            level in 0u8..=255, levels in 2u32..=256, uniform in 0.0..0.999,
        ) {
            prop_assume!(u32::from(level) < levels);
            let value = dequantize(level, levels, uniform);
            prop_assert!((-1.0..=1.0).contains(&value));
            // Within an interval, clear of its lower end, where f32 may round into the one below.
            let inside = dequantize(level, levels, uniform.max(0.001));
            prop_assert_eq!(level_of_interval(inside, levels), level);
        }
    }
}
