//! The flow's likelihood against closed forms: mixtures with the exact score.

use ndarray::{ArrayD, Axis};
use tweedie_closed_form::{ExactScore, Mixture, Part};
use tweedie_likelihood::{
    Divergence, FlowLikelihood, FlowRun, LARGEST_EXACT_TRACE, LikelihoodError, ProbeKind,
};
use tweedie_samplers::{ProbabilityFlow, RungeKutta};
use tweedie_schedules::{
    DiscreteTable, Edm, Prediction, SubVpLinear, VeGeometric, VpCosine, VpLinear,
};
use tweedie_score::{Seeded, Silent};
use tweedie_sde::Sde;

type State = ArrayD<f64>;

fn mixture() -> Mixture {
    let part = |weight, mean: [f64; 3], deviation| Part { weight, mean: mean.to_vec(), deviation };
    let parts = vec![
        part(0.5, [-0.8, 0.4, 0.1], 0.2),
        part(0.3, [0.6, -0.1, -0.5], 0.3),
        part(0.2, [0.2, 0.9, 0.4], 0.15),
    ];
    Mixture::new(parts).unwrap()
}

fn processes() -> Vec<(&'static str, Box<dyn Sde>)> {
    vec![
        ("VP", Box::new(VpLinear::new(0.1, 20.0).unwrap().with_time_range(1e-4, 1.0).unwrap())),
        (
            "sub-VP",
            Box::new(SubVpLinear::new(0.1, 20.0).unwrap().with_time_range(1e-3, 1.0).unwrap()),
        ),
        ("VE", Box::new(VeGeometric::new(0.01, 50.0).unwrap())),
        ("cosine", Box::new(VpCosine::default().with_time_range(1e-3, 0.99).unwrap())),
        ("EDM", Box::new(Edm::new(0.002, 80.0).unwrap())),
        ("table", Box::new(DiscreteTable::linear(1000, 1e-4, 0.02).unwrap())),
    ]
}

fn method() -> RungeKutta {
    RungeKutta::new(1e-7, 1e-7).unwrap()
}

/// Points of the mixture at the lower time limit.
fn data(sde: &dyn Sde, count: usize) -> State {
    mixture().at(sde.level(sde.time_range().0)).draw(count, &mut Seeded::new(4)).unwrap()
}

fn log_densities(sde: &dyn Sde, t: f64, x: &State) -> Vec<f64> {
    let noisy = mixture().at(sde.level(t));
    let values: Vec<f64> = x.iter().copied().collect();
    values.chunks_exact(3).map(|point| noisy.log_density(point)).collect()
}

/// The run with the closed form's density at the far end.
fn run(sde: &dyn Sde, divergence: Divergence, x: State, seed: u64) -> FlowRun<State> {
    let network = ExactScore::new(mixture(), Prediction::Noise);
    let end = |latent: &State| log_densities(sde, sde.time_range().1, latent);
    let likelihood = FlowLikelihood::new(sde, method()).with_divergence(divergence);
    likelihood.run_towards(&network, x, &mut Seeded::new(seed), &end).unwrap()
}

#[test]
fn with_the_exact_trace_the_log_density_is_that_of_the_closed_form() {
    for (name, sde) in processes() {
        let x = data(&*sde, 6);
        let exact = log_densities(&*sde, sde.time_range().0, &x);
        let run = run(&*sde, Divergence::Exact, x, 0);
        for (got, exact) in run.log_density().iter().zip(exact) {
            assert!((got - exact).abs() < 1e-4, "{name}: {got}, expected {exact}");
        }
        assert_eq!((run.backward_passes, run.times[0]), (3, sde.time_range().0));
    }
}

#[test]
fn every_prediction_gives_the_same_likelihood() {
    let sde = VpLinear::new(0.1, 20.0).unwrap().with_time_range(1e-4, 1.0).unwrap();
    let likelihood = FlowLikelihood::new(sde, method()).with_divergence(Divergence::Exact);
    let values = |prediction| {
        let network = ExactScore::new(mixture(), prediction);
        likelihood.run(&network, data(&sde, 4), &mut Silent).unwrap().log_density()
    };
    let noise = values(Prediction::Noise);
    for prediction in [Prediction::Data, Prediction::Velocity, Prediction::Score] {
        for (a, b) in values(prediction).iter().zip(&noise) {
            assert!((a - b).abs() < 1e-5, "{prediction:?}: {a} and {b}");
        }
    }
}

#[test]
fn the_share_of_the_prior_is_the_mismatch_at_the_far_end() {
    let sde = VpLinear::new(0.1, 20.0).unwrap().with_time_range(1e-4, 1.0).unwrap();
    let network = ExactScore::new(mixture(), Prediction::Noise);
    let likelihood = FlowLikelihood::new(sde, method()).with_divergence(Divergence::Exact);
    let under_prior = likelihood.run(&network, data(&sde, 6), &mut Silent).unwrap();
    let exact = run(&sde, Divergence::Exact, data(&sde, 6), 0);
    let end = log_densities(&sde, 1.0, &under_prior.latent);
    let shares = under_prior.log_density().into_iter().zip(exact.log_density());
    let mismatch = under_prior.terminal.iter().zip(end);
    for ((total, exact), (prior, end)) in shares.zip(mismatch) {
        assert!((total - exact - (prior - end)).abs() < 1e-9);
        assert!((total - exact).abs() < 0.05, "{} nats", total - exact);
    }
}

/// Mean and variance over independent single-point runs of the error that probes leave.
fn errors(divergence: Divergence, runs: usize) -> (f64, f64) {
    let sde = VpLinear::new(0.1, 20.0).unwrap().with_time_range(1e-3, 1.0).unwrap();
    let point = data(&sde, 1);
    let copies: Vec<_> = (0..runs).map(|_| point.view()).collect();
    let x = ndarray::concatenate(Axis(0), &copies).unwrap();
    let exact = log_densities(&sde, 1e-3, &point)[0];
    let off: Vec<f64> =
        run(&sde, divergence, x, 9).log_density().iter().map(|l| l - exact).collect();
    let mean = off.iter().sum::<f64>() / runs as f64;
    let variance = off.iter().map(|e| (e - mean).powi(2)).sum::<f64>() / (runs - 1) as f64;
    (mean, variance)
}

#[test]
fn probes_are_unbiased_and_their_variance_falls_as_one_over_their_number() {
    let runs = 4000;
    for kind in [ProbeKind::Rademacher, ProbeKind::Gaussian] {
        let (mean, one) = errors(Divergence::Probes { count: 1, kind }, runs);
        // 4 standard errors, and what the integration leaves
        assert!(mean.abs() < 4.0 * (one / runs as f64).sqrt() + 1e-4, "{kind:?}: bias {mean}");
        let (mean, four) = errors(Divergence::Probes { count: 4, kind }, runs);
        assert!(mean.abs() < 4.0 * (four / runs as f64).sqrt() + 1e-4, "{kind:?}: bias {mean}");
        // the ratio of two variances of 4000 values, of kurtosis up to about 6: deviation below 0.06
        assert!((one / four / 4.0 - 1.0).abs() < 0.25, "{kind:?}: {one} and {four}");
    }
}

#[test]
fn encoding_and_decoding_gives_the_data_back() {
    for (name, sde) in processes() {
        let x = data(&*sde, 6);
        let network = ExactScore::new(mixture(), Prediction::Noise);
        let latent = run(&*sde, Divergence::default(), x.clone(), 0).latent;
        let flow = ProbabilityFlow::new(&*sde, method());
        let back = flow.sample(&network, latent).unwrap().state;
        let off = (&back - &x).iter().fold(0.0_f64, |most, e| most.max(e.abs()));
        assert!(off < 1e-4, "{name}: {off}");
        let back = flow.sample(&network, flow.encode(&network, x.clone()).unwrap().state).unwrap();
        let off = (&back.state - &x).iter().fold(0.0_f64, |most, e| most.max(e.abs()));
        assert!(off < 1e-4, "{name}: {off}");
    }
}

#[test]
fn an_evaluation_is_one_call_of_the_network() {
    let sde = VpLinear::new(0.1, 20.0).unwrap().with_time_range(1e-3, 1.0).unwrap();
    let run = run(&sde, Divergence::default(), data(&sde, 2), 1);
    // Dormand-Prince: two to start, six an attempt
    let attempts = run.counters.accepted + run.counters.rejected;
    assert_eq!(run.counters.evaluations, 2 + 6 * attempts);
    assert_eq!(run.times.len(), run.counters.accepted + 1);
    assert_eq!(run.backward_passes, 1);
}

#[test]
fn what_cannot_be_answered_is_refused() {
    let sde = VpLinear::new(0.1, 20.0).unwrap().with_time_range(1e-3, 1.0).unwrap();
    let network = ExactScore::new(Mixture::gaussian(vec![0.0], 1.0).unwrap(), Prediction::Noise);
    let likelihood = FlowLikelihood::new(sde, method());
    let refusal = |likelihood: FlowLikelihood<VpLinear>, x: State| {
        likelihood.run(&network, x, &mut Seeded::new(0)).unwrap_err()
    };
    let mut bad = State::zeros(vec![3, 2]);
    bad[[1, 0]] = f64::NAN;
    assert!(matches!(refusal(likelihood, bad), LikelihoodError::NotFinite { sample: 1 }));
    let none = refusal(likelihood, State::zeros(vec![0, 2]));
    assert!(matches!(none, LikelihoodError::NoData { samples: 0, values: 2 }));
    let alone = refusal(likelihood, State::zeros(vec![]));
    assert!(matches!(alone, LikelihoodError::NoData { samples: 0, .. }), "{alone}");
    let large = State::zeros(vec![1, LARGEST_EXACT_TRACE + 1]);
    let exact = refusal(likelihood.with_divergence(Divergence::Exact), large);
    let says =
        "the exact trace is asked for samples of 1025 values, expected at most 1024: use probes";
    assert_eq!(exact.to_string(), says);
    let no_probes = Divergence::Probes { count: 0, kind: ProbeKind::Rademacher };
    let error = refusal(likelihood.with_divergence(no_probes), State::zeros(vec![1, 2]));
    assert_eq!(error.to_string(), "number of probes is 0, expected at least 1");
    for t in [1e-4, 1.0, f64::NAN] {
        let error = likelihood.with_lower_limit(t).unwrap_err();
        assert!(matches!(error, LikelihoodError::TimeOutsideRange { .. }), "{error}");
    }
    let from_the_data = VpLinear::new(0.1, 20.0).unwrap().with_time_range(0.0, 1.0).unwrap();
    let error = refusal(FlowLikelihood::new(from_the_data, method()), State::zeros(vec![1, 2]));
    assert!(matches!(error, LikelihoodError::Run(_)), "{error}");
}

#[test]
fn the_jumps_of_a_table_cost_no_evaluations() {
    let smooth = VpLinear::new(0.1, 20.0).unwrap().with_time_range(1e-3, 1.0).unwrap();
    let table = DiscreteTable::linear(1000, 1e-4, 0.02).unwrap();
    let evaluations =
        |sde: &dyn Sde| run(sde, Divergence::Exact, data(sde, 4), 0).counters.evaluations as f64;
    // the table is the process cut into 1000 steps
    assert!(evaluations(&table) < 1.5 * evaluations(&smooth));
}
