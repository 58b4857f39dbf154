//! Every one-step method with every schedule and every prediction: it runs to a finite state, or says
//! why not before the network is asked.

use ndarray::{ArrayD, arr2};
use std::cell::Cell;
use tweedie_closed_form::{ExactScore, Mixture, Part};
use tweedie_samplers::{
    Ancestral, Ddim, Denoised, Encoding, KeepingNoise, LearnedAncestral, OneStep, SampleError,
    Solver, Variance, sample,
};
use tweedie_schedules::{
    DiscreteTable, Edm, NoiseLevel, NoiseSchedule, Prediction, SubVpLinear, TimeGrid, TimePoint,
    VeGeometric, VpCosine, VpLinear,
};
use tweedie_score::{Clip, ScoreError, ScoreFn, Seeded, Times, Unchanged};

type State = ArrayD<f64>;

const PREDICTIONS: [Prediction; 5] = [
    Prediction::Noise,
    Prediction::Data,
    Prediction::Velocity,
    Prediction::Score,
    Prediction::EdmF { sigma_data: 0.5 },
];

/// The exact score of a mixture, with a variance half way between its bounds.
struct Network {
    exact: ExactScore,
    calls: Cell<usize>,
}

fn network(prediction: Prediction) -> Network {
    let part = |weight, mean: [f64; 2], deviation| Part { weight, mean: mean.to_vec(), deviation };
    let data = Mixture::new(vec![part(0.4, [-0.8, 0.3], 0.2), part(0.6, [0.6, 0.1], 0.3)]).unwrap();
    Network { exact: ExactScore::new(data, prediction), calls: Cell::new(0) }
}

impl ScoreFn<State> for Network {
    fn prediction(&self) -> Prediction {
        self.exact.prediction()
    }

    fn predict(&self, x: &State, at: Times<'_>) -> Result<State, ScoreError> {
        self.calls.set(self.calls.get() + 1);
        self.exact.predict(x, at)
    }

    fn predict_with_variance(
        &self,
        x: &State,
        at: Times<'_>,
    ) -> Result<(State, Option<State>), ScoreError> {
        Ok((self.predict(x, at)?, Some(x * 0.0)))
    }
}

fn schedules() -> Vec<(&'static str, Box<dyn NoiseSchedule>)> {
    let table = DiscreteTable::linear(100, 1e-3, 0.2).unwrap();
    vec![
        ("VP linear", Box::new(VpLinear::new(0.1, 20.0).unwrap())),
        ("VP cosine", Box::new(VpCosine::new(0.008, 999.0).unwrap())),
        ("sub-VP", Box::new(SubVpLinear::new(0.1, 20.0).unwrap())),
        ("VE", Box::new(VeGeometric::new(0.01, 50.0).unwrap())),
        ("EDM", Box::new(Edm::new(0.002, 80.0).unwrap())),
        ("table", Box::new(table.clone())),
        ("table from pure noise", Box::new(table.rescaled_to_zero_snr().unwrap())),
    ]
}

fn methods() -> Vec<(&'static str, Box<dyn Solver<State>>)> {
    let clip = Clip { low: -1.0, high: 1.0 };
    let (ddim, half) = (Ddim::DETERMINISTIC, Ddim::new(0.5).unwrap());
    vec![
        ("DDIM", Box::new(OneStep(ddim))),
        ("DDIM at eta 1", Box::new(OneStep(Ddim::new(1.0).unwrap()))),
        ("small", Box::new(OneStep(Ancestral { variance: Variance::FixedSmall }))),
        ("large", Box::new(OneStep(Ancestral { variance: Variance::FixedLarge }))),
        ("learned", Box::new(LearnedAncestral::default())),
        ("keeping noise", Box::new(KeepingNoise { predictor: half, map: clip })),
        ("denoised", Box::new(Denoised(OneStep(ddim)))),
    ]
}

/// Grids of a schedule: to its cleanest time, and on to the data.
fn grids(schedule: &dyn NoiseSchedule) -> [TimeGrid; 2] {
    let grid = TimeGrid::uniform_time(schedule, 12).unwrap();
    [grid.clone(), grid.ending_clean()]
}

fn run(
    solver: &dyn Solver<State>,
    grid: &TimeGrid,
    network: &Network,
) -> Result<State, SampleError> {
    let NoiseLevel { alpha, sigma } = grid.start().level;
    let start = arr2(&[[0.3, -1.1], [1.7, 0.2]]).mapv(|z| alpha * 0.1 + sigma * z).into_dyn();
    sample(solver, network, grid, start, &mut Seeded::new(1))
}

/// Whether the data follows from the prediction at a level.
fn tells_data(prediction: Prediction, at: TimePoint) -> bool {
    let (of_x, of_output) = prediction.convert(Prediction::Data, at.level);
    of_x.is_finite() && of_output.is_finite()
}

#[test]
fn sampling_is_finite_or_refused_before_the_network_is_asked() {
    let (mut finite, mut refused) = (0, 0);
    for (schedule_name, schedule) in schedules() {
        for grid in grids(schedule.as_ref()) {
            for (name, solver) in methods() {
                for prediction in PREDICTIONS {
                    let network = network(prediction);
                    let ends_clean = grid.intervals().last().unwrap().to.level.sigma == 0.0;
                    let runs =
                        tells_data(prediction, grid.start()) && !(name == "denoised" && ends_clean);
                    let what = format!("{name}, {schedule_name}, {prediction:?}");
                    match run(solver.as_ref(), &grid, &network) {
                        Ok(end) => {
                            assert!(runs && end.iter().all(|x| x.is_finite()), "{what}: {end}");
                            finite += 1;
                        }
                        Err(error) => {
                            assert!(!runs && network.calls.get() == 0, "{what}: {error}");
                            refused += 1;
                        }
                    }
                }
            }
        }
    }
    // denoised on the grids that end clean; and from pure noise, the noise and the score
    assert_eq!((finite + refused, refused), (7 * 2 * 7 * 5, 7 * 5 + 13 * 2));
}

#[test]
fn encoding_is_finite_or_refused_before_the_network_is_asked() {
    let encoding = Encoding::<Unchanged>::default();
    for (schedule_name, schedule) in schedules() {
        for grid in grids(schedule.as_ref()).map(TimeGrid::reversed) {
            for prediction in PREDICTIONS {
                let network = network(prediction);
                let what = format!("{schedule_name}, {prediction:?}");
                // without noise in the state only a prediction that holds the noise tells it
                let (of_x, of_output) = prediction.convert(Prediction::Noise, grid.start().level);
                let tells = of_x.is_finite() && of_output.is_finite();
                match run(&encoding, &grid, &network) {
                    Ok(end) => assert!(end.iter().all(|x| x.is_finite()), "{what}: {end}"),
                    Err(error) => assert!(!tells && network.calls.get() == 0, "{what}: {error}"),
                }
            }
        }
    }
}

#[test]
fn a_method_with_noise_of_its_own_does_not_climb() {
    for (name, solver) in methods() {
        let grid = TimeGrid::uniform_time(&VpLinear::new(0.1, 20.0).unwrap(), 12).unwrap();
        let planned = solver.plan(&grid.reversed()).map(|_| ());
        let climbs = ["DDIM", "denoised"].contains(&name);
        assert_eq!(planned.is_ok(), climbs, "{name}: {planned:?}");
    }
}
