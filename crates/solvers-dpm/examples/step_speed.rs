//! How long planning and stepping take beside the network, and how much memory a step holds.
//!
//! Prints one JSON object a line; `cargo xtask bench steps` makes a table of them.

use std::cell::RefCell;
use std::hint::black_box;
use std::time::Instant;

use ndarray::{ArrayD, IxDyn};
use peak_alloc::PeakAlloc;
use serde_json::json;
use tweedie_samplers::{Ancestral, Ddim, OneStep, Solver, Variance};
use tweedie_schedules::{DiscreteTable, Prediction, Spacing, TimeGrid};
use tweedie_score::{NoiseError, NoiseSource, ScoreError, ScoreFn, Times};
use tweedie_solvers_dpm::{Multistep, Order, UniPc};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

type State = ArrayD<f32>;

/// A batch of 64 images of CIFAR-10's shape.
const SHAPE: [usize; 4] = [64, 3, 32, 32];
const REPEATS: usize = 400;

/// A network whose answers were made beforehand, so that only the sampler is measured.
struct Prepared(RefCell<Vec<State>>);

/// Noise that was made beforehand, for the same reason.
struct PreparedNoise(Vec<State>);

impl ScoreFn<State> for Prepared {
    fn prediction(&self) -> Prediction {
        Prediction::Noise
    }

    fn predict(&self, _: &State, _: Times<'_>) -> Result<State, ScoreError> {
        self.0.borrow_mut().pop().ok_or_else(|| ScoreError::Network("no answer left".into()))
    }
}

impl NoiseSource<State> for PreparedNoise {
    fn normal_like(&mut self, _: &State) -> Result<State, NoiseError> {
        self.0.pop().ok_or(NoiseError::Exhausted { recorded: REPEATS + 1 })
    }

    fn rademacher_like(&mut self, like: &State) -> Result<State, NoiseError> {
        self.normal_like(like)
    }

    fn uniform_like(&mut self, like: &State) -> Result<State, NoiseError> {
        self.normal_like(like)
    }

    fn uniform(&mut self, _: usize) -> Result<Vec<f64>, NoiseError> {
        Err(NoiseError::Exhausted { recorded: 0 })
    }

    fn indices(&mut self, _: usize, _: usize) -> Result<Vec<usize>, NoiseError> {
        Err(NoiseError::Exhausted { recorded: 0 })
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // After an array of this size was freed once, the allocator keeps memory for the next instead of
    // asking the system for new pages each time, as in a run of many steps.
    drop(numbers(0.1));
    let table = DiscreteTable::linear(1000, 1e-4, 0.02)?;
    let grid = TimeGrid::discrete(&table, 1000, Spacing::Trailing)?.ending_clean();
    let methods: [(&str, Box<dyn Solver<State>>); 7] = [
        ("ddim", Box::new(OneStep(Ddim::new(0.0)?))),
        ("ddim, eta 1", Box::new(OneStep(Ddim::new(1.0)?))),
        ("ancestral", Box::new(OneStep(Ancestral { variance: Variance::FixedSmall }))),
        ("dpm-solver++ 2m", Box::new(Multistep::dpmpp(Order::Two))),
        ("dpm-solver++ 3m", Box::new(Multistep::dpmpp(Order::Three))),
        ("sde-dpm-solver++ 2m", Box::new(Multistep::sde_dpmpp(Order::Two))),
        ("unipc 2", Box::new(UniPc::new(2)?)),
    ];
    for (name, solver) in &methods {
        let plan = fastest(|| drop(black_box(solver.plan(&grid))));
        println!(
            "{}",
            json!({"what": "plan 1000 steps", "method": name, "microseconds": plan * 1e6})
        );
    }
    let pass = pass();
    for (name, solver) in &methods {
        let (step, held) = step(solver.as_ref(), &grid)?;
        let line = json!({
            "what": "step", "method": name, "microseconds": step * 1e6,
            "passes": step / pass, "states_held": held,
        });
        println!("{line}");
    }
    println!("{}", json!({"what": "memory pass", "microseconds": pass * 1e6}));
    Ok(())
}

/// The shortest time of many repeats, in seconds.
fn fastest(mut work: impl FnMut()) -> f64 {
    let time = |_| {
        let start = Instant::now();
        work();
        start.elapsed().as_secs_f64()
    };
    (0..REPEATS).map(time).fold(f64::INFINITY, f64::min)
}

/// One pass over the operands of a step and nothing else: two states read, a third written. As in a
/// step, the answer of the network is another array each time.
fn pass() -> f64 {
    let x = numbers(0.3);
    let mut answers: Vec<_> = (0..REPEATS).map(|_| numbers(0.7)).collect();
    let mut out = vec![0.0_f32; x.len()];
    fastest(|| {
        let y = answers.pop().unwrap_or_default();
        for ((out, x), y) in out.iter_mut().zip(black_box(&x)).zip(black_box(&y)) {
            *out = 0.9 * x + 0.1 * y;
        }
        black_box(&mut out);
    })
}

/// The time of a step, and the most memory it holds beyond its operands, in states.
fn step(
    solver: &dyn Solver<State>,
    grid: &TimeGrid,
) -> Result<(f64, f64), Box<dyn std::error::Error>> {
    let make = |rate| State::from_shape_vec(IxDyn(&SHAPE), numbers(rate));
    let many = |rate| (0..=REPEATS).map(|_| make(rate)).collect::<Result<Vec<_>, _>>();
    let score = Prepared(RefCell::new(many(0.7)?));
    let mut stepper = solver.plan(grid)?;
    let mut noise = PreparedNoise(many(1.3)?);
    let held = {
        let x = make(0.3)?;
        let before = MEMORY.current_usage();
        MEMORY.reset_peak_usage();
        let _ = stepper.step(0, x, &score, &mut noise)?;
        let bytes = MEMORY.peak_usage().saturating_sub(before);
        bytes as f64 / (SHAPE.iter().product::<usize>() * size_of::<f32>()) as f64
    };
    let mut state = Some(make(0.3)?);
    let (mut failed, mut index) = (None, 0);
    let seconds = fastest(|| {
        if let Some(x) = state.take() {
            index += 1;
            match stepper.step(index, x, &score, &mut noise) {
                Ok(next) => state = Some(next),
                Err(error) => failed = Some(error),
            }
        }
    });
    failed.map_or(Ok((seconds, held)), |error| Err(error.into()))
}

fn numbers(rate: f64) -> Vec<f32> {
    (0..SHAPE.iter().product::<usize>()).map(|k| (k as f64 * rate).sin() as f32).collect()
}
