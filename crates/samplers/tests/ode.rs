//! Runge-Kutta methods and the probability flow against closed forms: orders, errors, interpolants.

use ndarray::{ArrayD, arr2};
use std::cell::Cell;
use tweedie_closed_form::{ExactScore, Mixture, Part};
use tweedie_samplers::{ErrorOver, ProbabilityFlow, RungeKutta, SampleError, Stepping, Tableau};
use tweedie_schedules::{NoiseSchedule, Prediction, VpLinear};
use tweedie_score::ScoreError;

type State = ArrayD<f64>;

const SHARES: [f64; 3] = [0.05, 0.28, 0.8];
const TABLEAUX: [(&str, Tableau); 3] = [
    ("Bogacki-Shampine", Tableau::BOGACKI_SHAMPINE),
    ("Dormand-Prince", Tableau::DORMAND_PRINCE),
    ("DOP853", Tableau::DOP853),
];

fn mixture() -> Mixture {
    let part = |weight, mean, deviation| Part { weight, mean: vec![mean], deviation };
    Mixture::new(vec![part(0.3, -0.8, 0.2), part(0.7, 0.6, 0.3)]).unwrap()
}

fn schedule() -> VpLinear {
    VpLinear::new(0.1, 20.0).unwrap().with_time_range(0.05, 0.6).unwrap()
}

/// The states below which the given shares of the data lie at time `t`, one a sample: in one
/// dimension the flow carries quantiles to quantiles.
fn quantiles(t: f64) -> State {
    let marginal = mixture().at(schedule().level(t)).coordinate(0);
    let values: Vec<f64> = SHARES.iter().map(|share| marginal.quantile(*share)).collect();
    State::from_shape_vec(vec![SHARES.len(), 1], values).unwrap()
}

fn largest_error(got: &State, expected: &State) -> f64 {
    (got - expected).iter().fold(0.0, |most, error| most.max(error.abs()))
}

fn flow(method: RungeKutta) -> ProbabilityFlow<VpLinear> {
    ProbabilityFlow::new(schedule(), method)
}

#[track_caller]
fn check_order(counts: [usize; 4], errors: [f64; 4], declared: u32) {
    for (counts, errors) in counts.windows(2).zip(errors.windows(2)) {
        let order = (errors[0] / errors[1]).ln() / (counts[1] as f64 / counts[0] as f64).ln();
        assert!((order - f64::from(declared)).abs() < 0.15, "order {order} of {errors:?}");
    }
}

#[test]
fn fixed_steps_follow_the_flow_of_normal_data_with_the_order_of_the_tableau() {
    let data = Mixture::gaussian(vec![0.3], 0.5).unwrap();
    // a state keeps its place in the distribution: 1.2 deviations above the mean
    let place = |t: f64| {
        let marginal = data.at(schedule().level(t)).coordinate(0);
        arr2(&[[marginal.mean() + 1.2 * marginal.variance().sqrt()]]).into_dyn()
    };
    let score = ExactScore::new(data.clone(), Prediction::Noise);
    let (clean, noisy) = schedule().time_range();
    for (tableau, counts) in [
        (Tableau::BOGACKI_SHAMPINE, [32, 64, 128, 256]),
        (Tableau::DORMAND_PRINCE, [16, 32, 64, 128]),
    ] {
        let method = RungeKutta::new(1e-9, 1e-9).unwrap().with_tableau(tableau);
        let flow = flow(method);
        let mut slope = |t: f64, x: &State| flow.slope(&score, t, x);
        let errors = counts.map(|steps| {
            let span = (noisy, clean);
            let end = method.integrate_fixed(&mut slope, span, place(noisy), steps).unwrap();
            largest_error(&end, &place(clean))
        });
        check_order(counts, errors, tableau.order());
    }
}

#[test]
fn dop853_goes_round_a_circle_with_order_eight() {
    // two bodies: x'' = -x / |x|^3, from (1, 0) with speed 1
    let mut gravity = |_: f64, x: &State| {
        let pull = -(x[[0, 0]].hypot(x[[0, 1]])).powi(-3);
        Ok(arr2(&[[x[[0, 2]], x[[0, 3]], pull * x[[0, 0]], pull * x[[0, 1]]]]).into_dyn())
    };
    let circle = |t: f64| arr2(&[[t.cos(), t.sin(), -t.sin(), t.cos()]]).into_dyn();
    let method = RungeKutta::new(1e-9, 1e-9).unwrap().with_tableau(Tableau::DOP853);
    let counts = [6, 8, 12, 16];
    let errors = counts.map(|steps| {
        let end = method.integrate_fixed(&mut gravity, (0.0, 3.0), circle(0.0), steps).unwrap();
        largest_error(&end, &circle(3.0))
    });
    check_order(counts, errors, Tableau::DOP853.order());
}

#[test]
fn the_error_falls_with_the_tolerance_and_so_does_the_step() {
    let score = ExactScore::new(mixture(), Prediction::Score);
    let (clean, noisy) = schedule().time_range();
    for (name, tableau) in TABLEAUX {
        for stepping in [Stepping::Scipy, Stepping::Torchdiffeq] {
            let runs = [1e-3, 1e-5, 1e-7].map(|tolerance| {
                let method = RungeKutta::new(tolerance, tolerance).unwrap();
                flow(method.with_tableau(tableau).with_stepping(stepping))
                    .sample(&score, quantiles(noisy))
                    .unwrap()
            });
            let errors = [0, 1, 2].map(|k: usize| largest_error(&runs[k].state, &quantiles(clean)));
            for (error, tolerance) in errors.iter().zip([1e-3, 1e-5, 1e-7]) {
                assert!(*error < 20.0 * tolerance, "{name} {stepping:?}: {errors:?}");
            }
            assert!(errors[0] > errors[1] && errors[1] > errors[2], "{name}: {errors:?}");
            let accepted = runs.map(|run| run.counters.accepted);
            assert!(accepted[0] < accepted[1] && accepted[1] < accepted[2], "{accepted:?}");
        }
    }
}

#[test]
fn counters_count_what_the_network_was_asked() {
    let calls = Cell::new(0);
    for (_, tableau) in TABLEAUX {
        for over in [ErrorOver::Batch, ErrorOver::WorstSample] {
            calls.set(0);
            let mut slope = |t: f64, x: &State| {
                calls.set(calls.get() + 1);
                Ok::<_, ScoreError>(x.mapv(|x| -8.0 * (10.0 * t).cos() * x * x))
            };
            let method = RungeKutta::new(1e-7, 1e-7).unwrap();
            let method = method.with_tableau(tableau).with_error_over(over);
            let start = arr2(&[[0.3], [0.9]]).into_dyn();
            let run = method.integrate(&mut slope, (0.0, 1.0), start).unwrap();
            let attempts = run.counters.accepted + run.counters.rejected;
            assert_eq!(run.counters.evaluations, calls.get());
            assert_eq!(run.counters.evaluations, 2 + attempts * tableau.evaluations());
            assert_eq!(run.times.len(), run.counters.accepted + 1);
            assert_eq!((run.times[0], run.times[run.times.len() - 1]), (0.0, 1.0));
        }
    }
}

#[test]
fn the_worst_sample_is_held_to_the_tolerance_that_a_batch_would_blur() {
    let score = ExactScore::new(mixture(), Prediction::Noise);
    let method = RungeKutta::new(1e-4, 1e-4).unwrap();
    let (_, noisy) = schedule().time_range();
    let steps = |over| {
        let run = flow(method.with_error_over(over)).sample(&score, quantiles(noisy)).unwrap();
        run.counters.accepted
    };
    assert!(steps(ErrorOver::WorstSample) > steps(ErrorOver::Batch));
}

#[test]
fn encoding_undoes_sampling() {
    let score = ExactScore::new(mixture(), Prediction::Data);
    let flow = flow(RungeKutta::new(1e-9, 1e-9).unwrap());
    let latent = quantiles(schedule().time_range().1);
    let data = flow.sample(&score, latent.clone()).unwrap().state;
    assert!(largest_error(&flow.encode(&score, data).unwrap().state, &latent) < 1e-7);
}

#[test]
fn denoising_adds_an_evaluation_and_gives_the_mean_of_the_data() {
    let score = ExactScore::new(mixture(), Prediction::Noise);
    let flow = flow(RungeKutta::new(1e-9, 1e-9).unwrap());
    let (clean, noisy) = schedule().time_range();
    let plain = flow.sample(&score, quantiles(noisy)).unwrap();
    let denoised = flow.ending_denoised().sample(&score, quantiles(noisy)).unwrap();
    assert_eq!(denoised.counters.evaluations, plain.counters.evaluations + 1);
    let level = schedule().level(clean);
    for (got, x) in denoised.state.iter().zip(&plain.state) {
        // Tweedie's formula
        let score = mixture().at(level).score(&[*x])[0];
        let mean = (x + level.sigma.powi(2) * score) / level.alpha;
        assert!((got - mean).abs() < 1e-12, "{got} {mean}");
    }
}

#[test]
fn interpolants_meet_the_steps_and_follow_the_flow_between_them() {
    let score = ExactScore::new(mixture(), Prediction::Noise);
    let (clean, noisy) = schedule().time_range();
    for (name, tableau) in TABLEAUX {
        let method = RungeKutta::new(1e-6, 1e-6).unwrap().with_tableau(tableau);
        let flow = flow(method);
        for span in [(clean, noisy), (noisy, clean)] {
            let mut slope = |t: f64, x: &State| flow.slope(&score, t, x);
            let (run, dense) = method.integrate_dense(&mut slope, span, quantiles(span.0)).unwrap();
            assert!(largest_error(&dense.at(span.1), &run.state) < 1e-13, "{name}");
            let times: Vec<f64> =
                (0..=20).map(|k| span.0 + (span.1 - span.0) * f64::from(k) / 20.0).collect();
            let (_, states) =
                method.integrate_at(&mut slope, span, quantiles(span.0), &times).unwrap();
            for (t, state) in times.iter().zip(&states) {
                assert!(largest_error(&dense.at(*t), state) < 1e-13, "{name} at {t}");
                assert!(largest_error(state, &quantiles(*t)) < 1e-4, "{name} at {t}");
            }
        }
    }
}

#[test]
fn a_run_gives_up_when_its_evaluations_are_spent_and_says_where() {
    let start = || arr2(&[[1.0]]).into_dyn();
    let mut decays = |_: f64, x: &State| Ok(x * -1.0);
    let method = RungeKutta::new(1e-9, 1e-8).unwrap();
    let whole = method.integrate(&mut decays, (0.0, 4.0), start()).unwrap();
    let spent = whole.counters.evaluations;
    // what a run takes is enough, and one less is not
    let enough = method.with_most_evaluations(spent);
    assert_eq!(enough.integrate(&mut decays, (0.0, 4.0), start()).unwrap().state, whole.state);
    let error = method
        .with_most_evaluations(spent - 1)
        .integrate(&mut decays, (0.0, 4.0), start())
        .unwrap_err();
    let SampleError::TooManyEvaluations { t, evaluations, .. } = error else { panic!("{error}") };
    assert!(t > 3.0 && t <= 4.0 && evaluations == spent - 1, "{t}, {evaluations}");
    let text = error.to_string();
    for part in ["relative 1e-8, absolute 1e-9", "cannot be met", &evaluations.to_string()] {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
}

#[test]
fn a_tolerance_finer_than_the_rounding_of_the_slope_ends_in_an_error() {
    // a slope that is known to a thousandth only, as that of a network in half precision
    let mut rough = |t: f64, x: &State| Ok(x.mapv(|x| ((x * t.sin()) * 1e3).round() / 1e3));
    let start = || arr2(&[[1.0, -0.7]]).into_dyn();
    for tolerance in [1e-300, 1e-12] {
        let method = RungeKutta::new(tolerance, tolerance).unwrap().with_most_evaluations(2000);
        let error = method.integrate(&mut rough, (0.0, 1.0), start()).unwrap_err();
        let impossible = matches!(
            error,
            SampleError::TooManyEvaluations { .. } | SampleError::StepTooSmall { .. }
        );
        assert!(impossible, "{error}");
    }
}

#[test]
fn what_cannot_be_integrated_is_refused() {
    let method = RungeKutta::new(1e-6, 1e-6).unwrap();
    let start = || arr2(&[[1.0]]).into_dyn();
    let mut still = |_: f64, x: &State| Ok(x * 0.0);
    let error = method.integrate(&mut still, (1.0, 1.0), start()).unwrap_err();
    assert!(matches!(error, SampleError::EmptySpan { .. }));
    let error = method.integrate_at(&mut still, (0.0, 1.0), start(), &[1.5]).unwrap_err();
    assert!(matches!(error, SampleError::TimeOutsideSpan { .. }));
    // x' = x^2 is infinite at t = 1
    let mut explodes = |_: f64, x: &State| Ok(x * x);
    let error = method.integrate(&mut explodes, (0.0, 2.0), start()).unwrap_err();
    assert!(matches!(error, SampleError::StepTooSmall { .. }), "{error}");
    let mut undefined = |_: f64, x: &State| Ok(x * f64::NAN);
    assert!(method.integrate(&mut undefined, (0.0, 1.0), start()).is_err());
    assert!(RungeKutta::new(-1.0, 0.0).is_err() && RungeKutta::new(0.0, f64::NAN).is_err());
    assert!(method.with_first_step(0.0).is_err() && method.with_max_step(-1.0).is_err());
}
