//! Samplers against closed forms: normal and mixture data with the exact score.

#[path = "oracle/gaussian.rs"]
mod gaussian;

use gaussian::Gaussian;
use ndarray::{ArrayD, IxDyn, arr1};
use tweedie_closed_form::{Coordinate, ExactScore, Mixture, Part};
use tweedie_samplers::{
    Ancestral, Ddim, KeepingNoise, LearnedAncestral, OneStep, Solver, Variance, encode, sample,
};
use tweedie_schedules::{DiscreteTable, NoiseLevel, Prediction, TimeGrid};
use tweedie_score::{NoiseSource, Replay, ScoreError, ScoreFn, Seeded, Silent, Times, Unchanged};

type State = ArrayD<f64>;

/// A mixture of two normals on the line, and the network that knows its score.
fn mixture() -> ExactScore {
    let part = |weight, mean, deviation| Part { weight, mean: vec![mean], deviation };
    let data = Mixture::new(vec![part(0.3, -0.8, 0.2), part(0.7, 0.6, 0.3)]).unwrap();
    ExactScore::new(data, Prediction::Score)
}

/// The distribution of its noisy states.
fn states(network: &ExactScore, level: NoiseLevel) -> Coordinate {
    network.data().at(level).coordinate(0)
}

fn grid(steps: usize) -> (TimeGrid, NoiseLevel, NoiseLevel) {
    let table = DiscreteTable::linear(1000, 1e-4, 0.02).unwrap();
    let grid = TimeGrid::uniform_lambda(&table, steps).unwrap();
    let end = grid.intervals()[steps - 1].to.level;
    (grid.clone(), grid.start().level, end)
}

/// A network with a learned variance, which it puts half way between its bounds.
struct WithVariance<F>(F);

impl<F: ScoreFn<State>> ScoreFn<State> for WithVariance<F> {
    fn prediction(&self) -> Prediction {
        self.0.prediction()
    }

    fn predict(&self, x: &State, at: Times<'_>) -> Result<State, ScoreError> {
        self.0.predict(x, at)
    }

    fn predict_with_variance(
        &self,
        x: &State,
        at: Times<'_>,
    ) -> Result<(State, Option<State>), ScoreError> {
        Ok((self.0.predict(x, at)?, Some(x * 0.0)))
    }
}

fn stochastic() -> [(&'static str, Box<dyn Solver<State>>); 6] {
    let ancestral = |variance| Box::new(OneStep(Ancestral { variance }));
    let ddim = Ddim::new(0.5).unwrap();
    [
        ("DDIM at eta 0.5", Box::new(OneStep(Ddim::new(0.5).unwrap()))),
        ("DDIM at eta 1", Box::new(OneStep(Ddim::new(1.0).unwrap()))),
        ("ancestral, small variance", ancestral(Variance::FixedSmall)),
        ("ancestral, large variance", ancestral(Variance::FixedLarge)),
        ("ancestral, learned variance", Box::new(LearnedAncestral::default())),
        (
            "DDIM at eta 0.5, estimates apart",
            Box::new(KeepingNoise { predictor: ddim, map: Unchanged }),
        ),
    ]
}

/// Measured orders between neighbouring runs of which each takes twice the steps of the one before.
#[track_caller]
fn check_order(errors: &[f64], declared: f64) {
    for pair in errors.windows(2) {
        let order = (pair[0] / pair[1]).log2();
        assert!((order - declared).abs() < 0.15, "order {order}, errors {errors:?}");
    }
}

#[test]
fn ddim_follows_the_flow_of_normal_data_at_first_order() {
    let data = Gaussian { mean: 0.3, deviation: 0.5 };
    let errors = [64, 128, 256, 512].map(|steps| {
        let (grid, noisy, clean) = grid(steps);
        // the state keeps its place in the distribution: 1.2 deviations above the mean
        let place = |level: NoiseLevel| level.alpha * data.mean + 1.2 * data.spread(level);
        let start = arr1(&[place(noisy)]).into_dyn();
        let solver = OneStep(Ddim::new(0.0).unwrap());
        let end = sample(&solver, &data, &grid, start, &mut Replay::new([])).unwrap();
        (end[0] - place(clean)).abs()
    });
    check_order(&errors, 1.0);
}

#[test]
fn ddim_carries_quantiles_of_a_mixture_to_quantiles_at_first_order() {
    // in one dimension paths of the flow cannot cross, so the share of data below a state is kept
    let network = mixture();
    for share in [0.05, 0.28, 0.8] {
        let quantile = |level| states(&network, level).quantile(share);
        let errors = [128, 256, 512, 1024].map(|steps| {
            let (grid, noisy, clean) = grid(steps);
            let start = arr1(&[quantile(noisy)]).into_dyn();
            let solver = OneStep(Ddim::new(0.0).unwrap());
            let end = sample(&solver, &network, &grid, start, &mut Replay::new([])).unwrap();
            (end[0] - quantile(clean)).abs()
        });
        check_order(&errors, 1.0);
    }
}

#[test]
fn encoding_carries_quantiles_to_noise_and_sampling_carries_them_back_at_first_order() {
    let network = mixture();
    for share in [0.05, 0.28, 0.8] {
        let quantile = |level| states(&network, level).quantile(share);
        let errors = [256, 512, 1024, 2048].map(|steps| {
            let (grid, noisy, clean) = grid(steps);
            let start = arr1(&[quantile(clean)]).into_dyn();
            let latent = encode(&network, &grid, start).unwrap();
            let off = latent[0] - quantile(noisy);
            let solver = OneStep(Ddim::DETERMINISTIC);
            let back = sample(&solver, &network, &grid, latent, &mut Silent).unwrap();
            (off.abs(), (back[0] - quantile(clean)).abs())
        });
        check_order(&errors.map(|(encoded, _)| encoded), 1.0);
        check_order(&errors.map(|(_, back)| back), 1.0);
    }
}

#[test]
fn the_mean_of_normal_data_is_kept_exactly_by_every_method() {
    let data = Gaussian { mean: -0.7, deviation: 0.4 };
    let (grid, noisy, clean) = grid(10);
    for (name, solver) in stochastic() {
        let start = arr1(&[noisy.alpha * data.mean]).into_dyn();
        let mut still = Replay::new(vec![vec![0.0]; 10]);
        let end = sample(solver.as_ref(), &WithVariance(data), &grid, start, &mut still).unwrap();
        assert!((end[0] - clean.alpha * data.mean).abs() < 1e-12, "{name}: {}", end[0]);
    }
}

#[test]
fn stochastic_methods_reach_the_moments_of_a_mixture() {
    // n = 20 000 samples, seed 1, 800 steps. Mean, variance and share of the left part are held to
    // 4 standard errors; the discretization adds less than one (it falls with the number of steps).
    let (count, sigmas) = (20_000, 4.0);
    let (grid, noisy, clean) = grid(800);
    let network = mixture();
    let (start, end) = (states(&network, noisy), states(&network, clean));
    let (mean, variance, fourth) = (end.mean(), end.variance(), end.central_moment(4));
    let left = end.share_below(-0.2);
    let root = (count as f64).sqrt();
    for (name, solver) in stochastic() {
        let mut noise = Seeded::new(1);
        let z: State = noise.normal_like(&ArrayD::zeros(IxDyn(&[1, count]))).unwrap();
        let x = z.mapv(|z| start.mean() + z * start.variance().sqrt());
        let network = WithVariance(&network);
        let x = sample(solver.as_ref(), &network, &grid, x, &mut noise).unwrap();
        let measured = x.mean().unwrap();
        let spread = x.mapv(|x| (x - measured).powi(2)).mean().unwrap();
        let share = x.iter().filter(|x| **x < -0.2).count() as f64 / count as f64;
        for (what, got, expected, deviation) in [
            ("mean", measured, mean, variance.sqrt()),
            ("variance", spread, variance, (fourth - variance.powi(2)).sqrt()),
            ("share", share, left, (left * (1.0 - left)).sqrt()),
        ] {
            let off = (got - expected) / (deviation / root);
            assert!(off.abs() < sigmas, "{name}: {what} is {got}, {off} standard errors off");
        }
    }
}
