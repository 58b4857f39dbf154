//! Probability-flow equations: scipy's and torchdiffeq's solvers, and the ODE sampler of `score_sde`.

use anyhow::{Result, bail, ensure};
use ndarray::ArrayD;
use tweedie_samplers::{ProbabilityFlow, RungeKutta, Stepping, Tableau};
use tweedie_schedules::{
    Edm, Interval, Prediction, SubVpLinear, TimePoint, Transition, VeGeometric, VpLinear,
};
use tweedie_score::{ScoreFn, Times};
use tweedie_sde::{Discretization, Euler, Sde, SongTable};

use crate::parity::{Case, Exact, Fields, Produced};

/// Runs a case.
pub(super) fn run(case: &Case) -> Result<Produced> {
    match case.peer_name() {
        "scipy" => solve_ivp(case),
        "torchdiffeq" => odeint(case),
        _ => ode_sampler(case),
    }
}

fn solve_ivp(case: &Case) -> Result<Produced> {
    let method = scipy_method(case.options(), "RK45", (1e-3, 1e-6))?;
    let (sde, model) = (sde(&case.schedule, 0.0)?, case.model()?);
    let flow = ProbabilityFlow::new(&*sde, method);
    let span = span(case)?;
    let mut slope = |t: f64, x: &ArrayD<f64>| flow.slope(&model, t, x);
    let y0 = case.inputs.tensor("y0")?;
    let run = method.integrate(&mut slope, span, y0.clone())?;
    let produced = Produced::new()
        .numbers("t", run.times)
        .tensor("y_end", run.state)
        .evaluations(run.counters.evaluations);
    if case.outputs.get("dense_t").is_none() {
        return Ok(produced);
    }
    // the peer's count is of the run above: an interpolant may take evaluations of its own
    let (_, dense) = method.integrate_dense(&mut slope, span, y0)?;
    let times = case.outputs.numbers("dense_t")?;
    let states: Vec<_> = times.iter().map(|t| dense.at(*t)).collect();
    let views: Vec<_> = states.iter().map(|state| state.view()).collect();
    let dense = ndarray::stack(ndarray::Axis(0), &views)?;
    Ok(produced.numbers("dense_t", times).tensor("dense_y", dense))
}

fn odeint(case: &Case) -> Result<Produced> {
    let options = case.options();
    let (rtol, atol) = (options.f64_or("rtol", 1e-7)?, options.f64_or("atol", 1e-9)?);
    let tableau = match options.str_or("method", "dopri5")? {
        "dopri5" => Tableau::DORMAND_PRINCE_SHAMPINE,
        "bosh3" => Tableau::BOGACKI_SHAMPINE_HALFWAY,
        other => bail!("no stepping of {other}"),
    };
    let method =
        RungeKutta::new(atol, rtol)?.with_tableau(tableau).with_stepping(Stepping::Torchdiffeq);
    let method = with_step_sizes(method, options)?;
    let (sde, model) = (sde(&case.schedule, 0.0)?, case.model()?);
    let flow = ProbabilityFlow::new(&*sde, method);
    let mut slope = |t: f64, x: &ArrayD<f64>| flow.slope(&model, t, x);
    let run = method.integrate(&mut slope, span(case)?, case.inputs.tensor("y0")?)?;
    Ok(Produced::new().tensor("y_end", run.state).evaluations(run.counters.evaluations))
}

fn ode_sampler(case: &Case) -> Result<Produced> {
    let options = case.options();
    let method = scipy_method(options, "RK45", (1e-5, 1e-5))?;
    let eps = options.f64_or("eps", 1e-3)?;
    let model = case.model()?;
    let sde = sde(&case.schedule, eps)?;
    let run = ProbabilityFlow::new(&*sde, method).sample(&model, case.start()?)?;
    let mut state = run.state;
    if options.bool_or("denoise", false)? {
        state = denoised(case, &model, state, eps)?;
    }
    Ok(Produced::new()
        .tensor("x_0", state)
        .numbers("ode_t", run.times)
        .number("ode_status", 0.0)
        .evaluations(run.counters.evaluations))
}

/// What `score_sde` does to denoise: the mean of one reverse-diffusion step of the chain at `eps`,
/// which is Tweedie's formula for that step alone.
fn denoised(case: &Case, model: &Exact<'_>, x: ArrayD<f64>, eps: f64) -> Result<ArrayD<f64>> {
    let sde = sde(&case.schedule, eps)?;
    let point = sde.point(eps);
    let Transition { scale, variance } = chain_step(&case.schedule, &*sde, point)?;
    let output = model.predict(&x, Times::Shared(point))?;
    let (of_x, of_output) = model.prediction().convert(Prediction::Score, point.level);
    Ok(x * (2.0 - scale + variance * of_x) + output * (variance * of_output))
}

/// The step at `at` of the chain of `N` steps that the SDE of a case stands for.
fn chain_step(schedule: &Fields, sde: &dyn Sde, at: TimePoint) -> Result<Transition> {
    let steps = schedule.usize_or("N", 1000)?;
    let step = Interval { from: at, to: at };
    Ok(match schedule.str("kind")? {
        "vp_linear" => {
            let (low, high) = (schedule.f64("beta_min")?, schedule.f64("beta_max")?);
            SongTable::variance_preserving(low, high, steps)?.transition(step)
        }
        "ve" => {
            let (low, high) = (schedule.f64("sigma_min")?, schedule.f64("sigma_max")?);
            SongTable::variance_exploding(low, high, steps)?.transition(step)
        }
        _ => Euler::new(sde).with_step(1.0 / steps as f64)?.transition(step),
    })
}

/// The SDE of a case, used from time `eps` on.
pub(super) fn sde(schedule: &Fields, eps: f64) -> Result<Box<dyn Sde>> {
    let last = schedule.f64_or("T", 1.0)?;
    let ends = |low, high| Ok::<_, anyhow::Error>((schedule.f64(low)?, schedule.f64(high)?));
    Ok(match schedule.str("kind")? {
        "vp_linear" => {
            let (low, high) = ends("beta_min", "beta_max")?;
            Box::new(VpLinear::new(low, high)?.with_time_range(eps, last)?)
        }
        "subvp_linear" => {
            let (low, high) = ends("beta_min", "beta_max")?;
            Box::new(SubVpLinear::new(low, high)?.with_time_range(eps, last)?)
        }
        "ve" => {
            let (low, high) = ends("sigma_min", "sigma_max")?;
            Box::new(VeGeometric::new(low, high)?.with_time_range(eps, last)?)
        }
        "edm" => {
            let (low, high) = ends("sigma_min", "sigma_max")?;
            Box::new(Edm::new(low, high)?)
        }
        other => bail!("no SDE of kind {other}"),
    })
}

/// A method of `solve_ivp` with its options.
pub(super) fn scipy_method(
    options: &Fields,
    default: &str,
    (rtol, atol): (f64, f64),
) -> Result<RungeKutta> {
    let tableau = match options.str_or("method", default)? {
        "RK45" => Tableau::DORMAND_PRINCE,
        "RK23" => Tableau::BOGACKI_SHAMPINE,
        "DOP853" => Tableau::DOP853,
        other => bail!("{other} is not an explicit Runge-Kutta method"),
    };
    let (rtol, atol) = (options.f64_or("rtol", rtol)?, options.f64_or("atol", atol)?);
    with_step_sizes(RungeKutta::new(atol, rtol)?.with_tableau(tableau), options)
}

fn with_step_sizes(mut method: RungeKutta, options: &Fields) -> Result<RungeKutta> {
    if options.get("first_step").is_some() {
        method = method.with_first_step(options.f64("first_step")?)?;
    }
    if options.get("max_step").is_some() {
        method = method.with_max_step(options.f64("max_step")?)?;
    }
    Ok(method)
}

fn span(case: &Case) -> Result<(f64, f64)> {
    let ends = case.inputs.numbers("t_span")?;
    ensure!(ends.len() == 2, "a span of {} times", ends.len());
    Ok((ends[0], ends[1]))
}
