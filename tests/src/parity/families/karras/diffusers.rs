//! Schedulers of diffusers that step in sigma: Euler, Heun, `KDPM2` and LMS.
//!
//! The peer keeps the state as `x / alpha` and scales it before the network; here it is the state of
//! the variance-preserving process throughout, and divided by `alpha` for comparison.

use std::cell::Cell;

use anyhow::{Context, Result, bail};
use tweedie_samplers::{
    AncestralNoise, Churn, Ddim, EdmSolver, InSigma, LinearMultistep, OneStep, Rule, Solver,
    Stochastic, sample,
};
use tweedie_schedules::{
    NoiseLevel, Prediction, ScaledSigma, Scaling, SigmaOfTime, TimeGrid, TimePoint, beta_quantile,
};
use tweedie_score::{Clip, MapData, Replay, ScoreError, ScoreFn, Times};

use super::super::diffusers_sigmas::{grid_through, linspace, point, table_sigmas};
use super::super::dpm_multistep::edm_grid;
use super::super::solved::{self, Negated, negated};
use super::{Calls, State};
use crate::parity::{Case, Exact, Produced};

/// Runs a case.
pub(super) fn run(case: &Case) -> Result<Produced> {
    if case.sampler.name == "EDMEulerScheduler" {
        return edm_euler(case);
    }
    let sigmas = sigmas(case)?;
    let options = case.options();
    let churn = churn(case)?;
    if case.sampler.name == "EulerDiscreteScheduler" && churn.amount > 0.0 {
        return churned_euler(case, &sigmas, churn);
    }
    let points: Vec<TimePoint> = sigmas.iter().map(|sigma| point(*sigma)).collect();
    let grid = grid_through(&points[..=case.steps()?])?;
    let model = case.model()?;
    let score: Box<dyn ScoreFn<State>> = if options.bool_or("clip_sample", false)? {
        let high = options.f64_or("clip_sample_range", 1.0)?;
        Box::new(MapData { inner: &model, map: Clip { low: -high, high } })
    } else if case.sampler.name == "KDPM2AncestralDiscreteScheduler" {
        Box::new(Recorded::new(case, &model)?)
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
    // the time of a level is its sigma
    let sigma = ScaledSigma::new(SigmaOfTime::Linear, Scaling::VariancePreserving, 1e-3, 1e3)?;
    let solver = EdmSolver::new(InSigma(sigma), rule)?;
    let ancestral = case.sampler.name.contains("Ancestral");
    let noise = Stochastic::Ancestral(AncestralNoise { eta: 1.0, noise: 1.0 });
    Ok(Box::new(if ancestral { solver.with_noise(noise)? } else { solver }))
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
            let ends = (table[table.len() - 1].ln(), table[0].ln());
            linspace(ends.0, ends.1, steps + 1).into_iter().map(f64::exp).collect()
        }
        other => bail!("no interpolation {other}"),
    };
    let low = options.f64_or("sigma_min", sigmas[sigmas.len() - 1])?;
    let high = options.f64_or("sigma_max", sigmas[0])?;
    let ramp = linspace(0.0, 1.0, steps);
    let on = |name: &str| options.bool_or(name, false);
    if on("use_karras_sigmas")? {
        let root = |sigma: f64| sigma.powf(1.0 / 7.0);
        let between = |share: f64| root(high) + share * (root(low) - root(high));
        sigmas = ramp.into_iter().map(|share| between(share).powi(7)).collect();
    } else if on("use_exponential_sigmas")? {
        sigmas = linspace(high.ln(), low.ln(), steps).into_iter().map(f64::exp).collect();
    } else if on("use_beta_sigmas")? {
        let quantile = |share: f64| beta_quantile(1.0 - share, 0.6, 0.6);
        sigmas = ramp.into_iter().map(|share| low + quantile(share) * (high - low)).collect();
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
            (0..steps).rev().map(|k| (k * (count / steps)) as f64 + offset).collect()
        }
        "trailing" => {
            let stride = count as f64 / steps as f64;
            let position = |k: usize| (count as f64 - k as f64 * stride).round_ties_even() - 1.0;
            (0..steps).map(position).collect()
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

/// The peer's Euler step with churn: it evaluates the network before the noise is added, so the
/// answer is that of another state and level than the step's.
fn churned_euler(case: &Case, sigmas: &[f64], churn: Churn) -> Result<Produced> {
    let model = case.model()?;
    let (mut x, mut states, mut data) = (case.start()?, Vec::new(), None);
    let mut draws = case.noises.iter();
    for pair in sigmas.windows(2).take(case.steps()?) {
        let at = point(pair[0]);
        let output = model.predict(&(&x * at.level.alpha), Times::Shared(at))?;
        let share = churn.share(pair[0], sigmas.len() - 1);
        let hat = pair[0] * (1.0 + share);
        if let (true, Some(draw)) = (share > 0.0, draws.as_slice().first()) {
            let added = churn.noise * (hat * hat - pair[0] * pair[0]).sqrt();
            x = x + &draw.values * added;
            draws.next();
        }
        let estimate = match model.prediction() {
            Prediction::Noise => &x - &output * hat,
            other => {
                let (of_x, of_output) = other.convert(Prediction::Data, at.level);
                &x * (of_x * at.level.alpha) + &output * of_output
            }
        };
        x = &x + (&x - &estimate) * ((pair[1] - hat) / hat);
        data = Some(estimate);
        states.push(x.clone());
    }
    let produced = Produced::new().tensor("x_0", x).states("states", states);
    let produced = match data {
        Some(data) => produced.tensor("pred_x0_last", data),
        None => produced,
    };
    Ok(produced.evaluations(model.evaluations()))
}

/// The model at the recorded levels: for the second evaluation of a step of `KDPM2Ancestral` they
/// are those of the following step, though the state is scaled for its own.
struct Recorded<'a> {
    model: &'a Exact<'a>,
    levels: Vec<NoiseLevel>,
    calls: Cell<usize>,
}

impl<'a> Recorded<'a> {
    fn new(case: &Case, model: &'a Exact<'a>) -> Result<Self> {
        let calls = case.model_calls.clone().unwrap_or_default();
        let (alphas, sigmas) = (calls.numbers("alpha")?, calls.numbers("sigma")?);
        let level = |(alpha, sigma)| NoiseLevel { alpha, sigma };
        let levels = alphas.into_iter().zip(sigmas).map(level).collect();
        Ok(Self { model, levels, calls: Cell::new(0) })
    }
}

impl ScoreFn<State> for Recorded<'_> {
    fn prediction(&self) -> Prediction {
        self.model.prediction()
    }

    fn predict(&self, x: &State, at: Times<'_>) -> Result<State, ScoreError> {
        let call = self.calls.replace(self.calls.get() + 1);
        let level = self.levels.get(call).copied().unwrap_or(at.of(0).level);
        self.model.predict(x, Times::Shared(TimePoint { level, ..at.of(0) }))
    }
}
