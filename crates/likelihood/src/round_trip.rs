//! How far states are from themselves after the way to their latents and back.

/// The size of the errors of a round trip, value by value.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RoundTripError {
    largest: f64,
    squares: f64,
    values: usize,
}

impl RoundTripError {
    /// The largest error; 0 of no values, NaN where one is.
    #[must_use]
    pub fn largest(&self) -> f64 {
        self.largest
    }

    /// The root of the mean square; NaN of no values, or where one is.
    #[must_use]
    pub fn root_mean_square(&self) -> f64 {
        (self.squares / self.values as f64).sqrt()
    }
}

impl Extend<f64> for RoundTripError {
    fn extend<I: IntoIterator<Item = f64>>(&mut self, errors: I) {
        for error in errors {
            let size = error.abs();
            // f64::max would pass over a NaN
            if size.is_nan() || size > self.largest {
                self.largest = size;
            }
            self.squares += size * size;
            self.values += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_add_up() {
        let mut error = RoundTripError::default();
        error.extend([3.0, 0.0]);
        error.extend([-4.0, 0.0]);
        assert_eq!((error.largest(), error.root_mean_square()), (4.0, 2.5));
    }

    #[test]
    fn a_value_that_is_no_number_is_not_lost() {
        let mut error = RoundTripError::default();
        error.extend([1.0, f64::NAN, 2.0]);
        assert!(error.largest().is_nan() && error.root_mean_square().is_nan());
    }
}
