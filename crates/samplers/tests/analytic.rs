//! Analytic-DPM against closed forms: its moments by quadrature, its estimator, its samples.

use ndarray::{ArrayD, arr1};
use tweedie_closed_form::{ExactScore, Mixture, Part};
use tweedie_samplers::{
    AnalyticDpm, Ancestral, MomentEstimator, NoiseMoments, OneStep, Predictor, SampleError, Solver,
    Variance, estimate_moments, sample,
};
use tweedie_schedules::{DiscreteTable, NoiseLevel, Prediction, TimeGrid, TimePoint, Trajectory};
use tweedie_score::Seeded;

type State = ArrayD<f64>;

fn network(prediction: Prediction) -> ExactScore {
    let part = |weight, mean, deviation| Part { weight, mean: vec![mean], deviation };
    let data = Mixture::new(vec![part(0.3, -0.8, 0.2), part(0.7, 0.6, 0.3)]).unwrap();
    ExactScore::new(data, prediction)
}

fn table() -> DiscreteTable {
    DiscreteTable::linear(1000, 1e-4, 0.02).unwrap()
}

/// Nodes of the table on the even trajectory, cleanest first.
fn points(steps: usize) -> Vec<TimePoint> {
    let indices = Trajectory::Even.indices(1000, steps).unwrap();
    indices.into_iter().rev().map(|index| table().node(index).unwrap()).collect()
}

/// `E |eps_hat|^2` at a level, by the midpoint rule: `eps_hat` is `-sigma` times the score.
fn moment(data: &Mixture, level: NoiseLevel) -> f64 {
    let noisy = data.at(level);
    let (count, reach) = (3_000, 8.0);
    let width = 2.0 * reach / f64::from(count);
    let of = |k: i32| {
        let x = [-reach + width * (f64::from(k) + 0.5)];
        noisy.density(&x) * (level.sigma * noisy.score(&x)[0]).powi(2) * width
    };
    (0..count).map(of).sum()
}

fn moments(points: &[TimePoint]) -> NoiseMoments {
    let data = network(Prediction::Noise);
    let levels: Vec<_> = points.iter().map(|point| point.level).collect();
    let values: Vec<_> = levels.iter().map(|level| moment(data.data(), *level)).collect();
    NoiseMoments::new(&levels, &values).unwrap()
}

fn grid(points: &[TimePoint]) -> TimeGrid {
    let noisiest_first: Vec<_> = points.iter().rev().copied().collect();
    TimeGrid::through(&noisiest_first).unwrap()
}

/// Mean and variance after a run from the true marginal, and their distance from the truth in
/// standard errors.
fn run(predictor: impl Predictor, points: &[TimePoint], count: usize) -> [f64; 2] {
    let network = network(Prediction::Noise);
    let (grid, mut noise) = (grid(points), Seeded::new(1));
    let start = network.data().at(grid.start().level).draw(count, &mut noise).unwrap();
    let x = sample(&OneStep(predictor), &network, &grid, start, &mut noise).unwrap();
    let truth = network.data().at(points[0].level).coordinate(0);
    let mean = x.mean().unwrap();
    let variance = x.mapv(|x| (x - mean).powi(2)).mean().unwrap();
    let root = (count as f64).sqrt();
    let spread = (truth.central_moment(4) - truth.variance().powi(2)).sqrt();
    [
        (mean - truth.mean()) * root / truth.variance().sqrt(),
        (variance - truth.variance()) * root / spread,
    ]
}

#[test]
fn samples_of_a_mixture_have_the_right_moments_for_any_eta() {
    // n = 10 000, seed 1, 200 steps: both moments are held to 4 standard errors
    let points = points(200);
    for eta in [0.0, 0.5, 1.0] {
        let method = AnalyticDpm::new(eta, moments(&points)).unwrap();
        for (what, off) in ["mean", "variance"].into_iter().zip(run(method, &points, 10_000)) {
            assert!(off.abs() < 4.0, "eta {eta}: {what} is {off} standard errors off");
        }
    }
}

#[test]
fn with_few_steps_the_variance_is_far_closer_than_with_the_lower_bound() {
    // n = 20 000, seed 1, 10 steps: the lower bound is off by dozens of standard errors
    let points = points(10);
    let analytic = run(AnalyticDpm::new(1.0, moments(&points)).unwrap(), &points, 20_000)[1];
    let small = run(Ancestral { variance: Variance::FixedSmall }, &points, 20_000)[1];
    assert!(5.0 * analytic.abs() < small.abs(), "{analytic} against {small}");
}

#[test]
fn the_estimate_agrees_with_the_moment_within_its_standard_error() {
    // 6 levels x 4000 samples: each is held to 4 standard errors
    let points = points(6);
    for prediction in [Prediction::Noise, Prediction::Data, Prediction::Velocity] {
        let (network, mut noise) = (network(prediction), Seeded::new(5));
        let batches: Vec<State> =
            (0..4).map(|_| network.data().draw(1000, &mut noise).unwrap()).collect();
        let estimated =
            estimate_moments("net", points.clone(), batches, &network, &mut noise).unwrap();
        assert_eq!(estimated.samples(), [4000; 6]);
        let errors = estimated.standard_errors();
        for ((value, error), point) in estimated.values().iter().zip(errors).zip(&points) {
            let exact = moment(network.data(), point.level);
            assert!(
                (value - exact).abs() < 4.0 * error && error < 0.03,
                "{prediction:?} at t = {}: {value} +- {error} for {exact}",
                point.t
            );
        }
    }
}

#[test]
fn the_standard_error_is_that_of_a_mean_of_squares() {
    // |eps_hat|^2 / d of normal data in d dimensions is the moment times chi^2_d / d, of variance
    // 2 / d; with 5000 samples the estimate of a deviation is right to one hundredth, held to four
    let (dimension, count) = (8, 5000);
    let network =
        ExactScore::new(Mixture::gaussian(vec![0.0; dimension], 0.5).unwrap(), Prediction::Noise);
    let (points, mut noise) = (points(3), Seeded::new(2));
    let data: State = network.data().draw(count, &mut noise).unwrap();
    let mut estimator = MomentEstimator::new(points.clone()).unwrap();
    estimator.observe(&data, &network, &mut noise).unwrap();
    let errors = estimator.estimates("net").unwrap().standard_errors();
    for (point, error) in points.iter().zip(errors) {
        let NoiseLevel { alpha, sigma } = point.level;
        let moment = sigma.powi(2) / (0.25 * alpha.powi(2) + sigma.powi(2));
        let expected = moment * (2.0 / dimension as f64 / count as f64).sqrt();
        assert!((error / expected - 1.0).abs() < 0.04, "{error}, expected {expected}");
    }
}

#[test]
fn the_same_noise_gives_the_same_estimate() {
    let network = network(Prediction::Noise);
    let data = arr1(&[0.4, -0.7, 0.6]).into_dyn().into_shape_with_order(vec![3, 1]).unwrap();
    let estimate = |seed| {
        let mut noise = Seeded::new(seed);
        estimate_moments("net", points(4), [data.clone()], &network, &mut noise).unwrap()
    };
    assert_eq!(estimate(7), estimate(7));
    assert_ne!(estimate(7), estimate(8));
}

#[test]
fn a_grid_beyond_the_moments_is_refused_when_planned() {
    let narrow = moments(&points(10)[3..7]);
    let (method, grid) = (OneStep(AnalyticDpm::new(0.0, narrow).unwrap()), grid(&points(10)));
    let refused = Solver::<State>::plan(&method, &grid).err();
    assert!(matches!(refused, Some(SampleError::ImpossibleStep { step: 0, .. })), "{refused:?}");
    assert!(refused.is_some_and(|error| error.to_string().contains("the range of the moments")));
}
