//! The checkpoint of another program as the configuration of a run that would have made it.

use tweedie_checkpoints::{
    BetaShape, NetworkConventions, NetworkFamily, PublishedCheckpoint, TrainedNoise,
    TrainedPrediction, TrainedTime, TrainedVariance,
};
use tweedie_schedules::DiscreteTable;
use tweedie_unet::ArchitectureConfig;

use crate::config::{
    DataConfig, InputScalingKind, NetworkConfig, ObjectiveConfig, ObjectiveKind, PredictionKind,
    SampleConfig, ScheduleConfig, ScheduleKind, TimeInputKind, TrainingConfig, VarianceKind,
};
use crate::{ConfigError, RunConfig, TrainError};

/// Network, forward process and conventions of a checkpoint; all else has its default and says nothing.
pub(crate) fn described(
    checkpoint: &PublishedCheckpoint,
    conventions: &NetworkConventions,
) -> Result<RunConfig, TrainError> {
    let centered = conventions.data_range == tweedie_checkpoints::DataRange::Symmetric;
    let architecture = architecture(checkpoint)?;
    let is_classifier = matches!(architecture, ArchitectureConfig::AdmEncoder(_));
    let (mut training, mut samples) = (TrainingConfig::default(), SampleConfig::default());
    if architecture.classes().is_some() || is_classifier {
        // A table of classes need not have a row for no class.
        training.label_dropout = 0.0;
    }
    if is_classifier {
        samples.every = 0;
    }
    let config = RunConfig {
        data: DataConfig { centered, ..DataConfig::default() },
        network: NetworkConfig::Family(Box::new(architecture)),
        training,
        schedule: schedule(conventions)?,
        objective: objective(conventions, is_classifier)?,
        samples,
        ..RunConfig::default()
    };
    Ok(config.completed()?)
}

/// How the network is built.
pub(crate) fn architecture(
    checkpoint: &PublishedCheckpoint,
) -> Result<ArchitectureConfig, TrainError> {
    let family = match checkpoint.family() {
        NetworkFamily::UNet2DModel => "diffusers",
        NetworkFamily::Adm => "adm",
        NetworkFamily::AdmEncoder => "adm-encoder",
        NetworkFamily::ScoreSde => "score-sde",
        NetworkFamily::Ncsnv2 => "ncsnv2",
        other => return Err(TrainError::NoNetwork { family: format!("{other:?}") }),
    };
    let mut values = checkpoint.config().clone();
    values.insert("family".to_owned(), family.into());
    Ok(ArchitectureConfig::from_values(values)?)
}

fn schedule(conventions: &NetworkConventions) -> Result<ScheduleConfig, TrainError> {
    let mut config = ScheduleConfig::default();
    match &conventions.noise {
        TrainedNoise::Betas { shape, start, end, steps, zero_terminal_snr } => {
            config = chain(*shape, (*start, *end), *steps)?;
            config.zero_terminal_snr = *zero_terminal_snr;
        }
        TrainedNoise::Table { betas, zero_terminal_snr } => {
            config.kind = ScheduleKind::Betas;
            (config.steps, config.betas) = (betas.len(), betas.clone());
            config.zero_terminal_snr = *zero_terminal_snr;
        }
        TrainedNoise::Exploding { sigma_min, sigma_max, steps } => {
            (config.kind, config.steps) = (ScheduleKind::Ve, *steps);
            (config.sigma_min, config.sigma_max) = (Some(*sigma_min), Some(*sigma_max));
        }
        TrainedNoise::Edm { sigma_min, sigma_max, .. } => {
            config.kind = ScheduleKind::Edm;
            (config.sigma_min, config.sigma_max) = (Some(*sigma_min), Some(*sigma_max));
        }
        TrainedNoise::VariancePreserving { beta_min, beta_max, .. } => {
            config.kind = ScheduleKind::VpLinear;
            (config.beta_min, config.beta_max) = (Some(*beta_min), Some(*beta_max));
        }
        TrainedNoise::SubVariancePreserving { beta_min, beta_max, .. } => {
            config.kind = ScheduleKind::SubVp;
            (config.beta_min, config.beta_max) = (Some(*beta_min), Some(*beta_max));
        }
    }
    Ok(config)
}

/// A table of betas of this shape between these ends.
fn chain(
    shape: BetaShape,
    (beta_start, beta_end): (f64, f64),
    steps: usize,
) -> Result<ScheduleConfig, TrainError> {
    let config = ScheduleConfig { steps, ..ScheduleConfig::default() };
    let schedule = |source| ConfigError::Schedule { source };
    let table = match shape {
        BetaShape::Linear => {
            return Ok(ScheduleConfig {
                kind: ScheduleKind::Linear,
                beta_start,
                beta_end,
                ..config
            });
        }
        BetaShape::SquaredCosine => {
            return Ok(ScheduleConfig { kind: ScheduleKind::Cosine, ..config });
        }
        BetaShape::ScaledLinear => DiscreteTable::quadratic(steps, beta_start, beta_end),
        BetaShape::Sigmoid => DiscreteTable::sigmoid(steps, beta_start, beta_end),
        BetaShape::Laplace => DiscreteTable::laplace(steps),
    };
    let betas = table.map_err(schedule)?.betas();
    Ok(ScheduleConfig { kind: ScheduleKind::Betas, betas, ..config })
}

/// What a classifier is told of the time.
fn classifier(conventions: &NetworkConventions) -> Result<ObjectiveConfig, TrainError> {
    Ok(ObjectiveConfig {
        kind: ObjectiveKind::Classifier,
        prediction: None,
        loss: None,
        huber_delta: None,
        time_input: Some(time_input(conventions.time)?),
        input_scaling: Some(InputScalingKind::None),
        ..ObjectiveConfig::default()
    })
}

fn objective(
    conventions: &NetworkConventions,
    is_classifier: bool,
) -> Result<ObjectiveConfig, TrainError> {
    if is_classifier {
        return classifier(conventions);
    }
    let learned = match conventions.variance {
        Some(TrainedVariance::Learned) => Some(VarianceKind::LearnedValue),
        Some(TrainedVariance::LearnedRange) => Some(VarianceKind::LearnedRange),
        _ => None,
    };
    // which takes states of unit variance
    let (sigma_data, input_scaling) = match conventions.prediction {
        TrainedPrediction::Edm { sigma_data } => (Some(sigma_data), InputScalingKind::UnitVariance),
        _ => (None, InputScalingKind::None),
    };
    Ok(ObjectiveConfig {
        kind: if learned.is_some() { ObjectiveKind::Hybrid } else { ObjectiveKind::Denoising },
        variance: learned,
        prediction: Some(match conventions.prediction {
            TrainedPrediction::Noise => PredictionKind::Noise,
            TrainedPrediction::Data => PredictionKind::Data,
            TrainedPrediction::Velocity => PredictionKind::Velocity,
            TrainedPrediction::Score => PredictionKind::Score,
            TrainedPrediction::Edm { .. } => PredictionKind::Edm,
        }),
        sigma_data,
        time_input: Some(time_input(conventions.time)?),
        input_scaling: Some(input_scaling),
        ..ObjectiveConfig::default()
    })
}

fn time_input(time: TrainedTime) -> Result<TimeInputKind, TrainError> {
    let near = |a: f64, b: f64| (a - b).abs() < 1e-9 * b;
    Ok(match time {
        TrainedTime::Index { scale: 1.0, .. } => TimeInputKind::Index,
        TrainedTime::Index { steps, scale } if near(scale * steps as f64, 1000.0) => {
            TimeInputKind::RescaledIndex
        }
        TrainedTime::DescendingIndex { .. } => TimeInputKind::DescendingIndex,
        TrainedTime::Time { scale } if near(scale, 999.0) => TimeInputKind::Time,
        TrainedTime::Sigma => TimeInputKind::Sigma,
        TrainedTime::QuarterLogSigma => TimeInputKind::QuarterLogSigma,
        other => return Err(TrainError::NoTimeInput { time: format!("{other:?}") }),
    })
}
