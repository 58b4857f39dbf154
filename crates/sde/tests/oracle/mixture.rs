//! A mixture of two normals in one dimension: its density, its score and its moments at any level.

use std::f64::consts::{SQRT_2, TAU};
use tweedie_schedules::NoiseLevel;

/// One part of the mixture: its weight, mean and standard deviation.
type Part = (f64, f64, f64);

const PARTS: [Part; 2] = [(0.3, -0.8, 0.2), (0.7, 0.6, 0.3)];

/// The parts as they are at a noise level.
fn parts_at(level: NoiseLevel) -> [Part; 2] {
    PARTS.map(|(weight, mean, deviation)| {
        (weight, level.alpha * mean, (level.alpha * deviation).hypot(level.sigma))
    })
}

/// Density of the noisy data.
pub(crate) fn density(x: f64, level: NoiseLevel) -> f64 {
    let part = |(weight, mean, deviation): Part| {
        let scaled = (x - mean) / deviation;
        weight / (deviation * TAU.sqrt()) * (-0.5 * scaled * scaled).exp()
    };
    parts_at(level).into_iter().map(part).sum()
}

/// The score, the slope of the log density.
pub(crate) fn score(x: f64, level: NoiseLevel) -> f64 {
    let (mut density, mut slope) = (0.0, 0.0);
    for (weight, mean, deviation) in parts_at(level) {
        let scaled = (x - mean) / deviation;
        let part = weight / deviation * (-0.5 * scaled * scaled).exp();
        density += part;
        slope -= part * scaled / deviation;
    }
    slope / density
}

/// A state, from a uniform number that chooses the part and a standard normal one.
pub(crate) fn draw(uniform: f64, normal: f64, level: NoiseLevel) -> f64 {
    let [first, second] = parts_at(level);
    let (_, mean, deviation) = if uniform < first.0 { first } else { second };
    mean + deviation * normal
}

/// Mean, variance and fourth central moment of the noisy data.
pub(crate) fn moments(level: NoiseLevel) -> (f64, f64, f64) {
    let parts = parts_at(level);
    let mean: f64 = parts.iter().map(|(weight, mean, _)| weight * mean).sum();
    let (mut second, mut fourth) = (0.0, 0.0);
    for (weight, part_mean, deviation) in parts {
        let (shift, v) = (part_mean - mean, deviation.powi(2));
        second += weight * (shift.powi(2) + v);
        fourth += weight * (shift.powi(4) + 6.0 * shift.powi(2) * v + 3.0 * v * v);
    }
    (mean, second, fourth)
}

/// Probability that the noisy data lies below `x`.
pub(crate) fn share_below(x: f64, level: NoiseLevel) -> f64 {
    let below = |(weight, mean, deviation): Part| {
        weight * 0.5 * libm::erfc((mean - x) / (deviation * SQRT_2))
    };
    parts_at(level).into_iter().map(below).sum()
}
