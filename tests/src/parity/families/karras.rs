//! Samplers that step in sigma: k-diffusion's own, and the schedulers of diffusers after them.

mod diffusers;

use std::cell::RefCell;

use anyhow::{Context, Result, bail};
use ndarray::ArrayD;
use tweedie_samplers::{
    AncestralNoise, Churn, EdmSolver, InSigma, LinearMultistep, Rule, Solver, Stochastic,
    sample_observed,
};
use tweedie_schedules::{Prediction, ScaledSigma, Scaling, SigmaOfTime, TimeGrid};
use tweedie_score::{Replay, ScoreError, ScoreFn, Times};

use super::diffusers_sigmas::{grid_through, k_point, linspace};
use super::edm::churned;
use crate::parity::{Case, Fields, Produced};

type State = ArrayD<f64>;

/// Runs a case.
pub(super) fn run(case: &Case) -> Result<Produced> {
    if case.peer_name() == "diffusers" { diffusers::run(case) } else { run_sampler(case) }
}

/// A sampler of k-diffusion.
fn run_sampler(case: &Case) -> Result<Produced> {
    let grid = grid(case)?;
    let (solver, mut noise) = solver(case, &grid)?;
    let model = case.model()?;
    let calls = Calls::new(&model);
    let firsts = RefCell::new(vec![0]);
    let x = sample_observed(&*solver, &calls, &grid, case.start()?, &mut noise, &mut |_, _| {
        firsts.borrow_mut().push(calls.count());
    })?;
    // the peer shows the state that the first evaluation of each step sees
    let states = firsts.into_inner().into_iter().take(grid.len()).map(|call| calls.state(call));
    Ok(Produced::new()
        .tensor("x_0", x)
        .states("states", states.collect())
        .evaluations(model.evaluations()))
}

/// The noise levels of a case, and the data after them; as recorded only where it does not say how
/// they were built.
pub(super) fn grid(case: &Case) -> Result<TimeGrid> {
    if case.schedule.get("builder").is_some() {
        return built(&case.schedule);
    }
    let sigmas = case.sigmas.as_ref().context("the case has no noise levels")?;
    grid_through(&sigmas.iter().copied().map(k_point).collect::<Vec<_>>())
}

fn built(schedule: &Fields) -> Result<TimeGrid> {
    let (low, high) = (schedule.f64("sigma_min")?, schedule.f64("sigma_max")?);
    let count = schedule.usize("n")?;
    let sigma = ScaledSigma::new(SigmaOfTime::Linear, Scaling::None, low, high)?;
    Ok(match schedule.str("builder")? {
        "karras" => TimeGrid::karras(&sigma, count - 1, schedule.f64_or("rho", 7.0)?)?,
        "exponential" => TimeGrid::uniform_lambda(&sigma, count - 1)?,
        "polyexponential" => {
            TimeGrid::polyexponential(&sigma, count - 1, schedule.f64("polyexponential_rho")?)?
        }
        "vp" => {
            let noise = SigmaOfTime::VariancePreserving {
                beta_d: schedule.f64_or("beta_d", 19.9)?,
                beta_min: schedule.f64_or("beta_min", 0.1)?,
            };
            let times = linspace(1.0, schedule.f64_or("eps_s", 1e-3)?, count);
            let sigmas: Vec<f64> = times.into_iter().map(|t| noise.sigma(t)).collect();
            TimeGrid::at_times(&sigma, &sigmas)?
        }
        other => bail!("no noise levels of kind {other}"),
    }
    .ending_clean())
}

/// The method of a case, and those of the recorded draws that it uses.
fn solver(case: &Case, grid: &TimeGrid) -> Result<(Box<dyn Solver<State>>, Replay)> {
    let options = case.options();
    let first = grid.start().level.sigma;
    let sigma = ScaledSigma::new(SigmaOfTime::Linear, Scaling::None, 0.1 * first, first)?;
    let rule = match case.sampler.name.as_str() {
        "sample_lms" => {
            let solver = LinearMultistep::new(options.usize_or("order", 4)?)?;
            return Ok((Box::new(solver), Replay::new([])));
        }
        "sample_euler" | "sample_euler_ancestral" => Rule::Euler,
        "sample_heun" => Rule::HEUN,
        "sample_dpm_2" | "sample_dpm_2_ancestral" => Rule::GeometricMidpoint,
        other => bail!("no sampler {other}"),
    };
    let solver = EdmSolver::new(InSigma(sigma), rule)?;
    let noise = options.f64_or("s_noise", 1.0)?;
    let (stochastic, draws) = if case.sampler.name.ends_with("_ancestral") {
        let ancestral = AncestralNoise { eta: options.f64_or("eta", 1.0)?, noise };
        (Stochastic::Ancestral(ancestral), renewed(case, ancestral))
    } else {
        let churn = Churn {
            amount: options.f64_or("s_churn", 0.0)?,
            sigma_min: options.f64_or("s_tmin", 0.0)?,
            sigma_max: options.f64_or("s_tmax", f64::INFINITY)?,
            noise,
        };
        (Stochastic::Churn(churn), churned(case, churn, grid))
    };
    Ok((Box::new(solver.with_noise(stochastic)?), draws))
}

/// The recorded draws, unless they are multiplied by 0 throughout.
fn renewed(case: &Case, ancestral: AncestralNoise) -> Replay {
    if ancestral.eta * ancestral.noise == 0.0 { Replay::new([]) } else { case.noise() }
}

/// A score function that remembers every call: the state, its level, and the data estimate.
struct Calls<F> {
    inner: F,
    seen: RefCell<Vec<(State, State)>>,
}

impl<F: ScoreFn<State>> Calls<F> {
    fn new(inner: F) -> Self {
        Self { inner, seen: RefCell::default() }
    }

    /// Calls so far.
    fn count(&self) -> usize {
        self.seen.borrow().len()
    }

    /// The state of a call, without its scaling: `x / alpha`.
    fn state(&self, call: usize) -> State {
        self.seen.borrow()[call].0.clone()
    }

    /// The data estimate of the last call.
    fn last_data(&self) -> Option<State> {
        self.seen.borrow().last().map(|(_, data)| data.clone())
    }
}

impl<F: ScoreFn<State>> ScoreFn<State> for Calls<F> {
    fn prediction(&self) -> Prediction {
        self.inner.prediction()
    }

    fn predict(&self, x: &State, at: Times<'_>) -> Result<State, ScoreError> {
        let output = self.inner.predict(x, at)?;
        let level = at.of(0).level;
        let (of_x, of_output) = self.inner.prediction().convert(Prediction::Data, level);
        let data = x * of_x + &output * of_output;
        self.seen.borrow_mut().push((x / level.alpha, data));
        Ok(output)
    }
}
