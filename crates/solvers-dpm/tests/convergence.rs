//! Multistep methods against closed forms: declared orders measured, moments of stochastic ones.

use ndarray::{ArrayD, IxDyn};
use std::ops::RangeInclusive;
use tweedie_closed_form::{ExactScore, Mixture, Part};
use tweedie_samplers::{Solver, sample};
use tweedie_schedules::{Interval, NoiseLevel, NoiseSchedule, Prediction, TimeGrid, VpLinear};
use tweedie_score::{NoiseSource, Replay, ScoreError, ScoreFn, Seeded, Times};
use tweedie_solvers_dpm::{
    Algorithm, BFunction, FinalOrders, HalfWay, Multistep, Order, Pndm, SolverType, ThirdOrder,
    UniPc,
};

type State = ArrayD<f64>;

/// A solver and the orders that it declares.
struct Method {
    name: String,
    from_noise: usize,
    from_any_start: usize,
    solver: Box<dyn Solver<State>>,
}

/// Where the errors of all methods are in their asymptotic range and still above rounding.
const STEPS: [usize; 4] = [400, 800, 1600, 3200];

/// Where a run starts and ends.
#[derive(Clone, Copy)]
struct Ends {
    noisy: f64,
    clean: f64,
}

/// As sampling does: from nearly pure noise.
const FROM_NOISE: Ends = Ends { noisy: 1.0, clean: 0.01 };
/// From where predictions change fast enough for the first steps' errors to show.
const FROM_HALF_NOISE: Ends = Ends { noisy: 0.3, clean: 0.01 };
/// To where they change fast enough for the last steps' errors to show.
const TO_SOME_NOISE: Ends = Ends { noisy: 1.0, clean: 0.1 };

fn schedule(ends: Ends) -> VpLinear {
    VpLinear::new(0.1, 20.0).unwrap().with_time_range(ends.clean, ends.noisy).unwrap()
}

fn grid(ends: Ends, steps: usize) -> TimeGrid {
    TimeGrid::uniform_lambda(&schedule(ends), steps).unwrap()
}

fn levels(grid: &TimeGrid) -> (NoiseLevel, NoiseLevel) {
    (grid.start().level, grid.intervals()[grid.len() - 1].to.level)
}

fn normal(deviation: f64) -> Mixture {
    Mixture::gaussian(vec![0.3], deviation).unwrap()
}

fn mixture() -> Mixture {
    let part = |weight, mean, deviation| Part { weight, mean: vec![mean], deviation };
    Mixture::new(vec![part(0.3, -0.8, 0.2), part(0.7, 0.6, 0.3)]).unwrap()
}

fn multistep(algorithm: Algorithm, order: Order) -> impl Iterator<Item = Multistep> {
    let types = [SolverType::Midpoint, SolverType::Taylor];
    let thirds = [ThirdOrder::Published, ThirdOrder::Corrected, ThirdOrder::Diffusers];
    types.into_iter().flat_map(move |solver_type| {
        thirds.into_iter().map(move |third| {
            Multistep::new(algorithm, order).solver_type(solver_type).third_order(third)
        })
    })
}

/// All deterministic methods of the multistep family with the given orders at the end.
fn deterministic(at_end: FinalOrders) -> Vec<Method> {
    let mut methods: Vec<Method> = Vec::new();
    for algorithm in [Algorithm::DPM_SOLVER, Algorithm::DPM_SOLVER_PP] {
        for order in [Order::One, Order::Two, Order::Three] {
            for solver in multistep(algorithm, order) {
                methods.push(of_multistep(solver.final_orders(at_end)));
            }
        }
    }
    methods.extend(unipc(1..=3, at_end));
    methods.extend([Pndm::new(), Pndm::with_runge_kutta(middle)].map(|solver| Method {
        name: format!("{solver:?}"),
        from_noise: solver.convergence_order(),
        from_any_start: solver.convergence_order(),
        solver: Box::new(solver),
    }));
    methods
}

fn unipc(orders: RangeInclusive<usize>, at_end: FinalOrders) -> Vec<Method> {
    let mut methods = Vec::new();
    for order in orders {
        for b_function in [BFunction::Bh1, BFunction::Bh2] {
            let data = UniPc::new(order).unwrap().b_function(b_function);
            for solver in [data.clone(), data.predicting_noise()] {
                methods.push(of_unipc(solver.final_orders(at_end)));
            }
        }
    }
    methods
}

fn of_multistep(solver: Multistep) -> Method {
    Method {
        name: format!("{solver:?}"),
        from_noise: solver.convergence_order(),
        from_any_start: solver.convergence_order_from_any_start(),
        solver: Box::new(solver),
    }
}

fn of_unipc(solver: UniPc) -> Method {
    Method {
        name: format!("{solver:?}"),
        from_noise: solver.convergence_order(),
        from_any_start: solver.convergence_order_from_any_start(),
        solver: Box::new(solver),
    }
}

fn middle(interval: Interval) -> HalfWay {
    let (from, to) = (interval.from.level.lambda(), interval.to.level.lambda());
    let schedule = schedule(FROM_NOISE);
    let point = schedule.point(schedule.time_at_lambda(0.5 * (from + to)));
    HalfWay { landed: point, called: point }
}

/// Root mean square distance of the ends of runs from where the flow carries states of given shares.
///
/// In one dimension paths of the flow cannot cross, so the share of data below a state is kept.
fn flow_error(solver: &dyn Solver<State>, data: &Mixture, grid: &TimeGrid) -> f64 {
    const SHARES: [f64; 7] = [0.05, 0.2, 0.35, 0.5, 0.65, 0.8, 0.95];
    let (noisy, clean) = levels(grid);
    let places = |level: NoiseLevel| {
        let states = data.at(level).coordinate(0);
        let places = SHARES.map(|share| states.quantile(share)).to_vec();
        State::from_shape_vec(IxDyn(&[SHARES.len(), 1]), places).unwrap()
    };
    let score = ExactScore::new(data.clone(), Prediction::Noise);
    let end = sample(solver, &score, grid, places(noisy), &mut Replay::new([])).unwrap();
    let square = |error: &f64| error * error;
    ((end - places(clean)).iter().map(square).sum::<f64>() / SHARES.len() as f64).sqrt()
}

#[track_caller]
fn check_order(name: &str, declared: usize, errors: [f64; 4]) {
    for pair in errors.windows(2) {
        let order = (pair[0] / pair[1]).log2();
        assert!((order - declared as f64).abs() < 0.15, "{name}: order {order}, {errors:?}");
    }
}

fn check_flow(methods: &[Method], ends: Ends, normal: Mixture, declared: fn(&Method) -> usize) {
    let grids = STEPS.map(|steps| grid(ends, steps));
    for data in [normal, mixture()] {
        for method in methods {
            let errors = grids.each_ref().map(|grid| flow_error(&*method.solver, &data, grid));
            check_order(&method.name, declared(method), errors);
        }
    }
}

#[test]
fn deterministic_methods_follow_the_flow_from_noise_at_the_order_they_declare() {
    let methods = deterministic(FinalOrders::Full);
    check_flow(&methods, FROM_NOISE, normal(0.15), |method| method.from_noise);
}

#[test]
fn deterministic_methods_follow_the_flow_from_any_start_at_the_order_they_declare() {
    // at this start the prediction of narrower data hardly changes
    let methods = deterministic(FinalOrders::Full);
    check_flow(&methods, FROM_HALF_NOISE, normal(0.5), |method| method.from_any_start);
}

#[test]
fn more_predictions_leave_unipc_at_the_order_of_any_start() {
    let methods = unipc(4..=6, FinalOrders::Full);
    check_flow(&methods, FROM_HALF_NOISE, normal(0.5), |method| method.from_any_start);
}

#[test]
fn runs_that_end_in_order_one_are_of_the_order_they_declare() {
    for at_end in [FinalOrders::LastStep, FinalOrders::Falling] {
        let methods = deterministic(at_end);
        check_flow(&methods, TO_SOME_NOISE, normal(0.15), |method| method.from_noise);
    }
}

/// All stochastic methods.
fn stochastic() -> Vec<Multistep> {
    let forms = [Algorithm::SDE_DPM_SOLVER, Algorithm::SDE_DPM_SOLVER_PP];
    let all = |algorithm| {
        let [one, two, three] =
            [Order::One, Order::Two, Order::Three].map(|order| Multistep::new(algorithm, order));
        [
            one,
            two,
            two.solver_type(SolverType::Taylor),
            three,
            three.third_order(ThirdOrder::Corrected),
            three.third_order(ThirdOrder::Diffusers),
            two.with_eta(0.4).unwrap(),
        ]
    };
    forms.into_iter().flat_map(all).map(|solver| solver.final_orders(FinalOrders::Full)).collect()
}

/// The exact noise prediction for normal data around 0.
struct Linear {
    deviation: f64,
}

impl ScoreFn<State> for Linear {
    fn prediction(&self) -> Prediction {
        Prediction::Noise
    }

    fn predict(&self, x: &State, at: Times<'_>) -> Result<State, ScoreError> {
        let level = at.of(0).level;
        Ok(x * (level.sigma / self.spread(level).powi(2)))
    }
}

impl Linear {
    fn spread(&self, level: NoiseLevel) -> f64 {
        (self.deviation * level.alpha).hypot(level.sigma)
    }
}

/// Error of the final standard deviation on normal data, free of chance.
///
/// Everything is linear, so the state is kept as a vector with one axis for the starting noise and
/// one for each draw: the squared length of the result is the variance a random run would have.
fn deviation_error(solver: &Multistep, ends: Ends, steps: usize) -> f64 {
    let data = Linear { deviation: 0.15 };
    let axis = |index: usize| {
        let mut values = vec![0.0; steps + 1];
        values[index] = 1.0;
        values
    };
    let grid = grid(ends, steps);
    let (noisy, clean) = levels(&grid);
    let start = State::from_shape_vec(IxDyn(&[1, steps + 1]), axis(0)).unwrap();
    let mut noise = Replay::new((1..=steps).map(axis));
    let end = sample(solver, &data, &grid, start * data.spread(noisy), &mut noise).unwrap();
    assert_eq!(noise.remaining(), 0, "one draw a step");
    (end.iter().map(|value| value * value).sum::<f64>().sqrt() - data.spread(clean)).abs()
}

#[test]
fn stochastic_methods_reach_the_variance_of_normal_data_at_the_weak_order_they_declare() {
    for solver in stochastic() {
        let name = format!("{solver:?}");
        let errors = |ends| STEPS.map(|steps| deviation_error(&solver, ends, steps));
        check_order(&name, solver.convergence_order(), errors(FROM_NOISE));
        check_order(&name, solver.convergence_order_from_any_start(), errors(FROM_HALF_NOISE));
    }
}

/// The exact score of the mixture on the line, without a vector for each sample.
struct OnLine;

impl ScoreFn<State> for OnLine {
    fn prediction(&self) -> Prediction {
        Prediction::Score
    }

    fn predict(&self, x: &State, at: Times<'_>) -> Result<State, ScoreError> {
        let noisy = mixture().at(at.of(0).level);
        let parts: Vec<_> = noisy
            .parts()
            .iter()
            .map(|part| (part.weight / part.deviation, part.mean[0], part.deviation.powi(-2)))
            .collect();
        Ok(x.mapv(|x| {
            let (mut density, mut slope) = (0.0, 0.0);
            for (height, mean, precision) in &parts {
                let part = height * (-0.5 * precision * (x - mean).powi(2)).exp();
                density += part;
                slope -= part * precision * (x - mean);
            }
            slope / density
        }))
    }
}

#[test]
fn stochastic_methods_reach_the_moments_of_a_mixture() {
    // n = 20 000 samples, seed 1, 400 steps. Mean, variance and share of the left part are held to
    // 4 standard errors; the discretization adds less than one (it falls with the number of steps).
    let (count, sigmas) = (20_000, 4.0);
    let grid = grid(FROM_NOISE, 400);
    let (noisy, clean) = levels(&grid);
    let (before, after) = (mixture().at(noisy).coordinate(0), mixture().at(clean).coordinate(0));
    let (variance, left) = (after.variance(), after.share_below(-0.2));
    let root = f64::from(count).sqrt();
    for solver in stochastic() {
        let mut noise = Seeded::new(1);
        let z: State = noise.normal_like(&ArrayD::zeros(IxDyn(&[count as usize, 1]))).unwrap();
        let start = z.mapv(|z| before.mean() + z * before.variance().sqrt());
        let x = sample(&solver, &OnLine, &grid, start, &mut noise).unwrap();
        let mean = x.mean().unwrap();
        let spread = x.mapv(|x| (x - mean).powi(2)).mean().unwrap();
        let share = x.iter().filter(|x| **x < -0.2).count() as f64 / f64::from(count);
        for (what, got, expected, deviation) in [
            ("mean", mean, after.mean(), variance.sqrt()),
            ("variance", spread, variance, (after.central_moment(4) - variance.powi(2)).sqrt()),
            ("share", share, left, (left * (1.0 - left)).sqrt()),
        ] {
            let off = (got - expected) / (deviation / root);
            assert!(off.abs() < sigmas, "{solver:?}: {what} is {got}, {off} standard errors off");
        }
    }
}
