//! Predictor-corrector sampling: every combination runs, and the distribution is the right one.

#[path = "oracle/gaussian.rs"]
mod gaussian;

use gaussian::Gaussian;
use ndarray::{ArrayD, IxDyn};
use std::cell::Cell;
use tweedie_closed_form::{Coordinate, ExactScore, Mixture, Part};
use tweedie_samplers::{
    AncestralChain, AnnealedDynamics, AnnealedLangevin, Corrector, CorrectorPlace, Ddim, Denoised,
    EulerMaruyama, Langevin, MeanAtEnd, NoCorrector, NoPredictor, OneStep, PredictorCorrector,
    ReverseDiffusion, SampleError, Solver, Variance, sample,
};
use tweedie_schedules::{
    DiscreteTable, Edm, NoiseLevel, Prediction, SubVpLinear, TimeGrid, VeGeometric, VpCosine,
    VpLinear,
};
use tweedie_score::{NoiseSource, ScoreError, ScoreFn, Seeded, Times};
use tweedie_sde::{Discretization, Euler, Exact, Sde, SongTable, song_grid};

type State = ArrayD<f64>;
type Named<T> = Vec<(String, T)>;

const STEPS: usize = 25;

fn sdes() -> Vec<(&'static str, Box<dyn Sde>)> {
    vec![
        ("VP", Box::new(VpLinear::new(0.1, 20.0).unwrap())),
        ("cosine", Box::new(VpCosine::default())),
        ("sub-VP", Box::new(SubVpLinear::new(0.1, 20.0).unwrap())),
        ("VE", Box::new(VeGeometric::new(0.01, 50.0).unwrap())),
        ("EDM", Box::new(Edm::new(0.002, 80.0).unwrap())),
        ("table", Box::new(DiscreteTable::linear(1000, 1e-4, 0.02).unwrap())),
    ]
}

/// Every chain that an SDE can be cut into.
fn chains<'a>(name: &str, sde: &'a dyn Sde) -> Named<Box<dyn Discretization + 'a>> {
    let mut chains: Named<Box<dyn Discretization + 'a>> = vec![
        ("exact".to_owned(), Box::new(Exact)),
        ("Euler".to_owned(), Box::new(Euler::new(sde))),
    ];
    let song = match name {
        "VP" => SongTable::variance_preserving(0.1, 20.0, STEPS).unwrap(),
        "VE" => SongTable::variance_exploding(0.01, 50.0, STEPS).unwrap(),
        _ => return chains,
    };
    chains.push(("Song".to_owned(), Box::new(song)));
    chains
}

/// Every predictor, for every chain of an SDE.
fn predictors<'a>(name: &str, sde: &'a dyn Sde) -> Named<Box<dyn Solver<State> + 'a>> {
    let mut predictors: Named<Box<dyn Solver<State> + 'a>> = vec![
        ("none".to_owned(), Box::new(NoPredictor)),
        ("DDIM".to_owned(), Box::new(OneStep(Ddim::new(0.5).unwrap()))),
    ];
    for eta in [0.0, 1.0] {
        let euler = OneStep(EulerMaruyama::new(sde, eta).unwrap());
        predictors.push((format!("Euler-Maruyama {eta}"), Box::new(euler)));
        for (kind, chain) in chains(name, sde) {
            let reverse = OneStep(ReverseDiffusion::new(chain, eta).unwrap());
            predictors.push((format!("reverse diffusion {eta}, {kind}"), Box::new(reverse)));
        }
    }
    for variance in [Variance::FixedSmall, Variance::FixedLarge] {
        for (kind, chain) in chains(name, sde) {
            let ancestral = OneStep(AncestralChain { chain, variance });
            predictors.push((format!("ancestral {variance:?}, {kind}"), Box::new(ancestral)));
        }
    }
    predictors
}

/// Every corrector, for every chain of an SDE.
fn correctors<'a>(name: &str, sde: &'a dyn Sde) -> Named<Box<dyn Corrector<State> + 'a>> {
    let mut correctors: Named<Box<dyn Corrector<State> + 'a>> =
        vec![("none".to_owned(), Box::new(NoCorrector))];
    let langevin = Langevin::new(0.16, 2).unwrap();
    let annealed = AnnealedLangevin::new(0.16, 1).unwrap();
    for (kind, chain) in chains(name, sde) {
        let per_sample = langevin.per_sample().with_chain(chain);
        correctors.push((format!("Langevin a sample, {kind}"), Box::new(per_sample)));
    }
    for (kind, chain) in chains(name, sde) {
        correctors.push((format!("Langevin, {kind}"), Box::new(langevin.with_chain(chain))));
    }
    for (kind, chain) in chains(name, sde) {
        correctors.push((format!("annealed, {kind}"), Box::new(annealed.with_chain(chain))));
    }
    correctors
}

/// The exact score of normal data, which counts its calls and fails after a number of them.
struct Watched {
    calls: Cell<usize>,
    fails_after: usize,
}

impl Watched {
    fn failing_after(fails_after: usize) -> Self {
        Self { calls: Cell::new(0), fails_after }
    }
}

const NORMAL: Gaussian = Gaussian { mean: 0.3, deviation: 0.5 };

impl ScoreFn<State> for Watched {
    fn prediction(&self) -> Prediction {
        ScoreFn::<State>::prediction(&NORMAL)
    }

    fn predict(&self, x: &State, at: Times<'_>) -> Result<State, ScoreError> {
        if self.calls.get() == self.fails_after {
            return Err(ScoreError::Network("out of memory".into()));
        }
        self.calls.set(self.calls.get() + 1);
        NORMAL.predict(x, at)
    }
}

/// Standard normal states.
fn normal(shape: [usize; 2], noise: &mut Seeded) -> State {
    noise.normal_like(&ArrayD::zeros(IxDyn(&shape))).unwrap()
}

#[test]
fn every_predictor_with_every_corrector_on_every_sde_is_finite_and_counts_its_evaluations() {
    for (sde_name, sde) in sdes() {
        let sde = sde.as_ref();
        let grid = song_grid(sde, STEPS, sde.time_range().0).unwrap();
        for place in [CorrectorPlace::Before, CorrectorPlace::After] {
            for (predictor_name, predictor) in predictors(sde_name, sde) {
                let predictor = &MeanAtEnd(predictor);
                for (corrector_name, corrector) in correctors(sde_name, sde) {
                    let solver = PredictorCorrector { predictor, corrector, place };
                    let mut noise = Seeded::new(1);
                    let score = Watched::failing_after(usize::MAX);
                    let x = normal([3, 2], &mut noise) * sde.prior_std();
                    let x = sample(&solver, &score, &grid, x, &mut noise).unwrap();
                    let name = format!("{sde_name}, {predictor_name}, {corrector_name}, {place:?}");
                    assert!(x.iter().all(|value| value.is_finite()), "{name}: {x}");
                    let planned = Solver::<State>::evaluations(&solver, &grid).unwrap();
                    assert_eq!(score.calls.get(), planned, "{name}: evaluations");
                }
            }
        }
    }
}

#[test]
fn data_is_not_corrected_where_the_corrector_comes_after() {
    let schedule = VpLinear::new(0.1, 20.0).unwrap();
    let open = TimeGrid::uniform_time(&schedule, 10).unwrap();
    let clean = open.clone().ending_clean();
    let predictor = OneStep(Ddim::new(0.0).unwrap());
    let corrector = Langevin::new(0.16, 3).unwrap();
    let count = |place, grid| {
        let solver = PredictorCorrector { predictor, corrector, place };
        Solver::<State>::evaluations(&solver, grid).unwrap()
    };
    assert_eq!(count(CorrectorPlace::Before, &clean), 11 * 4);
    assert_eq!(count(CorrectorPlace::After, &clean), 11 + 10 * 3);
    assert_eq!(count(CorrectorPlace::After, &open), 10 * 4);
}

#[test]
fn a_failure_of_the_network_in_a_corrector_names_the_step() {
    let schedule = VpLinear::new(0.1, 20.0).unwrap();
    let grid = TimeGrid::uniform_time(&schedule, 10).unwrap();
    let solver = PredictorCorrector::new(NoPredictor, Langevin::new(0.16, 2).unwrap());
    let x = normal([1, 2], &mut Seeded::new(1));
    let score = Watched::failing_after(7);
    let error = sample(&solver, &score, &grid, x, &mut Seeded::new(1)).unwrap_err();
    assert!(matches!(error, SampleError::Score { step: 3, .. }), "{error:?}");
}

/// A mixture of two normals on the line, and the network that knows its score.
fn mixture() -> ExactScore {
    let part = |weight, mean, deviation| Part { weight, mean: vec![mean], deviation };
    let data = Mixture::new(vec![part(0.3, -0.8, 0.2), part(0.7, 0.6, 0.3)]).unwrap();
    ExactScore::new(data, Prediction::Score)
}

/// Noisy states with the mean and the variance that those of the mixture have.
fn start(shape: [usize; 2], states: &Coordinate, noise: &mut Seeded) -> State {
    normal(shape, noise).mapv(|z| states.mean() + z * states.variance().sqrt())
}

/// Holds mean, variance and the share of the left part to 4 standard errors, and `bias` of each beside:
/// of the deviation, of the variance, of 1.
#[track_caller]
fn check_moments(name: &str, x: &State, states: &Coordinate, bias: f64) {
    let (mean, variance) = (states.mean(), states.variance());
    let fourth = states.central_moment(4);
    let border = -0.2;
    let left = states.share_below(border);
    let measured = x.mean().unwrap();
    let spread = x.mapv(|x| (x - measured).powi(2)).mean().unwrap();
    let share = x.iter().filter(|x| **x < border).count() as f64 / x.len() as f64;
    for (what, got, expected, deviation, scale) in [
        ("mean", measured, mean, variance.sqrt(), variance.sqrt()),
        ("variance", spread, variance, (fourth - variance.powi(2)).sqrt(), variance),
        ("share", share, left, (left * (1.0 - left)).sqrt(), 1.0),
    ] {
        let allowed = 4.0 * deviation / (x.len() as f64).sqrt() + bias * scale;
        assert!((got - expected).abs() < allowed, "{name}: {what} is {got}, expected {expected}");
    }
}

#[test]
fn predictors_with_correctors_reach_the_moments_of_a_mixture() {
    // 20 samples of 200 values each, 200 steps. A move of snr 0.05 has step size 2 snr^2 = 0.005 of
    // the variance, and so a bias below that; the steps of the predictors add about three in 200.
    let langevin = Langevin::new(0.05, 1).unwrap();
    let annealed = AnnealedLangevin::new(0.05, 2).unwrap();
    let network = mixture();
    for (sde_name, sde) in sdes() {
        let sde = sde.as_ref();
        let grid = TimeGrid::uniform_lambda(sde, 200).unwrap();
        let states = |level| network.data().at(level).coordinate(0);
        let (noisy, clean) = (states(grid.start().level), states(grid.intervals()[199].to.level));
        let euler = OneStep(EulerMaruyama::new(sde, 1.0).unwrap());
        let reverse = OneStep(ReverseDiffusion::new(Exact, 1.0).unwrap());
        let ancestral = AncestralChain { chain: Euler::new(sde), variance: Variance::FixedSmall };
        let after = CorrectorPlace::After;
        let solvers: [(&str, Box<dyn Solver<State> + '_>); 3] = [
            ("Euler, Langevin", Box::new(PredictorCorrector::new(euler, langevin))),
            ("reverse, a sample", {
                let (predictor, corrector) = (reverse, langevin.per_sample());
                Box::new(PredictorCorrector { predictor, corrector, place: after })
            }),
            (
                "ancestral, annealed",
                Box::new(PredictorCorrector::new(OneStep(ancestral), annealed)),
            ),
        ];
        for (name, solver) in solvers {
            let mut noise = Seeded::new(1);
            let x = start([20, 200], &noisy, &mut noise);
            let x = sample(solver.as_ref(), &network, &grid, x, &mut noise).unwrap();
            check_moments(&format!("{sde_name}, {name}"), &x, &clean, 0.02);
        }
    }
}

#[test]
fn annealed_langevin_dynamics_alone_reaches_the_moments_of_a_mixture() {
    // levels 4 to 0.05 in ratios of about 1.1; at each, 20 moves of half step size 0.05 sigma^2, which
    // leave a bias of at most 0.025 in the variance of the noise
    let schedule = VeGeometric::new(0.05, 4.0).unwrap().with_time_range(0.0, 1.0).unwrap();
    let grid = TimeGrid::uniform_lambda(&schedule, 45).unwrap();
    let corrector = AnnealedLangevin::with_step_size(0.1 * 0.05 * 0.05, 0.05, 20).unwrap();
    let dynamics = AnnealedDynamics(corrector);
    let evaluations = Solver::<State>::evaluations(&dynamics, &grid).unwrap();
    assert_eq!(evaluations, 46 * 20);
    let network = mixture();
    let states = |level| network.data().at(level).coordinate(0);
    let mut noise = Seeded::new(1);
    let mut run = |solver: &dyn Solver<State>| {
        let x = start([1, 3000], &states(grid.start().level), &mut noise);
        sample(solver, &network, &grid, x, &mut noise).unwrap()
    };
    let end = states(NoiseLevel { alpha: 1.0, sigma: 0.05 });
    check_moments("dynamics", &run(&dynamics), &end, 0.025);
    check_moments("denoised", &run(&Denoised(dynamics)), &states(NoiseLevel::CLEAN), 0.025);
}
