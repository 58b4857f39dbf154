//! What a model is, fact by fact.

use serde_json::{Value, json};
use tweedie_training::{
    Classifier, DataRange, InputScalingKind, Model, NetworkConfig, Origin, RunConfig,
    ScheduleConfig, ScheduleKind, TimeInputKind,
};
use tweedie_unet::UNet;

/// Names and values, in the order in which they are read.
pub(super) type Facts = Vec<(&'static str, Value)>;

/// What stands around a network.
#[derive(Clone, Copy)]
pub(super) enum Shown<'a> {
    /// It draws images.
    Model(&'a Model),
    /// It tells classes of noisy images.
    Classifier(&'a Classifier),
    /// Nothing, for a reason.
    Network { why: &'a str },
}

impl Shown<'_> {
    /// Channels, height and width of the images, where they are known.
    pub(super) fn shape(self) -> Option<[usize; 3]> {
        match self {
            Self::Model(model) => Some(model.images().shape),
            Self::Classifier(classifier) => Some(classifier.shape()),
            Self::Network { .. } => None,
        }
    }
}

/// The facts of a network, and of what it is part of.
pub(super) fn facts(network: &UNet, shown: Shown<'_>) -> Facts {
    let config = network.config();
    let count = network.parameters().element_count();
    let mut facts: Facts = vec![
        ("family", config.family_name().into()),
        ("parameters", count.into()),
        ("bytes", (4 * count).into()),
        ("channels", json!([config.in_channels(), config.out_channels()])),
    ];
    facts.extend(match shown {
        Shown::Model(model) => of_model(model),
        Shown::Classifier(classifier) => of_classifier(classifier),
        Shown::Network { why } => vec![("noise", Value::Null), ("network alone", why.into())],
    });
    facts
}

fn of_classifier(classifier: &Classifier) -> Facts {
    let config = classifier.description();
    vec![
        ("image", json!(classifier.shape())),
        ("range", range(config.data_range()).into()),
        ("tells classes", classifier.classes().into()),
        ("noise", noise(&config.schedule).into()),
        ("told", told(config).into()),
        ("input", input(config).into()),
    ]
}

fn of_model(model: &Model) -> Facts {
    let (images, config) = (model.images(), model.description());
    let source = match model.origin() {
        Origin::Run { step, .. } => format!("a run, step {step}"),
        Origin::Published { source, .. } => (*source).to_owned(),
        _ => "unknown".to_owned(),
    };
    vec![
        ("source", source.into()),
        ("image", json!(images.shape)),
        ("range", range(model.data_range()).into()),
        ("classes", json!(images.classes)),
        ("null class", images.null_class.into()),
        ("noise", noise(&config.schedule).into()),
        ("predicts", predicts(config).into()),
        ("learned variance", config.learned_variance().is_some().into()),
        ("told", told(config).into()),
        ("input", input(config).into()),
        ("conditional", conditional(&config.network).into()),
    ]
}

fn predicts(config: &RunConfig) -> String {
    config.objective.prediction.map_or_else(String::new, |kind| format!("{kind:?}").to_lowercase())
}

fn range(range: DataRange) -> &'static str {
    match range {
        DataRange::Symmetric => "-1 to 1",
        DataRange::Unit => "0 to 1",
    }
}

fn conditional(network: &NetworkConfig) -> bool {
    network.is_class_conditional()
}

/// The forward process in words.
fn noise(schedule: &ScheduleConfig) -> String {
    let ScheduleConfig { steps, beta_start, beta_end, .. } = schedule;
    let number = |value: Option<f64>| value.map_or("?".to_owned(), |value| value.to_string());
    let betas = || format!("beta {} to {}", number(schedule.beta_min), number(schedule.beta_max));
    let sigmas =
        || format!("sigma {} to {}", number(schedule.sigma_min), number(schedule.sigma_max));
    let words = match schedule.kind {
        ScheduleKind::Linear => format!("{steps} betas from {beta_start} to {beta_end}"),
        ScheduleKind::Cosine => format!("{steps} betas of the squared cosine"),
        ScheduleKind::Betas => format!("{} betas as listed", schedule.betas.len()),
        ScheduleKind::VpLinear => format!("VP, {}", betas()),
        ScheduleKind::VpCosine => "VP along a cosine".to_owned(),
        ScheduleKind::SubVp => format!("sub-VP, {}", betas()),
        ScheduleKind::Ve => format!("VE, {}", sigmas()),
        ScheduleKind::Edm => format!("EDM, {}", sigmas()),
    };
    if schedule.zero_terminal_snr { words + ", no signal at the end" } else { words }
}

/// What the network is told in place of a time.
fn told(config: &RunConfig) -> &'static str {
    match config.objective.time_input {
        Some(TimeInputKind::Index) => "the index of the step",
        Some(TimeInputKind::RescaledIndex) => "the index of the step, as of 1000",
        Some(TimeInputKind::DescendingIndex) => "the index of the level, the noisiest first",
        Some(TimeInputKind::Time) => "999 t",
        Some(TimeInputKind::Sigma) => "sigma",
        Some(TimeInputKind::LogSigma) => "250 ln sigma",
        Some(TimeInputKind::QuarterLogSigma) => "ln sigma / 4",
        None => "what suits the schedule",
    }
}

fn input(config: &RunConfig) -> &'static str {
    match config.objective.input_scaling {
        Some(InputScalingKind::UnitVariance) => "states scaled to unit variance",
        _ => "states as they are",
    }
}
