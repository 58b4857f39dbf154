//! Mixtures of isotropic normal distributions in any dimension.

use crate::{Coordinate, MixtureError};
use ndarray::{ArrayD, Axis, IxDyn};
use tweedie_schedules::NoiseLevel;
use tweedie_score::{NoiseError, NoiseSource};

/// One normal distribution of a mixture.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// Share of the data, relative to the other parts' weights.
    pub weight: f64,
    /// Mean, one number a coordinate.
    pub mean: Vec<f64>,
    /// Standard deviation in every coordinate; 0 for a single point.
    pub deviation: f64,
}

/// A mixture of isotropic normal distributions.
#[derive(Clone, Debug, PartialEq)]
pub struct Mixture {
    parts: Vec<Part>,
    /// Logarithm of each part's contribution to the density at its own mean.
    peaks: Vec<f64>,
}

impl Mixture {
    /// The mixture of some parts; their weights are divided by their sum.
    ///
    /// # Errors
    /// When there is no part, the means differ in length, or a number is out of its range.
    pub fn new(mut parts: Vec<Part>) -> Result<Self, MixtureError> {
        let expected = parts.first().ok_or(MixtureError::NoParts)?.mean.len().max(1);
        for (index, part) in parts.iter().enumerate() {
            check(index, part, expected)?;
        }
        let total: f64 = parts.iter().map(|part| part.weight).sum();
        for part in &mut parts {
            part.weight /= total;
        }
        Ok(Self::of(parts))
    }

    /// The mixture of checked parts whose weights add up to 1.
    fn of(parts: Vec<Part>) -> Self {
        let peak = |part: &Part| {
            let log_width = 0.5 * std::f64::consts::TAU.ln() + part.deviation.ln();
            part.weight.ln() - part.mean.len() as f64 * log_width
        };
        let peaks = parts.iter().map(peak).collect();
        Self { parts, peaks }
    }

    /// A single normal distribution.
    ///
    /// # Errors
    /// When the mean is empty or a number is out of its range.
    pub fn gaussian(mean: Vec<f64>, deviation: f64) -> Result<Self, MixtureError> {
        Self::new(vec![Part { weight: 1.0, mean, deviation }])
    }

    /// The parts, with weights that add up to 1.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Number of coordinates.
    #[must_use]
    pub fn dimension(&self) -> usize {
        self.parts[0].mean.len()
    }

    /// The distribution of `alpha x_0 + sigma eps` for data `x_0` of this one.
    #[must_use]
    pub fn at(&self, level: NoiseLevel) -> Self {
        let noisy = |part: &Part| Part {
            weight: part.weight,
            mean: part.mean.iter().map(|mean| level.alpha * mean).collect(),
            deviation: (level.alpha * part.deviation).hypot(level.sigma),
        };
        Self::of(self.parts.iter().map(noisy).collect())
    }

    /// Logarithm of the density at a point.
    ///
    /// # Panics
    /// When `x` has another number of coordinates.
    #[must_use]
    pub fn log_density(&self, x: &[f64]) -> f64 {
        let terms: Vec<f64> = self.log_terms(x).collect();
        let largest = terms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        largest + terms.iter().map(|term| (term - largest).exp()).sum::<f64>().ln()
    }

    /// Density at a point.
    ///
    /// # Panics
    /// When `x` has another number of coordinates.
    #[must_use]
    pub fn density(&self, x: &[f64]) -> f64 {
        self.log_density(x).exp()
    }

    /// Gradient of the log density at a point.
    ///
    /// # Panics
    /// When `x` has another number of coordinates.
    #[must_use]
    pub fn score(&self, x: &[f64]) -> Vec<f64> {
        let mut score = vec![0.0; x.len()];
        for (part, share) in self.parts.iter().zip(self.shares(x)) {
            let variance = part.deviation.powi(2);
            for ((score, x), mean) in score.iter_mut().zip(x).zip(&part.mean) {
                *score -= share * (x - mean) / variance;
            }
        }
        score
    }

    /// Probability that a point comes from each part.
    ///
    /// # Panics
    /// When `x` has another number of coordinates.
    #[must_use]
    pub fn shares(&self, x: &[f64]) -> Vec<f64> {
        let mut shares = Vec::new();
        self.shares_into(x, &mut shares);
        shares
    }

    /// [`shares`](Self::shares) in memory that serves one point after the other.
    pub(crate) fn shares_into(&self, x: &[f64], shares: &mut Vec<f64>) {
        shares.clear();
        shares.extend(self.log_terms(x));
        let largest = shares.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        for share in shares.iter_mut() {
            *share = (*share - largest).exp();
        }
        let total: f64 = shares.iter().sum();
        for share in shares.iter_mut() {
            *share /= total;
        }
    }

    /// Logarithm of each part's contribution to the density.
    fn log_terms<'a>(&'a self, x: &'a [f64]) -> impl Iterator<Item = f64> + 'a {
        assert_eq!(x.len(), self.dimension(), "coordinates of a point");
        let term = move |(part, peak): (&Part, &f64)| {
            let square = |(x, mean): (&f64, &f64)| ((x - mean) / part.deviation).powi(2);
            let distance: f64 = x.iter().zip(&part.mean).map(square).sum();
            peak - 0.5 * distance
        };
        self.parts.iter().zip(&self.peaks).map(term)
    }

    /// The distribution of one coordinate, counted from 0.
    ///
    /// # Panics
    /// When there is no such coordinate.
    #[must_use]
    pub fn coordinate(&self, axis: usize) -> Coordinate {
        let of = |part: &Part| (part.weight, part.mean[axis], part.deviation);
        Coordinate::new(self.parts.iter().map(of).collect())
    }

    /// `count` points of the distribution, `[count, dimension]`.
    ///
    /// # Errors
    /// When the noise source fails.
    pub fn draw(
        &self,
        count: usize,
        noise: &mut dyn NoiseSource<ArrayD<f64>>,
    ) -> Result<ArrayD<f64>, NoiseError> {
        let places = noise.uniform(count)?;
        let mut points = noise.normal_like(&ArrayD::zeros(IxDyn(&[count, self.dimension()])))?;
        for (mut point, place) in points.axis_iter_mut(Axis(0)).zip(places) {
            let part = self.part_at(place);
            for (value, mean) in point.iter_mut().zip(&part.mean) {
                *value = mean + part.deviation * *value;
            }
        }
        Ok(points)
    }

    /// The part in whose stretch of `[0, 1)` a number falls.
    fn part_at(&self, place: f64) -> &Part {
        let mut end = 0.0;
        let found = self.parts.iter().find(|part| {
            end += part.weight;
            place < end
        });
        found.unwrap_or(&self.parts[self.parts.len() - 1])
    }
}

fn check(index: usize, part: &Part, expected: usize) -> Result<(), MixtureError> {
    let out_of_range = |name, value, allowed| {
        Err(MixtureError::PartOutOfRange { name, part: index, value, allowed })
    };
    if part.mean.len() != expected {
        let got = part.mean.len();
        return Err(MixtureError::DimensionMismatch { part: index, got, expected });
    }
    if !(part.weight > 0.0 && part.weight.is_finite()) {
        return out_of_range("weight", part.weight, "a finite value above 0");
    }
    if !(part.deviation >= 0.0 && part.deviation.is_finite()) {
        return out_of_range("deviation", part.deviation, "a finite value >= 0");
    }
    match part.mean.iter().find(|mean| !mean.is_finite()) {
        Some(mean) => out_of_range("mean", *mean, "a finite value"),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tweedie_score::Seeded;

    fn part(weight: f64, mean: [f64; 2], deviation: f64) -> Part {
        Part { weight, mean: mean.to_vec(), deviation }
    }

    fn data() -> Mixture {
        Mixture::new(vec![part(3.0, [-0.8, 0.4], 0.2), part(1.0, [0.6, -0.1], 0.3)]).unwrap()
    }

    proptest! {
        #[test]
        fn the_score_is_the_slope_of_the_log_density(
            x in -2.0..2.0, y in -2.0..2.0, alpha in 0.0..1.0, sigma in 0.1..2.0,
        ) {
            let noisy = data().at(NoiseLevel { alpha, sigma });
            let step = 1e-5;
            let score = noisy.score(&[x, y]);
            for (axis, (dx, dy)) in [(step, 0.0), (0.0, step)].into_iter().enumerate() {
                let rise = noisy.log_density(&[x + dx, y + dy]) - noisy.log_density(&[x - dx, y - dy]);
                let slope = rise / (2.0 * step);
                prop_assert!((score[axis] - slope).abs() < 1e-6 * (1.0 + slope.abs()));
            }
        }
    }

    #[test]
    fn the_density_of_one_part_is_the_normal_one() {
        let normal = Mixture::gaussian(vec![1.0], 2.0).unwrap();
        let expected = (-0.125_f64).exp() / (2.0 * std::f64::consts::TAU.sqrt());
        assert!((normal.density(&[2.0]) / expected - 1.0).abs() < 1e-14);
        assert_eq!(normal.score(&[2.0]), [-0.25]);
    }

    #[test]
    fn far_away_the_nearest_part_decides_and_nothing_underflows() {
        let score = data().score(&[-100.0, 0.0]);
        assert!(score.iter().all(|value| value.is_finite()) && score[0] > 0.0, "{score:?}");
    }

    #[test]
    fn draws_have_the_moments_of_the_distribution() {
        // n = 40 000: mean and variance of each coordinate within 4 standard errors
        let (data, count) = (data(), 40_000);
        let points = data.draw(count, &mut Seeded::new(3)).unwrap();
        for axis in 0..2 {
            let (exact, column) = (data.coordinate(axis), points.index_axis(Axis(1), axis));
            let (variance, fourth) = (exact.central_moment(2), exact.central_moment(4));
            let mean = column.mean().unwrap();
            let spread = column.mapv(|x| (x - exact.mean()).powi(2)).mean().unwrap();
            let root = (count as f64).sqrt();
            assert!((mean - exact.mean()).abs() < 4.0 * variance.sqrt() / root);
            let error = (fourth - variance.powi(2)).sqrt() / root;
            assert!((spread - variance).abs() < 4.0 * error);
        }
    }

    #[test]
    fn nonsense_is_refused_by_part() {
        assert_eq!(Mixture::new(Vec::new()), Err(MixtureError::NoParts));
        let error = Mixture::new(vec![part(1.0, [0.0; 2], 0.1), part(-1.0, [0.0; 2], 0.1)]);
        let says = "weight of part 1 is -1, expected a finite value above 0";
        assert_eq!(error.unwrap_err().to_string(), says);
        let short = Part { weight: 1.0, mean: vec![0.0], deviation: 0.1 };
        let error = Mixture::new(vec![part(1.0, [0.0; 2], 0.1), short]).unwrap_err();
        assert_eq!(error, MixtureError::DimensionMismatch { part: 1, got: 1, expected: 2 });
        assert!(Mixture::gaussian(Vec::new(), 1.0).is_err());
        assert!(Mixture::gaussian(vec![0.0], f64::NAN).is_err());
    }
}
