//! The variational bound against closed forms, on normal data in one dimension.
//!
//! All reverse steps of normal data are normal, so with the right variances the bound is the likelihood
//! itself. Expectations over data and noise are taken by the trapezoidal rule, which is exact to rounding
//! for what a normal density cuts off.

use ndarray::ArrayD;
use tweedie_likelihood::{LikelihoodError, VariationalBound};
use tweedie_losses::{Bins, Decoder, Normal, normal_kl};
use tweedie_samplers::{AnalyticDpm, NoiseMoments};
use tweedie_schedules::{
    DiscreteTable, NoiseLevel, NoiseSchedule, Prediction, Spacing, TimeGrid, Variance, VeGeometric,
    VpLinear,
};
use tweedie_score::{Learned, Replay, ReverseNoise, ScoreError, ScoreFn, Times};

type State = ArrayD<f64>;

/// Deviation of the data.
const STD: f64 = 0.6;

/// A network for normal data of mean 0, exact but for a factor and a shift of its noise, which may say
/// of its variance what is best.
struct Network {
    factor: f64,
    shift: f64,
    learned: Option<Vec<(f64, f64)>>,
}

const EXACT: Network = Network { factor: 1.0, shift: 0.0, learned: None };

/// The variance of the state.
fn spread(at: NoiseLevel) -> f64 {
    (at.alpha * STD).powi(2) + at.sigma.powi(2)
}

impl ScoreFn<State> for Network {
    fn prediction(&self) -> Prediction {
        Prediction::Noise
    }

    fn predict(&self, x: &State, at: Times<'_>) -> Result<State, ScoreError> {
        let level = at.of(0).level;
        Ok(x.mapv(|x| self.factor * level.sigma / spread(level) * x + self.shift))
    }

    fn predict_with_variance(
        &self,
        x: &State,
        at: Times<'_>,
    ) -> Result<(State, Option<State>), ScoreError> {
        let t = at.of(0).t;
        let known =
            |learned: &Vec<(f64, f64)>| learned.iter().find(|(known, _)| *known == t).copied();
        let value = self.learned.as_ref().and_then(known).map(|(_, value)| value);
        Ok((self.predict(x, at)?, value.map(|value| x.mapv(|_| value))))
    }
}

/// Points and weights of a standard normal expectation.
fn rule() -> Vec<(f64, f64)> {
    let step = 0.25_f64;
    let weight = |z: f64| (-0.5 * z * z).exp() * step / std::f64::consts::TAU.sqrt();
    (-32..=32).map(|k| f64::from(k) * step).map(|z| (z, weight(z))).collect()
}

/// Bins so fine that a probability is a density times their width.
fn fine() -> Bins {
    Bins::new((1 << 16) + 1, -8.0, 8.0).unwrap()
}

fn decoder(variance: Option<f64>) -> Decoder {
    Decoder { bins: fine(), variance }
}

/// The mean over the noise of the bound for data `x0`.
fn over_noise(bound: &VariationalBound, network: &Network, x0: f64) -> f64 {
    let (points, weights): (Vec<f64>, Vec<f64>) = rule().into_iter().unzip();
    let data = State::from_elem(vec![points.len(), 1], x0);
    let mut noise = Replay::new(vec![points; bound.len()]);
    let terms = bound.evaluate(&data, network, &mut noise).unwrap();
    terms.total().iter().zip(weights).map(|(total, weight)| total * weight).sum()
}

/// The mean over data and noise.
fn over_data(bound: &VariationalBound, network: &Network) -> f64 {
    rule().into_iter().map(|(z, weight)| weight * over_noise(bound, network, STD * z)).sum()
}

/// `-ln p` of the bin of `x0`.
fn surprise(x0: f64) -> f64 {
    -fine().log_probability(x0, Normal { mean: 0.0, log_variance: 2.0 * STD.ln() })
}

fn entropy() -> f64 {
    rule().into_iter().map(|(z, weight)| weight * surprise(STD * z)).sum()
}

fn grid(steps: usize) -> TimeGrid {
    let table = DiscreteTable::cosine(1000).unwrap();
    TimeGrid::discrete(&table, steps, Spacing::Linspace).unwrap().ending_clean()
}

/// The optimal variance at the levels of a grid, also of its last step.
fn optimal(grid: &TimeGrid) -> AnalyticDpm {
    let levels: Vec<_> = grid.intervals().iter().rev().map(|step| step.from.level).collect();
    let moments: Vec<_> = levels.iter().map(|at| at.sigma.powi(2) / spread(*at)).collect();
    let moments = NoiseMoments::new(&levels, &moments).unwrap();
    AnalyticDpm::new(1.0, moments).unwrap().with_final_noise()
}

fn bound(grid: &TimeGrid, noise: &dyn ReverseNoise) -> VariationalBound {
    VariationalBound::new(grid, noise, decoder(None)).unwrap()
}

#[test]
fn with_the_right_variances_the_bound_is_the_likelihood_at_any_number_of_steps() {
    for steps in [2, 5, 20] {
        let grid = grid(steps);
        let bound = bound(&grid, &optimal(&grid));
        for x0 in [-1.3, 0.0, 0.4] {
            let (got, exact) = (over_noise(&bound, &EXACT, x0), surprise(x0));
            // what remains is the signal left at the noisy end, alpha^2 of 2e-9, and the width of a bin
            assert!((got - exact).abs() < 1e-6, "{steps} steps, {x0}: {got}, exactly {exact}");
        }
    }
}

#[test]
fn a_single_step_is_the_bound_of_a_variational_auto_encoder() {
    let level = NoiseLevel { alpha: 0.6, sigma: 0.8 };
    let start = tweedie_schedules::TimePoint { t: 1.0, level };
    let grid = TimeGrid::through(&[start]).unwrap().ending_clean();
    let variance = 0.3;
    let bound =
        VariationalBound::new(&grid, &Variance::FixedSmall, decoder(Some(variance))).unwrap();
    let x0 = 0.5;
    // the encoder is N(alpha x0, sigma^2), the decoder N(the mean of the data given z, variance)
    let encoder = Normal { mean: level.alpha * x0, log_variance: 2.0 * level.sigma.ln() };
    let divergence = normal_kl(encoder, Normal { mean: 0.0, log_variance: 0.0 });
    let decoded = |z: f64| {
        let latent = level.alpha * x0 + level.sigma * z;
        let mean = level.alpha * STD.powi(2) / spread(level) * latent;
        -fine().log_probability(x0, Normal { mean, log_variance: variance.ln() })
    };
    let expected: f64 =
        divergence + rule().into_iter().map(|(z, weight)| weight * decoded(z)).sum::<f64>();
    let got = over_noise(&bound, &EXACT, x0);
    assert!((got - expected).abs() < 1e-11, "{got}, expected {expected}");
    assert!(got > surprise(x0));
}

#[test]
fn every_sub_sequence_bounds_the_entropy_and_more_steps_bound_it_more_closely() {
    for variance in [Variance::FixedSmall, Variance::FixedLarge] {
        let gap = |steps| over_data(&bound(&grid(steps), &variance), &EXACT) - entropy();
        let gaps = [3, 10, 30, 100].map(gap);
        // about three times as many steps leave less than four tenths of the gap: it vanishes
        let closes = |pair: &[f64]| 0.0 < pair[1] && pair[1] < 0.4 * pair[0];
        assert!(gaps.windows(2).all(closes), "{variance:?}: {gaps:?}");
    }
    let best = grid(10);
    let tight = over_data(&bound(&best, &optimal(&best)), &EXACT) - entropy();
    assert!(tight.abs() < 1e-6, "{tight}");
}

#[test]
fn a_learned_variance_at_its_best_is_the_optimal_one_and_beats_both_fixed_ones() {
    let grid = grid(10);
    let optimal = optimal(&grid);
    let value = |index: usize| {
        let step = grid.intervals()[index];
        let log = optimal.deviation(step).unwrap().log_variance(0.0);
        let small = match index {
            9 => Variance::FixedSmall.log_of(grid.intervals()[8]),
            _ => Variance::FixedSmall.log_of(step),
        };
        let large = Variance::FixedLarge.log_of(step);
        (step.from.t, 2.0 * (log - small) / (large - small) - 1.0)
    };
    let learned = Network { learned: Some((0..10).map(value).collect()), ..EXACT };
    let got = over_data(&bound(&grid, &Learned::Range), &learned);
    let expected = over_data(&bound(&grid, &optimal), &EXACT);
    assert!((got - expected).abs() < 1e-9, "{got}, expected {expected}");
    for fixed in [Variance::FixedSmall, Variance::FixedLarge] {
        let fixed = over_data(&bound(&grid, &fixed), &EXACT);
        assert!(fixed > got + 1e-3, "{fixed}, learned {got}");
    }
}

/// Slope and curvature, by central differences, of `f` at 0.
fn slope_and_curvature(f: impl Fn(f64) -> f64) -> (f64, f64) {
    let h = 1e-3;
    let (below, here, above) = (f(-h), f(0.0), f(h));
    ((above - below) / (2.0 * h), (above - 2.0 * here + below) / (h * h))
}

#[test]
fn the_exact_network_minimizes_the_whole_bound_and_its_last_term() {
    let (whole, last) = (grid(5), {
        let level = NoiseLevel::variance_preserving(-0.05);
        TimeGrid::through(&[tweedie_schedules::TimePoint { t: 0.1, level }]).unwrap().ending_clean()
    });
    for (grid, variance) in [(whole, None), (last, Some(0.04))] {
        let noise = Variance::FixedLarge;
        let bound = VariationalBound::new(&grid, &noise, decoder(variance)).unwrap();
        let by_factor = |d: f64| over_data(&bound, &Network { factor: 1.0 + d, ..EXACT });
        let by_shift = |d: f64| over_data(&bound, &Network { shift: d, ..EXACT });
        for (slope, curvature) in [slope_and_curvature(by_factor), slope_and_curvature(by_shift)] {
            // the slope of central differences of a parabola is exact; the bins' width disturbs it
            assert!(curvature > 0.1 && slope.abs() < 1e-5 * curvature, "{slope}, {curvature}");
        }
    }
}

#[test]
fn processes_in_continuous_time_have_a_bound_against_their_own_prior() {
    let vp = VpLinear::new(0.1, 20.0).unwrap();
    let ve = VeGeometric::new(0.01, 5.0).unwrap();
    for (schedule, prior_std) in [(&vp as &dyn NoiseSchedule, 1.0), (&ve, 5.0)] {
        let times: Vec<f64> = (0..8).map(|k| 1.0 - f64::from(k) / 8.0).collect();
        let grid = TimeGrid::at_times(schedule, &times).unwrap().ending_clean();
        let bound = bound(&grid, &optimal(&grid)).with_prior_std(prior_std).unwrap();
        // the only loss is that the far end is not the prior
        let far = Normal { mean: 0.0, log_variance: spread(grid.start().level).ln() };
        let lost = normal_kl(far, Normal { mean: 0.0, log_variance: 2.0 * prior_std.ln() });
        let gap = over_data(&bound, &EXACT) - entropy();
        assert!((gap - lost).abs() < 1e-6, "{gap}, expected {lost}");
    }
}

#[test]
fn what_has_no_bound_is_refused() {
    let table = DiscreteTable::cosine(1000).unwrap();
    let open = TimeGrid::discrete(&table, 5, Spacing::Linspace).unwrap();
    let refused = VariationalBound::new(&open, &Variance::FixedSmall, Decoder::default());
    assert!(matches!(refused, Err(LikelihoodError::Chain(_))));
    let silent =
        AnalyticDpm::new(0.0, NoiseMoments::new(&[table.node(0).unwrap().level], &[1.0]).unwrap());
    assert!(VariationalBound::new(&grid(5), &silent.unwrap(), Decoder::default()).is_err());

    let bound = bound(&grid(5), &Variance::FixedSmall);
    assert!(bound.clone().with_prior_std(0.0).is_err());
    let nan = State::from_elem(vec![2, 1], f64::NAN);
    assert!(matches!(bound.prior(&nan), Err(LikelihoodError::NotFinite { sample: 0 })));
    let data = State::zeros(vec![2, 1]);
    let error = bound.evaluate(&data, &EXACT, &mut Replay::new([vec![0.0, 0.1]])).unwrap_err();
    assert!(matches!(error, LikelihoodError::Noise(_)));

    let nothing = table.rescaled_to_zero_snr().unwrap();
    let grid = TimeGrid::discrete(&nothing, 5, Spacing::Linspace).unwrap().ending_clean();
    let bound = VariationalBound::new(&grid, &Variance::FixedSmall, Decoder::default()).unwrap();
    let error = bound.step(0, &data, &EXACT, &mut Replay::new([vec![0.0, 0.1]])).unwrap_err();
    assert!(matches!(
        error,
        LikelihoodError::Score { source: ScoreError::Undetermined { .. }, .. }
    ));
}

#[test]
fn a_network_that_returns_no_numbers_has_no_bound() {
    let (grid, data) = (grid(5), State::zeros(vec![2, 1]));
    let bound = bound(&grid, &Variance::FixedSmall);
    for shift in [f64::NAN, f64::INFINITY] {
        let network = Network { shift, ..EXACT };
        // the last term is the decoder's, which gives an infinite error some probability all the same
        for step in [1, 4] {
            let noise = &mut Replay::new([vec![0.0, 0.1]]);
            let error = bound.step(step, &data, &network, noise).unwrap_err();
            let LikelihoodError::TermNotFinite { step: at, t, sample: 0, .. } = error else {
                panic!("{error}")
            };
            assert_eq!((at, t), (step, grid.intervals()[step].from.t));
        }
    }
    let network = Network { shift: f64::NAN, ..EXACT };
    let draws = (0..5).map(|_| vec![0.0, 0.1]);
    let error = bound.evaluate(&data, &network, &mut Replay::new(draws)).unwrap_err();
    let says = "the term of sample 0 is NaN, expected a finite value";
    assert!(error.to_string().contains(says), "{error}");
}
