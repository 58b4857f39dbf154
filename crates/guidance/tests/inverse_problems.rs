//! What every method for linear inverse problems holds to: what is known comes out as it was given, runs end
//! free of leftover noise, and measurements that make no sense are refused before anything runs.

use ndarray::{ArrayD, Axis, IxDyn};
use tweedie_closed_form::Gaussian;
use tweedie_guidance::{
    ColourBasis, Ddrm, Mask, Measurement, PosteriorGuided, Reimposed, Resampled, Separable, Spread,
    predictor_corrector_given,
};
use tweedie_samplers::{
    Ancestral, AnnealedLangevin, Ddim, EulerMaruyama, Langevin, OneStep, PredictorCorrector,
    ReverseDiffusion, Solver, sample,
};
use tweedie_schedules::{
    NoiseLevel, NoiseSchedule, Prediction, SubVpLinear, TimeGrid, VeGeometric, VpLinear,
};
use tweedie_score::{MapData, ScoreError, ScoreFn, Seeded, Times};
use tweedie_sde::{Exact, Sde};
use tweedie_solvers_dpm::{Multistep, Order};

type State = ArrayD<f64>;

/// Two pixels of three colours, neighbours alike.
const ITEM: [usize; 3] = [3, 1, 2];

fn data() -> Gaussian {
    let covariance: Vec<f64> =
        (0..36).map(|k| 0.3 * 0.7_f64.powi((k / 6_usize).abs_diff(k % 6) as i32)).collect();
    Gaussian::new(vec![0.3, -0.2, 0.1, 0.4, 0.0, -0.1], &covariance).unwrap()
}

fn batch(item: &[f64], shape: [usize; 3], count: usize) -> State {
    let values = item.iter().copied().cycle().take(item.len() * count).collect();
    ArrayD::from_shape_vec(IxDyn(&[count, shape[0], shape[1], shape[2]]), values).unwrap()
}

fn grid(steps: usize) -> TimeGrid {
    let schedule = VpLinear::new(0.1, 20.0).unwrap();
    TimeGrid::uniform_lambda(&schedule, steps).unwrap().ending_clean()
}

fn ancestral() -> OneStep<Ancestral> {
    OneStep(Ancestral::default())
}

const KNOWN: [f64; 6] = [1.0, 0.0, 0.0, 1.0, 1.0, 0.0];
/// Grey values of pictures of 8 bits.
const VALUES: [f64; 6] = [1.0, 9.0, 9.0, -57.0 / 127.5, 13.0 / 127.5 - 1.0, 9.0];

fn masked(count: usize) -> Measurement<State> {
    let mask = Mask::new(batch(&KNOWN, ITEM, count)).unwrap();
    Measurement::new(mask, &batch(&VALUES, ITEM, count), 0.0).unwrap()
}

/// The ends of runs of every method.
fn ends(known: &Measurement<State>) -> Vec<(&'static str, State)> {
    let data = data();
    let mut noise = Seeded::new(7);
    let mut run = |solver: &dyn Solver<State>, score: &dyn ScoreFn<State>| {
        let grid = grid(10);
        let start = known.start(grid.start().level, 1.0, &mut noise).unwrap();
        sample(solver, score, &grid, start, &mut noise).unwrap()
    };
    let corrector = || Reimposed::new(AnnealedLangevin::new(0.3, 2).unwrap(), known);
    let pair = || PredictorCorrector::new(Reimposed::new(ancestral(), known), corrector());
    let (ddim, multistep) = (OneStep(Ddim::DETERMINISTIC), Multistep::dpmpp(Order::Two));
    let projected = MapData { inner: &data, map: known };
    let spread = Spread::Jacobian { iterations: 1 };
    let guided = PosteriorGuided::new(&data, known, spread).unwrap();
    let guided = MapData { inner: guided, map: known };
    vec![
        ("replacement", run(&Reimposed::new(&ddim, known), &data)),
        ("predictor-corrector", run(&pair(), &data)),
        ("walked", run(&Resampled::new(pair(), 3, 2).unwrap(), &data)),
        ("ready-made", run(&predictor_corrector_given(known, multistep, corrector(), 1), &data)),
        ("projected, DDIM", run(&ddim, &projected)),
        ("projected, multistep", run(&Multistep::dpmpp(Order::Two), &projected)),
        ("guided and projected", run(&Multistep::dpmpp(Order::Two), &guided)),
        ("DDRM", run(&Ddrm::new(known), &data)),
    ]
}

#[test]
fn every_method_keeps_what_is_known_to_the_last_bit() {
    for (name, end) in ends(&masked(3)) {
        for (k, value) in end.iter().enumerate() {
            if KNOWN[k % 6] == 1.0 {
                assert_eq!(*value, VALUES[k % 6], "{name}");
            }
        }
    }
}

#[test]
fn every_method_meets_measurements_that_mix_values() {
    let grey = Separable::grey(ITEM);
    let blur = Separable::blur(ITEM, 0.5).unwrap();
    let holes = Separable::mask(ITEM, &[true, false]).unwrap().after(&blur).unwrap();
    for map in [grey, holes] {
        let shape: [usize; 3] = map.shape_of_measurement().try_into().unwrap();
        let values = shape.iter().product();
        let mut y = batch(&[0.3, -0.2, 0.5, 0.1, 0.0, 0.4][..values], shape, 2);
        if shape[0] == 3 {
            y.index_axis_mut(Axis(3), 1).fill(0.0); // the hole
        }
        let known = Measurement::new(map, &y, 0.0).unwrap();
        for (name, end) in ends(&known) {
            let residual = known.residual_each(&end);
            assert!(residual.iter().all(|residual| *residual < 1e-12), "{name}: {residual:?}");
        }
    }
    let y = batch(&[0.3, -0.2, 0.3, -0.2, 0.3, -0.2], ITEM, 2);
    let known = Measurement::new(ColourBasis::grey(), &y, 0.0).unwrap();
    for (name, end) in ends(&known) {
        assert!(known.residual_each(&end).iter().all(|residual| *residual < 1e-12), "{name}");
        assert!(known.misfit_each(&end).iter().all(|misfit| *misfit < 1e-12), "{name}");
    }
}

/// Thinks that data is half of what it sees, in single precision.
struct Half;

impl ScoreFn<ArrayD<f32>> for Half {
    fn prediction(&self) -> Prediction {
        Prediction::Data
    }

    fn predict(&self, x: &ArrayD<f32>, _: Times<'_>) -> Result<ArrayD<f32>, ScoreError> {
        Ok(x * 0.5)
    }
}

#[test]
fn single_precision_keeps_what_is_known_too() {
    let single = |item: &[f64]| batch(item, ITEM, 2).mapv(|value| value as f32);
    let mask = Mask::new(single(&KNOWN)).unwrap();
    let known = Measurement::new(mask, &single(&VALUES), 0.0).unwrap();
    let projected = MapData { inner: Half, map: &known };
    let corrector = AnnealedLangevin::new(0.3, 1).unwrap();
    let pair = predictor_corrector_given(&known, ancestral(), corrector, 2);
    let multistep = Multistep::dpmpp(Order::Two);
    let solvers: [&dyn Solver<ArrayD<f32>>; 2] = [&pair, &multistep];
    let scores: [&dyn ScoreFn<ArrayD<f32>>; 2] = [&Half, &projected];
    for (solver, score) in solvers.into_iter().zip(scores) {
        let (grid, mut noise) = (grid(10), Seeded::new(3));
        let start = known.start(grid.start().level, 1.0, &mut noise).unwrap();
        let end = sample(solver, score, &grid, start, &mut noise).unwrap();
        for (k, value) in end.iter().enumerate().filter(|(k, _)| KNOWN[k % 6] == 1.0) {
            assert_eq!(*value, VALUES[k % 6] as f32);
        }
    }
}

/// The byte of a pixel of a state.
fn byte(value: f64) -> f64 {
    ((value + 1.0) * 127.5).round().clamp(0.0, 255.0)
}

/// On grids that stop short of the data, as published, the default ends at the mean: known pixels are the
/// bytes given, although the level still has noise.
#[test]
fn published_chains_end_at_the_bytes_that_were_given() {
    fn check<M: Sde>(sde: &M, end: f64) {
        let (_, noisy) = sde.time_range();
        let times: Vec<_> =
            (0..=20).map(|k| sde.point(noisy + (end - noisy) * f64::from(k) / 20.0)).collect();
        let grid = TimeGrid::through(&times).unwrap();
        let known = masked(3);
        let mut noise = Seeded::new(5);
        let solvers: [Box<dyn Solver<State>>; 2] = [
            Box::new(OneStep(EulerMaruyama::new(sde, 1.0).unwrap())),
            Box::new(OneStep(ReverseDiffusion::new(Exact, 1.0).unwrap())),
        ];
        for predictor in solvers {
            let solver =
                predictor_corrector_given(&known, predictor, Langevin::new(0.1, 1).unwrap(), 1);
            let start = known.start(grid.start().level, sde.prior_std(), &mut noise).unwrap();
            let end = sample(&solver, &data(), &grid, start, &mut noise).unwrap();
            for (k, value) in end.iter().enumerate() {
                assert!(value.is_finite());
                if KNOWN[k % 6] == 1.0 {
                    assert_eq!(byte(*value), byte(VALUES[k % 6]));
                }
            }
        }
    }
    check(&VpLinear::new(0.1, 20.0).unwrap(), 1e-3);
    check(&SubVpLinear::new(0.1, 20.0).unwrap(), 1e-3);
    check(&VeGeometric::new(0.01, 50.0).unwrap(), 1e-5);
}

/// The deviation of the end over many runs of a method whose data is known to be one point.
#[test]
fn by_default_no_noise_of_the_last_step_is_left_over() {
    let point = Gaussian::new(vec![0.25; 6], &[0.0; 36]).unwrap();
    let sde = VeGeometric::new(0.01, 50.0).unwrap();
    let times: Vec<_> = (0..=30).map(|k| sde.point(1.0 - f64::from(k) / 30.0 * 0.5)).collect();
    let grid = TimeGrid::through(&times).unwrap();
    let level = grid.intervals()[29].to.level;
    let known = masked(100);
    let spread = |solver: &dyn Solver<State>| {
        let mut noise = Seeded::new(5);
        let start = known.start(grid.start().level, sde.prior_std(), &mut noise).unwrap();
        let end = sample(solver, &point, &grid, start, &mut noise).unwrap();
        [0, 1].map(|pixel| {
            let off = if pixel == 0 { VALUES[0] } else { 0.25 };
            let pixels = end.outer_iter().map(|sample| (sample[[0, 0, pixel]] - off).powi(2));
            (pixels.sum::<f64>() / 100.0).sqrt()
        })
    };
    let predictor = || OneStep(Ancestral::default());
    let corrector = || AnnealedLangevin::new(0.1, 1).unwrap();
    let noisy = PredictorCorrector::new(
        Reimposed::new(predictor(), &known),
        Reimposed::new(corrector(), &known),
    );
    assert!(spread(&noisy).iter().all(|off| *off > 0.7 * level.sigma));
    let mean = spread(&predictor_corrector_given(&known, predictor(), corrector(), 1));
    assert!(mean[0] < 1e-12 && mean[1] < spread(&noisy)[1], "{mean:?}");
    let walked = Resampled::new(noisy, 1, 3).unwrap().ending_at_mean();
    assert!(spread(&walked)[0] < 1e-12);
}

#[test]
fn a_state_of_another_shape_is_told_from_the_right_one() {
    let known = masked(2);
    let error = known.check(&batch(&VALUES, ITEM, 3)).unwrap_err();
    assert_eq!(error.to_string(), "the state has shape [3, 3, 1, 2], expected [2, 3, 1, 2]");
    let mut noise = Seeded::new(1);
    let start = known.start(grid(5).start().level, 1.0, &mut noise).unwrap();
    assert!(known.check(&start).is_ok());
}

#[test]
fn bad_measurements_are_refused_before_anything_runs() {
    let data = batch(&VALUES, ITEM, 2);
    let refused = |mask: State| {
        Measurement::new(Mask::new(mask).unwrap(), &data, 0.0).unwrap_err().to_string()
    };
    let text = "the measurement of 12 values knows none of them, expected at least one";
    assert_eq!(refused(batch(&[0.0; 6], ITEM, 2)), text);
    let text = "the measurement knows all 12 values, expected at least one to be unknown";
    assert_eq!(refused(batch(&[1.0; 6], ITEM, 2)), text);
    let text = "the mask has shape [1, 3, 1, 2], expected [2, 3, 1, 2]";
    assert_eq!(refused(batch(&KNOWN, ITEM, 1)), text);
    let error = Mask::new(batch(&[1.0, 0.5, 0.0, 0.0, 1.0, 0.0], ITEM, 1)).unwrap_err();
    let text = "sample 0 of the mask has values between 0 and 1, expected 1 (known) or 0 each";
    assert_eq!(error.to_string(), text);
    for deviation in [-1.0, f64::NAN, f64::INFINITY] {
        let mask = Mask::new(batch(&KNOWN, ITEM, 2)).unwrap();
        assert!(Measurement::new(mask, &data, deviation).is_err());
    }
    let clean = masked(2).impose(&data, NoiseLevel::CLEAN, &mut Seeded::new(1)).unwrap();
    assert_eq!(clean, data);
}

#[test]
fn each_stretch_is_walked_as_often_as_asked() {
    let known = masked(2);
    let walked = |walks: &[usize]| {
        let solver = Reimposed::new(ancestral(), &known);
        Resampled::new(solver, 2, 1).unwrap().with_walks_of_each(walks.to_vec()).unwrap()
    };
    let evaluations = |walks: &[usize]| Solver::<State>::evaluations(&walked(walks), &grid(5));
    assert_eq!(evaluations(&[1, 4, 2]).unwrap(), 2 + 8 + 4);
    assert_eq!(evaluations(&[3]).unwrap(), 18);
    assert_eq!(Solver::<State>::steps(&walked(&[1, 4, 2]), &grid(5)), 7);
    let error =
        "walks are given for 2 stretches, expected 3, as many as the run has, or one for all";
    assert_eq!(evaluations(&[1, 4]).unwrap_err().to_string(), error);
    let plan = Solver::<State>::plan(&walked(&[1, 4]), &grid(5)).err().unwrap();
    assert_eq!(plan.to_string(), error);
}

#[test]
fn less_noise_added_back_draws_samples_that_differ_less() {
    let (known, grid) = (masked(500), grid(12));
    let deviation = |share: f64| {
        let solver = Resampled::new(Reimposed::new(ancestral(), &known), 1, 8).unwrap();
        let solver = solver.with_noise_share(share).unwrap();
        let mut noise = Seeded::new(3);
        let start = known.start(grid.start().level, 1.0, &mut noise).unwrap();
        let end = sample(&solver, &data(), &grid, start, &mut noise).unwrap();
        let unknown: Vec<f64> = end.outer_iter().map(|sample| sample[[0, 0, 1]]).collect();
        let mean = unknown.iter().sum::<f64>() / 500.0;
        (unknown.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / 500.0).sqrt()
    };
    let [all, most, none] = [1.0, 0.8, 0.0].map(deviation);
    assert!(most < 0.95 * all && none < 0.5 * all, "{all} {most} {none}");
}

#[test]
fn bad_options_are_refused() {
    assert!(Resampled::new(ancestral(), 0, 3).is_err());
    assert!(Resampled::new(ancestral(), 1, 0).is_err());
    let walked = || Resampled::new(ancestral(), 1, 2).unwrap();
    assert!(walked().down_to(f64::NAN).is_err());
    assert!(walked().with_walks_of_each(vec![]).is_err());
    assert!(walked().with_walks_of_each(vec![1, 0]).is_err());
    assert!(walked().with_noise_share(1.1).is_err());
    assert!(walked().with_noise_share(f64::NAN).is_err());
    let known = masked(1);
    assert!(Ddrm::new(&known).with_eta(1.1, 1.0).is_err());
    assert!(Ddrm::new(&known).with_eta(0.5, f64::NAN).is_err());
    let refused = |spread| PosteriorGuided::new(data(), &known, spread).is_err();
    assert!(refused(Spread::Isotropic { data_deviation: 0.0 }));
    assert!(refused(Spread::Jacobian { iterations: 0 }));
    let backwards = grid(5).reversed();
    assert!(Solver::<State>::plan(&Ddrm::new(&known), &backwards).is_err());
}
