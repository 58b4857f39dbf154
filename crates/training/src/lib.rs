//! Trains diffusion models.
//!
//! A run is a folder. [`Trainer::new`] makes one from a [`RunConfig`], [`Trainer::resume`] takes one
//! up again, and [`Trainer::run`] trains until the run is done or asked to stop, telling an
//! [`Observer`] what happens.
//!
//! What a run computes is a pure function of its configuration: batches, noise, times, hidden labels
//! and dropout of a step are drawn from streams keyed by the seed and the step. So a run that was
//! killed at any moment and resumed ends with the same bytes in its weights, averaged weights and
//! optimizer state as one that was never interrupted (on a CPU, with the same number of threads,
//! which the run's configuration records).
//!
//! The loss is that of Ho et al. 2020, eq. 14, or one of its relatives in `tweedie_losses`; or the cross
//! entropy of a [`Classifier`] of noisy images, which steers other models.

mod accuracy;
mod architecture;
mod classifier;
mod clock;
mod config;
mod conventions;
mod convert;
mod data;
mod data_range;
mod draws;
mod error;
mod habits;
mod learning_rate;
mod lock;
mod losses_by_level;
mod metrics;
mod model;
mod network;
mod objective;
mod observer;
mod optimizer;
mod picture;
mod published;
mod records;
mod run_folder;
mod schedule;
mod state;
mod step;
mod summary;
mod tensorboard;
mod times;
mod trained;
mod trainer;

pub use accuracy::Accuracy;
pub use classifier::Classifier;
pub use config::{
    Allowed, BestBy, CheckpointConfig, DataConfig, DecayKind, DeviceChoice, DistanceKind,
    InputScalingKind, LoggingConfig, NetworkConfig, ObjectiveConfig, ObjectiveKind, Precision,
    PredictionKind, ProjectionKind, ReductionKind, RunConfig, SampleConfig, ScheduleConfig,
    ScheduleKind, ShortNetwork, SplitChoice, TimeInputKind, TimeSampling, TrainingConfig,
    VarianceKind, WeightingKind,
};
pub use data::RunData;
pub use data_range::DataRange;
pub use error::{ConfigError, TrainError};
pub use habits::Habits;
pub use learning_rate::learning_rate;
pub use losses_by_level::{LevelLoss, LossesByLevel};
pub use metrics::{Metrics, read_metrics};
pub use model::{
    Model, ModelImages, ModelOptions, Origin, habits_of, is_run, open_network, schedule_of,
};
pub use network::ImageForm;
pub use observer::{Event, Observer};
pub use run_folder::RunFolder;
pub use schedule::RunSchedule;
pub use state::Progress;
pub use summary::Summary;
pub use trained::{Choice, TrainedModel};
pub use trainer::{Outcome, Trainer};
