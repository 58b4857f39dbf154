//! Keys that only some configurations take, and values that do not go together.
//!
//! What a configuration takes and was not given is filled in, so that the configuration a run keeps
//! says all that the run computes; what has no effect is refused, since somebody meant something by it.

use super::objective::MIN_SNR_GAMMA;
use super::{
    DistanceKind, InputScalingKind, ObjectiveConfig, ObjectiveKind, PredictionKind, ProjectionKind,
    ReductionKind, ScheduleKind, TimeInputKind, TimeSampling, VarianceKind, WeightingKind,
    classifier,
};
use crate::{ConfigError, RunConfig, RunSchedule};
use tweedie_schedules::NoiseSchedule;

/// Deviation of the data that EDM's scalings were published with.
pub(super) const SIGMA_DATA: f64 = 0.5; // Karras et al. 2022, table 1
/// Mean and deviation of `ln sigma` in training.
const LOG_NORMAL: (f64, f64) = (-1.2, 1.2); // Karras et al. 2022, table 1
/// Share of the variational bound in the hybrid loss.
const HYBRID_WEIGHT: f64 = 0.001; // Nichol and Dhariwal 2021, sec. 3.1

/// Fills in and refuses.
pub(super) fn complete(config: &mut RunConfig) -> Result<(), ConfigError> {
    classifier::complete(config)?;
    config.schedule.complete()?;
    complete_scaling(config)?;
    complete_objective(&mut config.objective)?;
    complete_times(config)?;
    check_bound(config)
}

/// A key that is taken where `taken` says so.
fn key<T: serde::Serialize>(
    key: &'static str,
    value: &mut Option<T>,
    taken: bool,
    default: T,
    where_taken: &str,
) -> Result<(), ConfigError> {
    match (taken, &value) {
        (true, None) => *value = Some(default),
        (false, Some(given)) => {
            let value =
                toml::Value::try_from(given).map_or_else(|_| String::new(), |v| v.to_string());
            return unfit(key, &value, &format!("no such key, or {where_taken}"));
        }
        _ => {}
    }
    Ok(())
}

fn unfit(key: &'static str, value: &str, allowed: &str) -> Result<(), ConfigError> {
    Err(ConfigError::Unfit { key, value: value.to_owned(), allowed: allowed.to_owned() })
}

fn complete_scaling(config: &mut RunConfig) -> Result<(), ConfigError> {
    let suited = (config.suited_scaling(), TimeInputKind::suited_to(config.schedule.kind));
    let objective = &mut config.objective;
    let scaling = *objective.input_scaling.get_or_insert(suited.0);
    objective.time_input.get_or_insert(suited.1).check(config.schedule.kind)?;
    let of_edm = objective.weighting == Some(WeightingKind::Edm)
        || objective.prediction == Some(PredictionKind::Edm);
    let taken = scaling == InputScalingKind::UnitVariance || of_edm;
    let where_taken = "objective.prediction or objective.weighting = \"edm\", or \
                       objective.input_scaling = \"unit_variance\"";
    key("objective.sigma_data", &mut config.objective.sigma_data, taken, SIGMA_DATA, where_taken)
}

fn complete_objective(objective: &mut ObjectiveConfig) -> Result<(), ConfigError> {
    let kind = objective.kind;
    let plain = kind == ObjectiveKind::Denoising;
    if let (false, Some(loss @ (DistanceKind::L1 | DistanceKind::Huber))) = (plain, objective.loss)
    {
        let value = if loss == DistanceKind::L1 { "\"l1\"" } else { "\"huber\"" };
        return unfit("objective.loss", value, "\"mse\", or objective.kind = \"denoising\"");
    }
    let weighted = plain || kind.matches_scores();
    let of_weighted = "objective.kind = \"denoising\", \"implicit\", \"sliced\" or \"sliced_vr\"";
    let weighting = if plain { WeightingKind::Own } else { WeightingKind::Sigma };
    key("objective.weighting", &mut objective.weighting, weighted, weighting, of_weighted)?;
    let min_snr = objective.weighting == Some(WeightingKind::MinSnr);
    let gamma = &mut objective.min_snr_gamma;
    let of_gamma = "objective.weighting = \"min_snr\"";
    key("objective.min_snr_gamma", gamma, min_snr, MIN_SNR_GAMMA, of_gamma)?;
    let reduction = &mut objective.reduction;
    key("objective.reduction", reduction, weighted, ReductionKind::Mean, of_weighted)?;
    let (bound, of_bound) = (kind.is_of_bound(), "objective.kind = \"hybrid\" or \"vlb\"");
    let variance = &mut objective.variance;
    key("objective.variance", variance, bound, VarianceKind::LearnedRange, of_bound)?;
    let weight = if kind == ObjectiveKind::Hybrid { HYBRID_WEIGHT } else { 1.0 };
    key("objective.vlb_weight", &mut objective.vlb_weight, bound, weight, of_bound)?;
    let sliced = matches!(kind, ObjectiveKind::Sliced | ObjectiveKind::SlicedVr);
    let of_sliced = "objective.kind = \"sliced\" or \"sliced_vr\"";
    key("objective.projections", &mut objective.projections, sliced, 1, of_sliced)?;
    let projection = &mut objective.projection;
    key("objective.projection", projection, sliced, ProjectionKind::Rademacher, of_sliced)
}

fn complete_times(config: &mut RunConfig) -> Result<(), ConfigError> {
    let discrete = config.schedule.kind.is_discrete();
    let training = &mut config.training;
    let sampling = training.time_sampling;
    let normal = sampling == TimeSampling::LogNormal;
    let (mean, deviation) = LOG_NORMAL;
    let of_normal = "training.time_sampling = \"log_normal\"";
    let given = &mut training.log_normal_mean;
    key("training.log_normal_mean", given, normal, mean, of_normal)?;
    let given = &mut training.log_normal_deviation;
    key("training.log_normal_deviation", given, normal, deviation, of_normal)?;
    let unfit = |value, allowed| unfit("training.time_sampling", value, allowed);
    match sampling {
        TimeSampling::Uniform | TimeSampling::Stratified => Ok(()),
        TimeSampling::LossSecondMoment if !discrete => unfit(
            "\"loss_second_moment\"",
            "another, or a schedule.kind with steps whose losses can be remembered: \"linear\", \
             \"cosine\" or \"betas\"",
        ),
        TimeSampling::Importance if discrete => unfit(
            "\"importance\"",
            "\"uniform\", \"stratified\" or \"loss_second_moment\" with a table",
        ),
        TimeSampling::LogNormal if discrete => unfit(
            "\"log_normal\"",
            "\"uniform\", \"stratified\" or \"loss_second_moment\" with a table",
        ),
        _ => Ok(()),
    }
}

/// The bound is that of a chain of steps down to the data's own levels.
fn check_bound(config: &RunConfig) -> Result<(), ConfigError> {
    let ObjectiveConfig { kind, variance, .. } = config.objective;
    if !kind.is_of_bound() {
        return Ok(());
    }
    let hybrid = kind == ObjectiveKind::Hybrid;
    if !config.schedule.kind.is_discrete() {
        let value = if hybrid { "\"hybrid\"" } else { "\"vlb\"" };
        let allowed = "another, or a schedule.kind with steps: \"linear\", \"cosine\" or \"betas\"";
        return unfit("objective.kind", value, allowed);
    }
    if hybrid && variance.is_some_and(|variance| variance.learned().is_none()) {
        let allowed = "\"learned_range\", \"learned\" or \"learned_value\" with objective.kind = \
                       \"hybrid\", in which the bound teaches the variance alone";
        let small = variance == Some(VarianceKind::FixedSmall);
        return unfit(
            "objective.variance",
            if small { "\"fixed_small\"" } else { "\"fixed_large\"" },
            allowed,
        );
    }
    if !config.data.centered {
        let allowed =
            "true with objective.kind = \"hybrid\" or \"vlb\", whose levels go from -1 to 1";
        return unfit("data.centered", "false", allowed);
    }
    if config.data.dequantize {
        let allowed = "false with objective.kind = \"hybrid\" or \"vlb\", whose last step tells the \
                       level of each value";
        return unfit("data.dequantize", "true", allowed);
    }
    Ok(())
}

/// The levels of the schedule are those that training can tell apart, and times are drawn among them.
pub(super) fn check_levels(config: &RunConfig, schedule: &RunSchedule) -> Result<(), ConfigError> {
    let (clean, noisy) = schedule.time_range();
    let [clean, noisy] = [clean, noisy].map(|t| schedule.level(t));
    if let Some(beta_max) = config.schedule.beta_max
        && noisy.alpha < f64::MIN_POSITIVE
    {
        let allowed =
            "less: alpha at time 1, exp(-(beta_min + beta_max) / 4), is no number above 0";
        return unfit("schedule.beta_max", &beta_max.to_string(), allowed);
    }
    let Some(mean) = config.training.log_normal_mean else { return Ok(()) };
    let (low, high) = (-clean.lambda(), -noisy.lambda());
    if (low..=high).contains(&mean) {
        return Ok(());
    }
    let allowed = format!("a value in [{low:.3}, {high:.3}], between the ends of [schedule]");
    unfit("training.log_normal_mean", &mean.to_string(), &allowed)
}

impl RunConfig {
    /// How states are scaled before the network takes them, where it is not said.
    pub(super) fn suited_scaling(&self) -> InputScalingKind {
        let explodes = matches!(self.schedule.kind, ScheduleKind::Ve | ScheduleKind::Edm);
        match explodes || self.objective.prediction == Some(PredictionKind::Edm) {
            true => InputScalingKind::UnitVariance,
            false => InputScalingKind::None,
        }
    }
}
