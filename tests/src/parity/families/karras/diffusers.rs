//! Schedulers of diffusers that step in sigma: Euler, Heun, `KDPM2` and LMS.
//!
//! The peer keeps the state as `x / alpha` and scales it before the network; here it is the state of
//! the variance-preserving process throughout, and divided by `alpha` for comparison.

use std::cell::{Cell, RefCell};

use anyhow::{Context, Result, bail};
use tweedie_samplers::{
    AncestralNoise, Churn, Ddim, EdmSolver, InSigma, LinearMultistep, OneStep, Rule, Solver,
    Stochastic, sample, sample_observed,
};
use tweedie_schedules::{
    Prediction, ScaledSigma, Scaling, SigmaOfTime, Spacing, TimeGrid, TimePoint,
};
use tweedie_score::{Clip, MapData, Replay, ScoreError, ScoreFn, Times};

use super::super::diffusers_sigmas::{Spread, grid_through, linspace, point, table_sigmas};
use super::super::dpm_multistep::edm_grid;
use super::super::solved::{self, Negated, negated};
use super::{Calls, State};
use crate::parity::{Case, Exact, Produced};

/// Runs a case.
pub(super) fn run(case: &Case) -> Result<Produced> {
    if case.sampler.name == "EDMEulerScheduler" {
        return edm_euler(case);
    }
    let options = case.options();
    let points: Vec<TimePoint> = sigmas(case)?.into_iter().map(point).collect();
    let grid = grid_through(&points[..=case.steps()?])?;
    let mut churn = churn(case)?;
    // the peer divides the amount by its levels, of which a run may leave out the last
    churn.amount *= grid.len() as f64 / (points.len() - 1) as f64;
    if case.sampler.name == "EulerDiscreteScheduler" && churn.amount > 0.0 {
        return churned_euler(case, &grid, churn);
    }
    let model = case.model()?;
    let score: Box<dyn ScoreFn<State>> = if options.bool_or("clip_sample", false)? {
        let high = options.f64_or("clip_sample_range", 1.0)?;
        Box::new(MapData { inner: &model, map: Clip { low: -high, high } })
    } else if case.sampler.name == "KDPM2AncestralDiscreteScheduler" {
        Box::new(SecondLate { model: &model, grid: &grid, calls: Cell::new(0) })
    } else {
        Box::new(&model)
    };
    let calls = Calls::new(&*score);
    let mut noise = draws(case, &grid);
    let start = case.start()? * points[0].level.alpha;
    let end = sample(&*solver(case)?, &calls, &grid, start, &mut noise)?;
    let end = end / points[case.steps()?].level.alpha;
    // the peer's step is an evaluation: what it gives is what the next evaluation sees
    let mut states: Vec<State> = (1..calls.count()).map(|call| calls.state(call)).collect();
    states.push(end.clone());
    let mut produced = Produced::new().tensor("x_0", end).states("states", states);
    if let Some(data) = calls.last_data() {
        produced = produced.tensor("pred_x0_last", data);
    }
    Ok(produced.evaluations(model.evaluations()))
}

/// Euler's rule in the noise levels of EDM, which is DDIM where `alpha` is 1.
fn edm_euler(case: &Case) -> Result<Produced> {
    let (grid, model) = (edm_grid(case)?, case.model()?);
    let score: &dyn ScoreFn<State> = if negated(case)? { &Negated(&model) } else { &model };
    let calls = Calls::new(score);
    let states = solved::states(case, &OneStep(Ddim::DETERMINISTIC), &calls, &grid)?;
    let produced = solved::produced(states, model.evaluations());
    let data = calls.last_data().context("the model was not called")?;
    Ok(produced.tensor("pred_x0_last", data))
}

fn solver(case: &Case) -> Result<Box<dyn Solver<State>>> {
    let rule = match case.sampler.name.as_str() {
        "LMSDiscreteScheduler" => {
            let order = case.sampler.step_options.usize_or("order", 4)?;
            return Ok(Box::new(LinearMultistep::new(order)?));
        }
        "EulerDiscreteScheduler" | "EulerAncestralDiscreteScheduler" => Rule::Euler,
        "HeunDiscreteScheduler" => Rule::HEUN,
        "KDPM2DiscreteScheduler" | "KDPM2AncestralDiscreteScheduler" => Rule::GeometricMidpoint,
        other => bail!("no scheduler {other}"),
    };
    let solver = EdmSolver::new(InSigma(own_clock()?), rule)?;
    let ancestral = case.sampler.name.contains("Ancestral");
    let noise = Stochastic::Ancestral(AncestralNoise { eta: 1.0, noise: 1.0 });
    Ok(Box::new(if ancestral { solver.with_noise(noise)? } else { solver }))
}

/// The schedule on which the time of a level is its sigma.
fn own_clock() -> Result<ScaledSigma> {
    Ok(ScaledSigma::new(SigmaOfTime::Linear, Scaling::VariancePreserving, 1e-3, 1e3)?)
}

/// The draws of the steps that do not end clean; the peer draws in the last step, too.
fn draws(case: &Case, grid: &TimeGrid) -> Replay {
    let noisy = grid.intervals().iter().filter(|interval| interval.to.level.sigma > 0.0).count();
    let draws = case.noises.iter().take(noisy);
    Replay::new(draws.map(|draw| draw.values.iter().copied().collect()).collect::<Vec<_>>())
}

/// The noise levels visited, the noisiest first, and where the run ends.
fn sigmas(case: &Case) -> Result<Vec<f64>> {
    let (table, options, steps) = (table_sigmas(case)?, case.options(), case.steps()?);
    let mut sigmas: Vec<f64> = match options.str_or("interpolation_type", "linear")? {
        "linear" => {
            timesteps(case, table.len())?.into_iter().map(|t| interpolated(&table, t)).collect()
        }
        "log_linear" => {
            Spread::Exponential.sigmas((table[0], table[table.len() - 1]), steps + 1)?
        }
        other => bail!("no interpolation {other}"),
    };
    let low = options.f64_or("sigma_min", sigmas[sigmas.len() - 1])?;
    let high = options.f64_or("sigma_max", sigmas[0])?;
    if let Some(spread) = Spread::of(case)? {
        sigmas = spread.sigmas((low, high), steps)?;
    }
    sigmas.push(match options.str_or("final_sigmas_type", "zero")? {
        "zero" => 0.0,
        "sigma_min" => table[0],
        other => bail!("final_sigmas_type {other}"),
    });
    Ok(sigmas)
}

/// Positions in the table, the noisiest first; they need not be whole.
fn timesteps(case: &Case, count: usize) -> Result<Vec<f64>> {
    let (options, steps) = (case.options(), case.steps()?);
    Ok(match options.str_or("timestep_spacing", "linspace")? {
        "linspace" => linspace(0.0, (count - 1) as f64, steps).into_iter().rev().collect(),
        "leading" => {
            let offset = options.f64_or("steps_offset", 0.0)?;
            let indices = Spacing::Leading.indices(count, steps)?;
            indices.into_iter().map(|index| index as f64 + offset).collect()
        }
        "trailing" => {
            let indices = Spacing::Trailing.indices(count, steps)?;
            indices.into_iter().map(|index| index as f64).collect()
        }
        other => bail!("no spacing {other}"),
    })
}

/// The table at a position, by straight lines between its entries.
fn interpolated(table: &[f64], position: f64) -> f64 {
    let left = (position as usize).min(table.len() - 1);
    let right = (left + 1).min(table.len() - 1);
    let share = (position - left as f64).min(1.0);
    table[left] + share * (table[right] - table[left])
}

fn churn(case: &Case) -> Result<Churn> {
    let options = &case.sampler.step_options;
    Ok(Churn {
        amount: options.f64_or("s_churn", 0.0)?,
        sigma_min: options.f64_or("s_tmin", 0.0)?,
        sigma_max: options.f64_or("s_tmax", f64::INFINITY)?,
        noise: options.f64_or("s_noise", 1.0)?,
    })
}

/// The peer's Euler steps with churn: see [`AskedBefore`].
fn churned_euler(case: &Case, grid: &TimeGrid, churn: Churn) -> Result<Produced> {
    let model = case.model()?;
    let solver = EdmSolver::new(InSigma(own_clock()?), Rule::Euler)?;
    let solver = solver.with_noise(Stochastic::Churn(churn))?;
    let start = case.start()? * grid.start().level.alpha;
    let before = RefCell::new((grid.start(), start.clone()));
    let asked = AskedBefore { model: &model, before: &before };
    let (calls, mut states) = (Calls::new(&asked), Vec::new());
    sample_observed(&solver, &calls, grid, start, &mut case.noise(), &mut |step, x| {
        let end = grid.intervals()[step].to;
        states.push(x / end.level.alpha);
        before.replace((end, x.clone()));
    })?;
    let data = calls.last_data().context("the model was not called")?;
    let produced = solved::produced(states, model.evaluations());
    Ok(produced.tensor("pred_x0_last", data))
}

/// The data estimate of the peer's churned step: it evaluates the network before the noise is added,
/// and reads the answer together with the state after it.
struct AskedBefore<'a> {
    model: &'a Exact<'a>,
    /// Where the step starts, before its noise.
    before: &'a RefCell<(TimePoint, State)>,
}

impl ScoreFn<State> for AskedBefore<'_> {
    fn prediction(&self) -> Prediction {
        Prediction::Data
    }

    fn predict(&self, raised: &State, hat: Times<'_>) -> Result<State, ScoreError> {
        let (hat, before) = (hat.of(0).level, self.before.borrow());
        let output = self.model.predict(&before.1, Times::Shared(before.0))?;
        // a velocity is read as one of the level below
        let noise = self.model.prediction() == Prediction::Noise;
        let level = if noise { hat } else { before.0.level };
        let (of_x, of_output) = self.model.prediction().convert(Prediction::Data, level);
        Ok(raised * (of_x * level.alpha / hat.alpha) + output * of_output)
    }
}

/// The model as `KDPM2Ancestral` calls it: the second evaluation of a step is told the level where the
/// following step ends, though the state is scaled for its own.
struct SecondLate<'a> {
    model: &'a Exact<'a>,
    grid: &'a TimeGrid,
    calls: Cell<usize>,
}

impl ScoreFn<State> for SecondLate<'_> {
    fn prediction(&self) -> Prediction {
        self.model.prediction()
    }

    fn predict(&self, x: &State, at: Times<'_>) -> Result<State, ScoreError> {
        let call = self.calls.replace(self.calls.get() + 1);
        let (step, second) = (call / 2, call % 2 == 1);
        let following = self.grid.intervals().get(step + 1).filter(|_| second);
        let level = following.map_or(at.of(0).level, |following| following.to.level);
        self.model.predict(x, Times::Shared(TimePoint { level, ..at.of(0) }))
    }
}
