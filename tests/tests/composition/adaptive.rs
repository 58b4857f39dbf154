//! Methods that find their own steps, on every schedule.

use std::sync::Arc;

use crate::data::{Counted, start};
use crate::kinds::{Kind, kinds};
use crate::{PREDICTIONS, State, told};
use tweedie_samplers::{AdaptiveRun, ProbabilityFlow, RungeKutta, SampleError, Tableau};
use tweedie_schedules::NoiseSchedule;
use tweedie_score::Seeded;
use tweedie_solvers_dpm::{Adaptive, OrderPair, SolverType};

type Outcome = Result<AdaptiveRun<State>, SampleError>;
type Method<'a> = (String, Box<dyn Fn(&Counted) -> Outcome + 'a>);

/// The probability flow by every Runge-Kutta method, both ways.
fn flows(kind: &Kind) -> Vec<Method<'_>> {
    let (clean, noisy) = kind.sde.time_range();
    let [clean, noisy] = [clean, noisy].map(|t| start(kind.sde.level(t).sigma));
    let tableaus = [Tableau::BOGACKI_SHAMPINE, Tableau::DORMAND_PRINCE, Tableau::DOP853];
    let of = |tableau: Tableau| -> [Method<'_>; 3] {
        let method = RungeKutta::new(1e-3, 1e-3).unwrap().with_tableau(tableau);
        let flow = ProbabilityFlow::new(Arc::clone(&kind.sde), method);
        let name = format!("flow of order {}", tableau.order());
        let (denoised, encoded) = (flow.clone().ending_denoised(), flow.clone());
        let (first, second, data) = (noisy.clone(), noisy.clone(), clean.clone());
        [
            (name.clone(), Box::new(move |score| flow.sample(score, first.clone()))),
            (
                format!("{name}, denoised"),
                Box::new(move |score| denoised.sample(score, second.clone())),
            ),
            (
                format!("{name}, encoding"),
                Box::new(move |score| encoded.encode(score, data.clone())),
            ),
        ]
    };
    tableaus.into_iter().flat_map(of).collect()
}

/// Adaptive DPM-Solver in both forms, without and with noise.
fn adaptive(kind: &Kind) -> Vec<Method<'_>> {
    let noisy = start(kind.sde.level(kind.sde.time_range().1).sigma);
    let mut all: Vec<Method<'_>> = Vec::new();
    for pair in [OrderPair::OneTwo, OrderPair::TwoThree] {
        for solver_type in [SolverType::Midpoint, SolverType::Taylor] {
            for eta in [0.0, 0.5] {
                for (name, solver) in [
                    ("adaptive dpm", Adaptive::dpm_solver(&kind.sde, pair)),
                    ("adaptive dpm++", Adaptive::dpmpp(&kind.sde, pair)),
                ] {
                    let solver = solver.solver_type(solver_type).with_eta(eta).unwrap();
                    let x = noisy.clone();
                    all.push((
                        format!("{name} {pair:?} {solver_type:?}, eta {eta}"),
                        Box::new(move |score| solver.run(score, x.clone(), &mut Seeded::new(5))),
                    ));
                }
            }
        }
    }
    all
}

/// What went wrong with a run, if anything.
fn fault(outcome: &Outcome, score: &Counted, kind: &Kind) -> Option<String> {
    match outcome {
        // lambda, the clock of DPM-Solver, is infinite there, and so is the drift
        Err(SampleError::ImpossibleStep { .. } | SampleError::InfiniteSlope { .. })
            if kind.ends_in_pure_noise() =>
        {
            None
        }
        Err(error) => Some(told(error)),
        Ok(run) if !run.state.iter().all(|value| value.is_finite()) => Some("not finite".into()),
        Ok(run) if run.counters.evaluations != score.calls() => {
            Some(format!("{} evaluations, {} counted", score.calls(), run.counters.evaluations))
        }
        Ok(run) => {
            let (clean, noisy) = kind.sde.time_range();
            let [first, .., last] = run.times[..] else { return Some("no step".into()) };
            let reached = |t: f64| (t - clean).abs() < 1e-4 || (t - noisy).abs() < 1e-4;
            (!(reached(first) && reached(last))).then(|| format!("from {first} to {last}"))
        }
    }
}

#[test]
fn methods_that_find_their_own_steps_run_on_every_schedule() {
    let (mut runs, mut refused, mut faults) = (0, 0, Vec::new());
    for kind in kinds() {
        for (name, method) in flows(&kind).into_iter().chain(adaptive(&kind)) {
            for prediction in PREDICTIONS {
                let score = Counted::predicting(prediction);
                let outcome = method(&score);
                runs += 1;
                refused += usize::from(outcome.is_err());
                let what = format!("{name} on {}, {prediction:?}", kind.name);
                faults
                    .extend(fault(&outcome, &score, &kind).map(|fault| format!("{what}: {fault}")));
            }
        }
    }
    println!("{runs} runs, {refused} refused");
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}
