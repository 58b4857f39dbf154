//! Ancestral sampling: diffusers' `DDPMScheduler`, guided-diffusion's `p_sample` and its parts.

use anyhow::{Context, Result, bail, ensure};
use ndarray::Axis;
use tweedie_guidance::MeanGuided;
use tweedie_samplers::{
    Ancestral, Deviation, Learned, LearnedAncestral, OneStep, Predictor, ReverseNoise, Solver,
    StepCoefficients, Variance,
};
use tweedie_schedules::{Interval, TimeGrid, TimePoint};
use tweedie_score::{DataMap, Times};

use super::conditions::Pull;
use super::estimate::{self, Estimate, Remembered, State};
use super::guided::{self, WithVariance, step_from};
use super::{known_options, visited};
use crate::parity::{Case, Produced};

/// Runs a case.
pub(super) fn run(case: &Case) -> Result<Produced> {
    match case.sampler.name.as_str() {
        "DDPMScheduler" => diffusers(case),
        "p_sample_loop" => p_sample(case),
        "p_mean_variance" => p_mean_variance(case),
        other => bail!("no ancestral sampler {other}"),
    }
}

/// The least variance that diffusers takes the logarithm of.
const FLOOR: f64 = 1e-20;

/// Diffusers adds noise in each step that does not start at entry 0, be it the last.
struct NoisyToTheEnd(Variance);

impl Predictor for NoisyToTheEnd {
    fn coefficients(&self, interval: Interval) -> StepCoefficients {
        let noise = self.0.of(interval).max(FLOOR).sqrt();
        StepCoefficients { noise, ..Ancestral { variance: self.0 }.coefficients(interval) }
    }
}

fn diffusers(case: &Case) -> Result<Produced> {
    let visited = visited::by_diffusers(case)?;
    let grid = visited::down_to_the_data(&case.schedule.table()?, &visited)?;
    let noisy_end = visited.last().is_some_and(|index| *index > 0);
    let fixed = |variance| -> Box<dyn Solver<State>> {
        if noisy_end {
            Box::new(OneStep(NoisyToTheEnd(variance)))
        } else {
            Box::new(OneStep(Ancestral { variance }))
        }
    };
    let learned = |learned| -> Box<dyn Solver<State>> {
        Box::new(LearnedAncestral { learned, clean_floor: noisy_end.then_some(FLOOR) })
    };
    let solver = match case.options().str_or("variance_type", "fixed_small")? {
        "fixed_small" | "fixed_small_log" => fixed(Variance::FixedSmall),
        "fixed_large" | "fixed_large_log" => fixed(Variance::FixedLarge),
        "learned" => learned(Learned::Variance),
        "learned_range" => learned(Learned::Range),
        other => bail!("no variance {other}"),
    };
    let model = case.model()?;
    let seen = Remembered::new(Estimate::of_diffusers(case)?);
    let produced =
        estimate::run_mapped(case, &*solver, &grid, &WithVariance::of(case, &model)?, &seen)?;
    Ok(produced.evaluations(model.evaluations()))
}

/// The noise of guided-diffusion: what the last step would add it draws times 0, but the mean is
/// shifted by it.
struct ChainNoise<'a> {
    kind: &'a str,
    chain: &'a TimeGrid,
}

impl<'a> ChainNoise<'a> {
    fn of(case: &'a Case, chain: &'a TimeGrid) -> Result<Self> {
        let kind = case.options().str("model_var_type")?;
        let known = ["LEARNED", "LEARNED_RANGE", "FIXED_LARGE", "FIXED_SMALL"];
        ensure!(known.contains(&kind), "no variance {kind}");
        Ok(Self { kind, chain })
    }

    /// The small variance of the last step, which ends clean, is that of the step before.
    fn last_small(&self) -> f64 {
        let steps = self.chain.intervals();
        Variance::FixedSmall.of(steps[steps.len().saturating_sub(2)])
    }
}

impl ReverseNoise for ChainNoise<'_> {
    fn deviation(&self, interval: Interval) -> Option<Deviation> {
        let learned = |learned| LearnedAncestral { learned, clean_floor: Some(self.last_small()) };
        match self.kind {
            "LEARNED" => learned(Learned::LogVariance).deviation(interval),
            "LEARNED_RANGE" => learned(Learned::Range).deviation(interval),
            "FIXED_LARGE" if interval.to == visited::CLEAN => {
                Some(Deviation::Fixed(self.last_small().sqrt()))
            }
            "FIXED_LARGE" => Ancestral { variance: Variance::FixedLarge }.deviation(interval),
            _ => Ancestral { variance: Variance::FixedSmall }.deviation(interval),
        }
    }
}

fn p_sample(case: &Case) -> Result<Produced> {
    let options = case.options();
    let (chain, exact) = (visited::chain(case)?, guided::exact(case)?);
    let kind = options.str("model_var_type")?;
    let learned = |learned| LearnedAncestral { learned, clean_floor: None };
    let conditioned = guided::has_condition(case)?;
    let solver: Box<dyn Solver<State> + '_> = match kind {
        _ if conditioned => {
            let ancestral = ChainNoise::of(case, &chain)?;
            Box::new(MeanGuided::new(ancestral, Pull::of(case)?, 1.0)?)
        }
        "FIXED_SMALL" => Box::new(OneStep(Ancestral { variance: Variance::FixedSmall })),
        "FIXED_LARGE" => Box::new(OneStep(Ancestral { variance: Variance::FixedLarge })),
        "LEARNED" => Box::new(learned(Learned::LogVariance)),
        "LEARNED_RANGE" => Box::new(learned(Learned::Range)),
        other => bail!("no variance {other}"),
    };
    let mut case = case.clone();
    if let Some(last) = case.noises.last_mut() {
        last.values.fill(0.0); // drawn, and multiplied by 0
    }
    let score = guided::score(&case, &exact, &chain)?;
    let seen = Remembered::new(Estimate::clip(options.bool_or("clip_denoised", true)?, 1.0));
    let produced = if guided::predicts_mean(&case)? {
        estimate::run_watched(&case, &*solver, &chain, &*score, &seen)? // the mean is not clipped
    } else {
        estimate::run_mapped(&case, &*solver, &chain, &*score, &seen)?
    };
    Ok(produced.evaluations(exact.evaluations()))
}

/// Mean and variance of single steps, one an item.
fn p_mean_variance(case: &Case) -> Result<Produced> {
    known_options::check(case)?;
    let (chain, exact) = (visited::chain(case)?, guided::exact(case)?);
    let inner = guided::score(case, &exact, &chain)?;
    let x = case.inputs.tensor("x")?;
    let nodes: Vec<TimePoint> = chain.intervals().iter().rev().map(|step| step.from).collect();
    let at: Vec<TimePoint> =
        case.inputs.numbers("t")?.into_iter().map(|t| nodes[t as usize]).collect();
    let times = Times::PerSample(&at);

    let raw = inner.predict_data(&x, times)?;
    let clip = Estimate::clip(case.options().bool_or("clip_denoised", true)?, 1.0);
    let data = clip.map(raw.clone(), times)?;
    let mean = |point| {
        let StepCoefficients { x, data, .. } =
            Ancestral::default().coefficients(step_from(&chain, point));
        (x, data)
    };
    // a predicted mean is not clipped
    let mean = times.combine(mean, &x, if guided::predicts_mean(case)? { &raw } else { &data })?;
    let (_, values) = inner.predict_with_variance(&x, times)?;
    let values = values.context("the model says nothing of its variance")?;
    let (variance, log_variance) = variances(&ChainNoise::of(case, &chain)?, &values, &at);
    Ok(Produced::new()
        .tensor("mean", mean)
        .tensor("pred_xstart", data)
        .tensor("variance", variance)
        .tensor("log_variance", log_variance))
}

/// Variance and log variance of the step that each item takes, of which the network says `values`.
fn variances(noise: &ChainNoise<'_>, values: &State, at: &[TimePoint]) -> (State, State) {
    let (mut variance, mut log_variance) = (values.clone(), values.clone());
    for (index, point) in at.iter().enumerate() {
        let deviation = noise.deviation(step_from(noise.chain, *point));
        // the last step adds no noise, but the peer gives a logarithm for it, too
        let of = |value: f64| match deviation.map(|deviation| deviation.log_variance(value)) {
            Some(log) => (log.exp(), log),
            None => (0.0, noise.last_small().ln()),
        };
        variance.index_axis_mut(Axis(0), index).mapv_inplace(|value| of(value).0);
        log_variance.index_axis_mut(Axis(0), index).mapv_inplace(|value| of(value).1);
    }
    (variance, log_variance)
}
