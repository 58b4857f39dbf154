//! Likelihoods by the probability flow: `score_sde_pytorch` and k-diffusion.

use anyhow::{Context, Result, bail, ensure};
use ndarray::{Array1, ArrayD, ArrayViewD, Axis};
use tweedie_likelihood::{
    DataScaling, Divergence, FlowLikelihood, FlowRun, ProbeKind, WithLogDensity,
};
use tweedie_samplers::{ErrorOver, ProbabilityFlow, RungeKutta, Stepping, Tableau};
use tweedie_score::{Batch, DifferentiableScoreFn, Replay};
use tweedie_sde::Sde;

use super::ode::{scipy_method, sde};
use crate::parity::formula::Formula;
use crate::parity::{Case, Exact, Produced};

type State = ArrayD<f64>;

/// Runs a case.
pub(super) fn run(case: &Case) -> Result<Produced> {
    match case.sampler.name.as_str() {
        "likelihood" => likelihood_fn(case),
        "log_likelihood" => log_likelihood(case),
        other => bail!("no likelihood {other} is mapped"),
    }
}

/// `get_likelihood_fn` of `score_sde_pytorch`.
fn likelihood_fn(case: &Case) -> Result<Produced> {
    let options = case.options();
    let kind = match options.str_or("hutchinson_type", "Rademacher")? {
        "Rademacher" => ProbeKind::Rademacher,
        "Gaussian" => ProbeKind::Gaussian,
        other => bail!("no probes of type {other}"),
    };
    let method = scipy_method(options, "RK45", (1e-5, 1e-5))?;
    let model = case.model()?;
    let run = flow(case, method, options.f64_or("eps", 1e-5)?, kind, &model)?;
    let scaling = scaling(options.str_or("inverse_scaler", "identity")?)?;
    let dimensions = case.mixture()?.dim;
    let log_density = run.log_density();
    let bits = log_density.iter().map(|log| scaling.bits_per_dimension(*log, dimensions));
    Ok(Produced::new()
        .tensor("bpd", bits.collect::<Array1<f64>>().into_dyn())
        .tensor("prior_logp_z", Array1::from(run.terminal).into_dyn())
        .tensor("z", run.latent)
        .numbers("ode_t", run.times)
        .evaluations(run.counters.evaluations))
}

/// `log_likelihood` of k-diffusion.
fn log_likelihood(case: &Case) -> Result<Produced> {
    let options = case.options();
    let name = options.str_or("method", "dopri5")?;
    ensure!(name.starts_with("dopri5"), "no stepping of {name}");
    let (rtol, atol) = (options.f64_or("rtol", 1e-4)?, options.f64_or("atol", 1e-4)?);
    let method = RungeKutta::new(atol, rtol)?
        .with_tableau(Tableau::DORMAND_PRINCE_SHAMPINE)
        .with_stepping(Stepping::Torchdiffeq)
        .with_error_over(ErrorOver::WorstPart);
    let mut case = case.clone();
    case.schedule.0.insert("kind".to_owned(), "edm".into()); // its time is sigma
    let lower = case.schedule.f64("sigma_min")?;
    let run = flow(&case, method, lower, ProbeKind::Rademacher, &case.model()?)?;
    Ok(Produced::new()
        .tensor("logp", Array1::from(run.log_density()).into_dyn())
        .evaluations(run.counters.evaluations))
}

/// The likelihood of the data of a case from time `eps` on.
fn flow(
    case: &Case,
    method: RungeKutta,
    eps: f64,
    kind: ProbeKind,
    model: &Exact<'_>,
) -> Result<FlowRun<State>> {
    let (sde, x) = (sde(&case.schedule, eps)?, case.inputs.tensor("x")?);
    if case.dtype == "mixed" {
        let probe = kind.draw(&x, &mut probes(case))?;
        return flow_in_single(&*sde, method, &x, &probe, model);
    }
    let likelihood =
        FlowLikelihood::new(&*sde, method).with_divergence(Divergence::Probes { count: 1, kind });
    Ok(likelihood.run(model, x, &mut probes(case))?)
}

/// The recorded probes; of signs the peers draw bits.
fn probes(case: &Case) -> Replay {
    let sign = |bits: bool, value: f64| if bits { 2.0 * value - 1.0 } else { value };
    Replay::new(
        case.noises.iter().map(|draw| {
            draw.values.iter().map(|value| sign(draw.op == "randint", *value)).collect()
        }),
    )
}

/// What undoes the scaling of 8-bit data to the model's. The peer adds `7 - inverse_scaler(-1)` bits, which is
/// the offset of data scaled to `[0, 1]` or to `[-1, 1]`, and of no others.
fn scaling(inverse: &str) -> Result<DataScaling> {
    let expression = match inverse {
        "identity" | "none" => "x",
        "centered" => "(x + 1) / 2",
        other => other,
    };
    // perhaps written as a Python function
    let body = expression.split_once(':').map_or(expression, |(_, body)| body);
    let value = Formula::value_at(body, -1.0);
    match value.with_context(|| format!("no inverse scaler {inverse}"))? {
        -1.0 => Ok(DataScaling::new(256, (0.0, 1.0))?),
        0.0 => Ok(DataScaling::BYTES),
        value => bail!("{inverse} takes -1 to {value}, expected -1 or 0"),
    }
}

/// The peer as it is when nobody redirects its casts: the solver works in double precision, but what it
/// shows the model, and the gradient and divergence that come back, pass through single precision.
///
/// The casts stand between the terms of the drift and within the sum of the divergence, where no wrapper of
/// the model reaches, so slope and divergence are written out here. What such a case exercises of the
/// library is the integration of a state with its log density, the flow's coefficients, the model's products and
/// the prior; [`FlowLikelihood`] itself is held to the peer by the cases in double precision alone.
fn flow_in_single(
    sde: &dyn Sde,
    method: RungeKutta,
    x: &State,
    probe: &State,
    model: &Exact<'_>,
) -> Result<FlowRun<State>> {
    let flow = ProbabilityFlow::new(sde, method);
    let mut slope = |t: f64, state: &WithLogDensity<State>| {
        let x = single(&state.x);
        let coefficients = flow.coefficients(model, t)?;
        let (output, product) = model.predict_vjp(&x, sde.point(t), probe)?;
        // the two ways from the drift to the state add up in the precision of the state
        let (direct, through) = (probe * coefficients.x, product * coefficients.output);
        let gradient = single(&(single(&direct) + single(&through)));
        let pairs = gradient.outer_iter().zip(probe.outer_iter());
        let log_density = pairs.map(|(gradient, probe)| sum_in_single(&gradient, &probe)).collect();
        Ok(WithLogDensity { x: coefficients.slope(&x, &output), log_density })
    };
    let start = WithLogDensity { x: single(x), log_density: vec![0.0; x.len_of(Axis(0))] };
    let run = method.integrate(&mut slope, sde.time_range(), start)?;
    let WithLogDensity { x: latent, log_density: integral } = run.state;
    let prior = |square: f64| sde.prior_log_density(square, latent.item_len());
    let terminal = latent.dot_each(&latent).into_iter().map(prior).collect();
    let (times, counters) = (run.times, run.counters);
    Ok(FlowRun { latent, terminal, integral, times, counters, backward_passes: 1 })
}

fn single(x: &State) -> State {
    x.mapv(|value| f64::from(value as f32))
}

/// The inner product in single precision, in the order in which libtorch sums a short row: the values
/// beyond the last whole eight first, then the sums of every eighth value.
fn sum_in_single(gradient: &ArrayViewD<'_, f64>, probe: &ArrayViewD<'_, f64>) -> f64 {
    let products: Vec<f32> =
        gradient.iter().zip(probe).map(|(a, b)| *a as f32 * *b as f32).collect();
    let eights = products.chunks_exact(8);
    let rest = eights.remainder().iter().fold(0.0_f32, |sum, value| sum + value);
    let lanes = eights.fold([0.0_f32; 8], |mut lanes, eight| {
        lanes.iter_mut().zip(eight).for_each(|(lane, value)| *lane += value);
        lanes
    });
    f64::from(lanes.iter().fold(rest, |sum, lane| sum + lane))
}
