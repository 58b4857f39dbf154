//! Likelihoods by the probability flow: `score_sde_pytorch` and k-diffusion.

use anyhow::{Result, bail, ensure};
use ndarray::{Array1, ArrayD};
use tweedie_likelihood::{DataScaling, Divergence, FlowLikelihood, FlowRun, ProbeKind};
use tweedie_samplers::{ErrorOver, RungeKutta, Stepping, Tableau};
use tweedie_schedules::{Prediction, TimePoint};
use tweedie_score::{DifferentiableScoreFn, Replay, ScoreError, ScoreFn, Times};

use super::ode::{scipy_method, sde};
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
    let sde = sde(&case.schedule, eps)?;
    let likelihood =
        FlowLikelihood::new(&*sde, method).with_divergence(Divergence::Probes { count: 1, kind });
    let rounded = Rounded(model);
    let score: &dyn DifferentiableScoreFn<State> =
        if case.dtype == "mixed" { &rounded } else { model };
    Ok(likelihood.run(score, case.inputs.tensor("x")?, &mut probes(case))?)
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

/// What undoes the scaling of 8-bit data to the model's: the peer's `7 - inverse_scaler(-1)` is the offset
/// of data scaled to `[0, 1]` or to `[-1, 1]`.
fn scaling(inverse: &str) -> Result<DataScaling> {
    match inverse.replace(' ', "").as_str() {
        "identity" | "x" => Ok(DataScaling::new(256, (0.0, 1.0))?),
        "(x+1)/2" | "(x+1.)/2." | "(x+1.0)/2.0" | "centered" => Ok(DataScaling::BYTES),
        other => bail!("no inverse scaler {other}"),
    }
}

/// A model that is shown and gives single precision, while the solver works in double.
struct Rounded<'a>(&'a Exact<'a>);

fn rounded(x: &State) -> State {
    x.mapv(|value| f64::from(value as f32))
}

impl ScoreFn<State> for Rounded<'_> {
    fn prediction(&self) -> Prediction {
        self.0.prediction()
    }

    fn predict(&self, x: &State, at: Times<'_>) -> Result<State, ScoreError> {
        Ok(rounded(&self.0.predict(&rounded(x), at)?))
    }
}

impl DifferentiableScoreFn<State> for Rounded<'_> {
    fn predict_vjp(
        &self,
        x: &State,
        at: TimePoint,
        cotangent: &State,
    ) -> Result<(State, State), ScoreError> {
        let (output, product) = self.0.predict_vjp(&rounded(x), at, cotangent)?;
        Ok((rounded(&output), rounded(&product)))
    }
}
