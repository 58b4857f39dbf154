//! Multistep cases of dpm-solver's own code: its times, its models, its guidance.

use anyhow::{Context, Result, bail};
use ndarray::{ArrayD, Axis};
use tweedie_guidance::{ClassifierFree, ClassifierGuided};
use tweedie_samplers::{Ddim, OneStep, sample};
use tweedie_schedules::{DiscreteTable, NoiseLevel, NoiseSchedule, TimeGrid, TimePoint, VpLinear};
use tweedie_score::{DynamicThreshold, MapData, Replay, ScoreFn};
use tweedie_solvers_dpm::{FinalOrders, Multistep, SolverType};

use super::conditions::{Pull, Told};
use super::diffusers_sigmas::grid_through;
use super::dpm_multistep::order;
use super::solved;
use crate::parity::{Case, Fields, Produced};

type State = ArrayD<f64>;

/// The schedule of a case and its number of discrete steps, which sets where a run ends by default.
pub(super) fn schedule(fields: &Fields) -> Result<(Box<dyn NoiseSchedule>, usize)> {
    Ok(match fields.str("kind")? {
        "vp_linear" => {
            let schedule = VpLinear::new(fields.f64("beta_min")?, fields.f64("beta_max")?)?;
            (Box::new(schedule), 1000)
        }
        _ => {
            let table: DiscreteTable = fields.table()?.respaced_below_lambda(-5.1)?;
            let steps = table.len();
            (Box::new(table), steps)
        }
    })
}

/// A schedule used between two times, the less noisy first.
struct Between<'a>(&'a dyn NoiseSchedule, (f64, f64));

impl NoiseSchedule for Between<'_> {
    fn time_range(&self) -> (f64, f64) {
        self.1
    }

    fn level(&self, t: f64) -> NoiseLevel {
        self.0.level(t)
    }

    fn time_at_lambda(&self, lambda: f64) -> f64 {
        self.0.time_at_lambda(lambda)
    }
}

/// `steps` steps from `first` to `last`, in the peer's spacings.
pub(super) fn grid(
    schedule: &dyn NoiseSchedule,
    spacing: &str,
    (first, last): (f64, f64),
    steps: usize,
) -> Result<TimeGrid> {
    let between = Between(schedule, (first.min(last), first.max(last)));
    let grid = match spacing {
        "logSNR" => TimeGrid::uniform_lambda(&between, steps)?,
        "time_uniform" => TimeGrid::uniform_time(&between, steps)?,
        "time_quadratic" => TimeGrid::quadratic_time(&between, steps)?,
        other => bail!("skip_type {other}"),
    };
    Ok(if first < last { grid.reversed() } else { grid })
}

/// The two ends of a run: from the noise to the data, or the other way for `inverse`.
pub(super) fn ends(case: &Case, total: usize) -> Result<(f64, f64)> {
    let given = |name: &str, default: f64| case.sampler.step_options.f64_or(name, default);
    let (noisy, clean) = (case.schedule.f64_or("T", 1.0)?, 1.0 / total as f64);
    if case.sampler.name.ends_with("inverse") {
        Ok((given("t_start", clean)?, given("t_end", noisy)?))
    } else {
        Ok((given("t_start", noisy)?, given("t_end", clean)?))
    }
}

/// Runs a case.
pub(super) fn run(case: &Case) -> Result<Produced> {
    let step_options = &case.sampler.step_options;
    let (schedule, total) = schedule(&case.schedule)?;
    let steps = step_options.usize_or("steps", 20)?;
    let spacing = step_options.str_or("skip_type", "time_uniform")?;
    let ends = ends(case, total)?;
    let grid = grid(schedule.as_ref(), spacing, ends, steps)?;
    let model = case.model()?;
    let states = with_score(case, &model, |plain, corrected| {
        let data_form = case.options().str_or("algorithm_type", "dpmsolver++")? == "dpmsolver++";
        // the noise form corrects the data estimate in the last evaluation alone
        let score = if data_form { corrected } else { plain };
        let mut states = vec![case.start()?];
        states.extend(solved::states(case, &solver(case, steps)?, score, &grid)?);
        if step_options.bool_or("denoise_to_zero", false)? {
            let last = states.last().context("a run has states")?;
            states.push(denoised(last, schedule.point(ends.1), corrected)?);
        }
        Ok(states)
    })?;
    Ok(solved::produced(states, model.evaluations()))
}

fn solver(case: &Case, steps: usize) -> Result<Multistep> {
    let options = &case.sampler.step_options;
    let order = order(options.usize_or("order", 2)?)?;
    let solver = match case.options().str_or("algorithm_type", "dpmsolver++")? {
        "dpmsolver++" => Multistep::dpmpp(order),
        "dpmsolver" => Multistep::dpm_solver(order),
        other => bail!("algorithm_type {other}"),
    };
    let solver_type = match options.str_or("solver_type", "dpmsolver")? {
        "dpmsolver" => SolverType::Midpoint,
        "taylor" => SolverType::Taylor,
        other => bail!("solver_type {other}"),
    };
    let falls = options.bool_or("lower_order_final", true)? && steps < 10;
    let final_orders = if falls { FinalOrders::Falling } else { FinalOrders::Full };
    Ok(solver.solver_type(solver_type).final_orders(final_orders))
}

/// One more evaluation, which takes the state to the estimate of the data.
pub(super) fn denoised(x: &State, at: TimePoint, score: &dyn ScoreFn<State>) -> Result<State> {
    let clean = TimePoint { t: 0.0, level: NoiseLevel::CLEAN };
    let grid: TimeGrid = grid_through(&[at, clean])?;
    let ddim = OneStep(Ddim::new(0.0)?);
    Ok(sample(&ddim, score, &grid, x.clone(), &mut Replay::new([]))?)
}

/// Hands the case's score function to `use_it`, without and with the correction of the data estimate.
pub(super) fn with_score<T>(
    case: &Case,
    model: &dyn ScoreFn<State>,
    use_it: impl FnOnce(&dyn ScoreFn<State>, &dyn ScoreFn<State>) -> Result<T>,
) -> Result<T> {
    let options = case.options();
    let scale = options.f64_or("guidance_scale", 1.0)?;
    let (guided, told);
    let plain: &dyn ScoreFn<State> = match options.str_or("guidance_type", "uncond")? {
        "uncond" => model,
        "classifier" => {
            guided = ClassifierGuided::new(model, Pull::of(case)?, scale)?;
            &guided
        }
        "classifier-free" => {
            let samples = case.start()?.len_of(Axis(0));
            told = ClassifierFree::new(Told::of(case, model)?, vec![Some(0); samples], scale)?;
            &told
        }
        other => bail!("guidance_type {other}"),
    };
    match options.str_or("correcting_x0_fn", "")? {
        "" => use_it(plain, plain),
        "dynamic_thresholding" => {
            let quantile = options.f64_or("dynamic_thresholding_ratio", 0.995)?;
            let floor = options.f64_or("thresholding_max_val", 1.0)?;
            let map = DynamicThreshold::new(quantile)?.with_floor(floor)?;
            use_it(plain, &MapData { inner: plain, map })
        }
        other => bail!("correcting_x0_fn {other}"),
    }
}
