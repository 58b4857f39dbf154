//! Likelihood weighting over uniform times and over times drawn by importance: one mean, two variances.
//!
//! 200 000 draws of time, data and noise each; means are held to 4 standard errors, and so is the
//! difference of the variances.

use ndarray::ArrayD;
use tweedie_closed_form::{ExactScore, Mixture, Part};
use tweedie_losses::{Denoising, ImportanceTime, TimeSampler, UniformTime, Weighting};
use tweedie_schedules::{Prediction, SubVpLinear, TimePoint, VpLinear};
use tweedie_score::{NoiseSource, ScoreFn, Seeded, Times};
use tweedie_sde::Sde;

const DRAWS: usize = 200_000;
const SIGMAS: f64 = 4.0;
const FIRST: f64 = 1e-3;

/// What a network returns for states at their times.
type Network<'a> = &'a dyn Fn(&ArrayD<f64>, &[TimePoint]) -> ArrayD<f64>;

/// Mean and variance of some numbers, each with its standard error.
struct Moments {
    mean: (f64, f64),
    variance: (f64, f64),
}

impl Moments {
    fn of(values: &[f64]) -> Self {
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let central =
            |power: i32| values.iter().map(|value| (value - mean).powi(power)).sum::<f64>() / count;
        let variance = central(2);
        Self {
            mean: (mean, (variance / count).sqrt()),
            variance: (variance, ((central(4) - variance * variance) / count).sqrt()),
        }
    }
}

fn data() -> Mixture {
    let part = |weight, mean, deviation| Part { weight, mean: vec![mean], deviation };
    Mixture::new(vec![part(0.3, -0.8, 0.2), part(0.7, 0.6, 0.3)]).unwrap()
}

/// The weighted losses of a network over times that the sampler draws.
fn losses(sampler: &dyn TimeSampler, sde: &dyn Sde, network: Network<'_>, seed: u64) -> Vec<f64> {
    let noise = &mut Seeded::new(seed);
    let drawn = sampler.draw(&NoiseSource::<ArrayD<f64>>::uniform(noise, DRAWS).unwrap());
    let points: Vec<_> = drawn.iter().map(|drawn| sde.point(drawn.t)).collect();
    let weights: Vec<_> = drawn.iter().map(|drawn| drawn.weight).collect();
    let objective = Denoising::new(Prediction::Noise, Weighting::Likelihood);
    let plan = objective.plan(&points, sde).unwrap().scaled(&weights).unwrap();
    let x0 = data().draw(DRAWS, noise).unwrap();
    let eps: ArrayD<f64> = noise.normal_like(&x0).unwrap();
    plan.losses(&network(&plan.noised(&x0, &eps), &points), &x0, &eps)
}

fn check(sde: impl Sde + Copy + std::fmt::Debug, network: Network<'_>) -> (Moments, Moments) {
    let uniform = UniformTime::new(FIRST, 1.0).unwrap();
    let importance = ImportanceTime::new(sde, FIRST, 1.0).unwrap();
    let uniform = Moments::of(&losses(&uniform, &sde, network, 0));
    let importance = Moments::of(&losses(&importance, &sde, network, 1));
    let error = uniform.mean.1.hypot(importance.mean.1);
    let apart = (uniform.mean.0 - importance.mean.0).abs();
    assert!(apart < SIGMAS * error, "{sde:?}: means {apart} apart, standard error {error}");
    let less = uniform.variance.0 - importance.variance.0;
    let error = uniform.variance.1.hypot(importance.variance.1);
    assert!(less > SIGMAS * error, "{sde:?}: variance less by {less}, standard error {error}");
    (uniform, importance)
}

/// A network at the start of its training returns 0: its mean loss is that of `eps^2`, whose integral is
/// known, `2 (lambda(first) - lambda(last))` by the length of the range.
fn check_untrained(sde: impl Sde + Copy + std::fmt::Debug) {
    let (uniform, importance) = check(sde, &|x, _| ArrayD::zeros(x.raw_dim()));
    let fall = sde.level(FIRST).lambda() - sde.level(1.0).lambda();
    let exact = 2.0 * fall / (1.0 - FIRST);
    for (name, moments) in [("uniform", &uniform), ("importance", &importance)] {
        let (mean, error) = moments.mean;
        assert!((mean - exact).abs() < SIGMAS * error, "{name}: {mean} for {exact}, error {error}");
    }
    // what is left is the variance of eps^2, twice its squared mean
    let (variance, error) = importance.variance;
    assert!((variance - 2.0 * exact * exact).abs() < SIGMAS * error, "{variance}, error {error}");
}

#[test]
fn an_untrained_network_has_the_known_mean_by_both_and_less_variance_by_importance() {
    check_untrained(VpLinear::new(0.1, 20.0).unwrap());
    check_untrained(SubVpLinear::new(0.1, 20.0).unwrap());
}

#[test]
fn so_has_a_perfect_one() {
    let network = ExactScore::new(data(), Prediction::Noise);
    let predict = |x: &ArrayD<f64>, points: &[TimePoint]| {
        network.predict(x, Times::PerSample(points)).unwrap()
    };
    check(VpLinear::new(0.1, 20.0).unwrap(), &predict);
    check(SubVpLinear::new(0.1, 20.0).unwrap(), &predict);
}
