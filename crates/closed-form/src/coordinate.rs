//! One coordinate of a mixture: moments, shares and quantiles.

use std::f64::consts::SQRT_2;

/// A mixture of normal distributions on the line.
#[derive(Clone, Debug, PartialEq)]
pub struct Coordinate {
    /// Weight, mean and standard deviation of each part; the weights add up to 1.
    parts: Vec<(f64, f64, f64)>,
}

impl Coordinate {
    pub(crate) fn new(parts: Vec<(f64, f64, f64)>) -> Self {
        Self { parts }
    }

    /// Mean.
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.parts.iter().map(|(weight, mean, _)| weight * mean).sum()
    }

    /// Variance.
    #[must_use]
    pub fn variance(&self) -> f64 {
        self.central_moment(2)
    }

    /// `E[(x - mean)^order]`.
    #[must_use]
    pub fn central_moment(&self, order: u32) -> f64 {
        let centre = self.mean();
        let of = |(weight, mean, deviation): &(f64, f64, f64)| {
            weight * moment(mean - centre, *deviation, order)
        };
        self.parts.iter().map(of).sum()
    }

    /// Probability of a value below `x`.
    #[must_use]
    pub fn share_below(&self, x: f64) -> f64 {
        let below = |(weight, mean, deviation): &(f64, f64, f64)| {
            weight * 0.5 * libm::erfc((mean - x) / (deviation * SQRT_2))
        };
        self.parts.iter().map(below).sum()
    }

    /// The value below which a share of the distribution lies, to rounding.
    ///
    /// Infinite for a share of 0 or 1, not a number for one outside `[0, 1]`.
    #[must_use]
    pub fn quantile(&self, share: f64) -> f64 {
        if share == 0.0 || share == 1.0 {
            return (share - 0.5) * f64::INFINITY;
        }
        if !(0.0..=1.0).contains(&share) {
            return f64::NAN;
        }
        // beyond 40 deviations nothing is left that a share of f64 could name
        let ends = |side: f64| {
            self.parts.iter().map(move |(_, mean, deviation)| mean + side * 40.0 * deviation)
        };
        let mut low = ends(-1.0).fold(f64::INFINITY, f64::min);
        let mut high = ends(1.0).fold(f64::NEG_INFINITY, f64::max);
        loop {
            let middle = 0.5 * (low + high);
            if middle <= low || middle >= high {
                return middle;
            }
            if self.share_below(middle) < share {
                low = middle;
            } else {
                high = middle;
            }
        }
    }
}

/// `E[(shift + deviation z)^order]` for standard normal `z`.
///
/// By the recursion that integration by parts gives: `m_n = shift m_(n-1) + (n - 1) deviation^2 m_(n-2)`.
fn moment(shift: f64, deviation: f64, order: u32) -> f64 {
    let (mut before, mut now) = (0.0, 1.0);
    for n in 1..=order {
        let next = shift * now + f64::from(n - 1) * deviation.powi(2) * before;
        (before, now) = (now, next);
    }
    now
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two() -> Coordinate {
        Coordinate::new(vec![(0.3, -0.8, 0.2), (0.7, 0.6, 0.3)])
    }

    #[test]
    fn quantiles_invert_shares() {
        for share in [1e-9, 0.05, 0.3, 0.5, 0.95] {
            let back = two().share_below(two().quantile(share));
            assert!((back / share - 1.0).abs() < 1e-12, "{back} for {share}");
        }
        assert_eq!(two().quantile(0.0), f64::NEG_INFINITY);
        assert!(two().quantile(1.5).is_nan());
    }

    #[test]
    fn moments_of_a_normal_distribution() {
        let normal = Coordinate::new(vec![(1.0, 5.0, 2.0)]);
        assert_eq!((normal.mean(), normal.variance()), (5.0, 4.0));
        assert_eq!((normal.central_moment(3), normal.central_moment(4)), (0.0, 48.0));
    }

    #[test]
    fn moments_of_two_parts_are_those_of_the_integral() {
        let (from, cells, width) = (-4.0, 80_000, 1e-4);
        for order in [1, 2, 3, 4] {
            let term = |k: i32| {
                let x = from + (f64::from(k) + 0.5) * width;
                let share = two().share_below(x + 0.5 * width) - two().share_below(x - 0.5 * width);
                share * (x - two().mean()).powi(order)
            };
            let integral: f64 = (0..cells).map(term).sum();
            let exact = two().central_moment(order as u32);
            assert!((integral - exact).abs() < 1e-7, "order {order}: {integral}, {exact}");
        }
    }
}
