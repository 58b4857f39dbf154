//! Simulated processes against closed forms: a mixture carried forwards by the SDE, and backwards by
//! every member of the reverse family with the exact score (Anderson's reversal).
//!
//! 10 000 paths of 400 Euler-Maruyama steps. Mean, variance and the share of data left of a point
//! are held to 4 standard errors plus the bias of the steps, which is of their order: one part in
//! 400 of the standard deviation (for the share: of 1), times 4.

#[path = "oracle/mixture.rs"]
mod mixture;
#[path = "oracle/processes.rs"]
mod processes;

use mixture::{density, draw, moments, score, share_below};
use processes::processes;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use tweedie_schedules::{Interval, NoiseLevel, TimeGrid};
use tweedie_sde::{ReverseSde, Sde};

const PATHS: usize = 10_000;
const STEPS: usize = 400;
const SIGMAS: f64 = 4.0;

/// Paths that start from the closed form at `level`.
fn paths(level: NoiseLevel, rng: &mut ChaCha8Rng) -> Vec<f64> {
    (0..PATHS).map(|_| draw(rng.random(), rng.sample(StandardNormal), level)).collect()
}

/// Moves every path by `drift(x) dt + deviation z`.
fn step(x: &mut [f64], drift: impl Fn(f64) -> f64, deviation: f64, rng: &mut ChaCha8Rng) {
    for x in x {
        let noise: f64 = rng.sample(StandardNormal);
        *x += drift(*x) + deviation * noise;
    }
}

#[track_caller]
fn check(name: &str, x: &[f64], level: NoiseLevel) {
    let (mean, variance, fourth) = moments(level);
    let (root, bias) = ((PATHS as f64).sqrt(), 4.0 / STEPS as f64);
    let average =
        |value: &dyn Fn(f64) -> f64| x.iter().map(|x| value(*x)).sum::<f64>() / PATHS as f64;
    let measured = average(&|x| x);
    let spread = average(&|x| (x - measured).powi(2));
    let border = -0.2 * level.alpha;
    assert!(density(border, level) > 0.0);
    let left = share_below(border, level);
    let share = average(&|x| f64::from(u8::from(x < border)));
    for (what, got, expected, deviation, scale) in [
        ("mean", measured, mean, variance.sqrt(), variance.sqrt()),
        ("variance", spread, variance, (fourth - variance.powi(2)).sqrt(), variance),
        ("share", share, left, (left * (1.0 - left)).sqrt(), 1.0),
    ] {
        let allowed = SIGMAS * deviation / root + bias * scale;
        assert!((got - expected).abs() < allowed, "{name}: {what} is {got}, expected {expected}");
    }
}

/// Steps even in lambda, noisiest first.
fn intervals(sde: &dyn Sde) -> Vec<Interval> {
    TimeGrid::uniform_lambda(sde, STEPS).unwrap().intervals().to_vec()
}

#[test]
fn the_forward_process_carries_the_data_to_its_noisy_marginal() {
    for (name, sde) in processes() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let intervals = intervals(sde.as_ref());
        let mut x = paths(intervals[STEPS - 1].to.level, &mut rng);
        for interval in intervals.iter().rev() {
            let (t, dt) = (interval.to.t, -interval.dt());
            let deviation = (sde.diffusion_squared(t) * dt).sqrt();
            step(&mut x, |x| sde.drift(t) * x * dt, deviation, &mut rng);
        }
        check(name, &x, intervals[0].from.level);
    }
}

#[test]
fn every_reverse_process_carries_the_noisy_marginal_back_to_the_data() {
    for eta in [0.0, 0.5, 1.0] {
        for (name, sde) in processes() {
            let mut rng = ChaCha8Rng::seed_from_u64(2);
            let reverse = ReverseSde::new(sde.as_ref(), eta).unwrap();
            let intervals = intervals(sde.as_ref());
            let mut x = paths(intervals[0].from.level, &mut rng);
            for interval in &intervals {
                let (from, dt) = (interval.from, interval.dt());
                let (of_x, of_score) = reverse.drift(from.t);
                let deviation = reverse.diffusion(from.t) * (-dt).sqrt();
                let drift = |x: f64| (of_x * x + of_score * score(x, from.level)) * dt;
                step(&mut x, drift, deviation, &mut rng);
            }
            check(&format!("{name}, eta {eta}"), &x, intervals[STEPS - 1].to.level);
        }
    }
}
