//! The variational bound: guided-diffusion's `training_losses` and `calc_bpd_loop`, Analytic-DPM's NELBO.

mod nelbo;

use anyhow::{Context, Result, bail};
use ndarray::{Array1, ArrayD, Axis, stack};
use tweedie_likelihood::{BoundTerms, StepTerm, VariationalBound};
use tweedie_losses::{
    Bins, BoundChain, BoundLoss, Decoder, Denoising, NoisedBatch, NormalCdf, Weighting,
};
use tweedie_schedules::{Prediction, TimeGrid, TimePoint, Variance};
use tweedie_score::{Learned, MapData, ReverseNoise, ScoreFn, Times};

use super::estimate::{Estimate, State};
use super::{guided, known_options, visited};
use crate::parity::{Case, Exact, Produced};

/// Runs a case.
pub(super) fn run(case: &Case) -> Result<Produced> {
    known_options::check(case)?;
    match case.sampler.name.as_str() {
        "training_losses" => training_losses(case),
        "calc_bpd_loop" => by_step(case),
        _ => nelbo::run(case),
    }
}

/// The peers' decoder of 8-bit values; its variance, where they have none of their own, is that of the step
/// before.
fn decoder() -> Decoder {
    Decoder { bins: Bins::default().with_cdf(NormalCdf::Tanh), variance: None }
}

/// The variance of guided-diffusion's reverse steps.
fn reverse_noise(case: &Case) -> Result<Box<dyn ReverseNoise>> {
    Ok(match case.options().str("model_var_type")? {
        "FIXED_SMALL" => Box::new(Variance::FixedSmall),
        "FIXED_LARGE" => Box::new(Variance::FixedLarge),
        "LEARNED" => Box::new(Learned::LogVariance),
        "LEARNED_RANGE" => Box::new(Learned::Range),
        other => bail!("no variance {other}"),
    })
}

fn tensor(values: Vec<f64>) -> ArrayD<f64> {
    Array1::from(values).into_dyn()
}

/// What the network says of a batch whose samples stand at a step each.
struct Answer {
    chain: BoundChain,
    points: Vec<TimePoint>,
    steps: Vec<usize>,
    prediction: Prediction,
    output: State,
    values: Option<State>,
}

fn training_losses(case: &Case) -> Result<Produced> {
    let (grid, exact) = (visited::chain(case)?, guided::exact(case)?);
    let answer = Answer::of(case, &grid, &exact)?;
    let count = grid.len() as f64;
    let kind = case.options().str_or("loss_type", "MSE")?;
    let produced = match kind {
        "KL" => Produced::new().tensor("loss", tensor(answer.bound(case, 1.0)?)),
        "RESCALED_KL" => Produced::new().tensor("loss", tensor(answer.bound(case, count)?)),
        "MSE" | "RESCALED_MSE" => {
            let simple = answer.simple(case)?;
            let learned = case.options().str("model_var_type")?.starts_with("LEARNED");
            let weight = if kind == "MSE" { 1.0 } else { count / 1000.0 };
            let produced = Produced::new().tensor("mse", tensor(simple.clone()));
            if learned {
                let bound = answer.bound(case, weight)?;
                let sum = simple.iter().zip(&bound).map(|(simple, bound)| simple + bound).collect();
                produced.tensor("vb", tensor(bound)).tensor("loss", tensor(sum))
            } else {
                produced.tensor("loss", tensor(simple))
            }
        }
        other => bail!("no loss {other}"),
    };
    Ok(produced.evaluations(exact.evaluations()))
}

/// Data and noise of a case.
fn pair(case: &Case) -> Result<(State, State)> {
    let eps = case.noises.first().context("no noise is recorded")?;
    Ok((case.inputs.tensor("x_start")?, eps.values.clone()))
}

impl Answer {
    fn of(case: &Case, grid: &TimeGrid, exact: &Exact<'_>) -> Result<Self> {
        let chain = BoundChain::new(grid, &*reverse_noise(case)?, decoder())?;
        let last = grid.len() - 1;
        let steps: Vec<_> =
            case.inputs.numbers("t")?.into_iter().map(|t| last - t as usize).collect();
        let points = chain.points(&steps);
        let score = guided::score(case, exact, grid)?;
        let (x0, eps) = pair(case)?;
        let times = Times::PerSample(&points);
        let x = times.combine(|at| (at.level.alpha, at.level.sigma), &x0, &eps)?;
        let (output, values) = score.predict_with_variance(&x, times)?;
        Ok(Self { chain, points, steps, prediction: score.prediction(), output, values })
    }

    /// The bound's part of the loss.
    fn bound(&self, case: &Case, weight: f64) -> Result<Vec<f64>> {
        let (x0, eps) = pair(case)?;
        let loss = BoundLoss::whole(self.chain.clone(), self.prediction).weighted(weight);
        let batch = NoisedBatch { x0: &x0, eps: &eps, steps: &self.steps };
        Ok(loss.losses(&batch, &self.output, self.values.as_ref())?)
    }

    /// `L_simple`, whose error is that of what the network returns.
    fn simple(&self, case: &Case) -> Result<Vec<f64>> {
        let ((x0, eps), table) = (pair(case)?, case.schedule.table()?);
        let plan = Denoising::new(self.prediction, Weighting::Own).plan(&self.points, &table)?;
        let of_mean = |step: &usize| self.chain.steps()[*step].of_data().powi(2);
        let plan = if guided::predicts_mean(case)? {
            plan.scaled(&self.steps.iter().map(of_mean).collect::<Vec<_>>())?
        } else {
            plan
        };
        Ok(plan.losses(&self.output, &x0, &eps))
    }
}

/// `calc_bpd_loop`: all terms of the bound, in bits per dimension.
fn by_step(case: &Case) -> Result<Produced> {
    let (grid, exact) = (visited::chain(case)?, guided::exact(case)?);
    let score = guided::score(case, &exact, &grid)?;
    let bound = VariationalBound::new(&grid, &*reverse_noise(case)?, decoder())?;
    let x0 = case.inputs.tensor("x_start")?;
    let evaluate = |score: &dyn ScoreFn<State>| bound.evaluate(&x0, score, &mut case.noise());
    let clip = Estimate::clip(case.options().bool_or("clip_denoised", true)?, 1.0);
    let clipped = MapData { inner: &*score, map: clip };
    // a predicted mean is not clipped, but the estimate whose error is reported is
    let terms = evaluate(if guided::predicts_mean(case)? { &*score } else { &clipped })?;
    let evaluations = exact.evaluations();
    let errors = evaluate(&clipped)?;
    let bits = |nats: &Vec<f64>| nats.iter().map(|nats| terms.bits_per_dimension(*nats)).collect();
    Ok(Produced::new()
        .tensor("total_bpd", tensor(bits(&terms.total())))
        .tensor("prior_bpd", tensor(bits(&terms.prior)))
        .tensor("vb", columns(&terms, |step| bits(&step.nats))?)
        .tensor("xstart_mse", columns(&errors, |step| step.data_error.clone())?)
        .tensor("mse", columns(&errors, |step| step.noise_error.clone())?)
        .evaluations(evaluations))
}

/// A column for each step, a row for each sample.
fn columns(terms: &BoundTerms, of: impl Fn(&StepTerm) -> Vec<f64>) -> Result<ArrayD<f64>> {
    stacked(1, terms.steps.iter().map(of))
}

/// Lists of one length side by side, along an axis of their own.
fn stacked(axis: usize, lists: impl Iterator<Item = Vec<f64>>) -> Result<ArrayD<f64>> {
    let lists: Vec<_> = lists.map(Array1::from).collect();
    let views: Vec<_> = lists.iter().map(|list| list.view()).collect();
    Ok(stack(Axis(axis), &views)?.into_dyn())
}
