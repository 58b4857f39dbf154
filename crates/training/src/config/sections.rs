//! The tables of the configuration file, one struct each, with their defaults.

use serde::{Deserialize, Serialize};

/// `[data]`: which images, and how they become batches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DataConfig {
    /// `"digits"` for the bundled set, else the path of a set.
    pub source: String,
    /// Which part of the set is trained on.
    pub split: SplitChoice,
    /// Height and width to which the pictures of a folder are cropped and resized.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<[usize; 2]>,
    /// Height and width to which images are padded with zeros.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pad: Option<[usize; 2]>,
    /// Mirror each image left to right with probability 1/2.
    pub flip: bool,
    /// Add uniform noise within each level.
    pub dequantize: bool,
    /// Values from -1 to 1; otherwise from 0 to 1.
    pub centered: bool,
}

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            source: "digits".to_owned(),
            split: SplitChoice::Train,
            size: None,
            pad: None,
            flip: false,
            dequantize: false,
            centered: true,
        }
    }
}

/// Which part of a data set is trained on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SplitChoice {
    /// The train images; the test images stay unseen.
    Train,
    /// Train and test images together.
    All,
}

/// `[training]`: the optimizer and the loop.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainingConfig {
    /// Steps of the whole run.
    pub steps: u64,
    /// Images a step.
    pub batch_size: usize,
    /// Parts in which a step's batch is computed, one after the other, to save memory.
    pub accumulation: usize,
    /// The highest learning rate.
    pub learning_rate: f64,
    /// Steps over which the learning rate rises to it in a line.
    pub warmup: u64,
    /// How it falls afterwards.
    pub decay: DecayKind,
    /// Adam's decay rates of the first and second moment.
    pub betas: [f64; 2],
    /// What Adam adds to the denominator.
    pub eps: f64,
    /// Decoupled weight decay, as a share of the learning rate.
    pub weight_decay: f64,
    /// Norm to which gradients are cut; 0 leaves them.
    pub clip_norm: f64,
    /// Highest decay of the running mean of the weights; after n updates it is
    /// (1 + n)/(10 + n), until it reaches this.
    pub ema_decay: f64,
    /// Probability with which a label is replaced by the null class.
    pub label_dropout: f64,
    /// How the times of a batch are drawn.
    pub time_sampling: TimeSampling,
    /// Mean of `ln(sigma / alpha)`, of time sampling `"log_normal"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_normal_mean: Option<f64>,
    /// Its standard deviation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_normal_deviation: Option<f64>,
    /// Type the network computes in; weights are kept in f32 either way.
    pub precision: Precision,
    /// Whether layers are computed again for the gradient instead of keeping what is inside them: less
    /// memory, more time, the same gradients.
    pub gradient_checkpointing: bool,
    /// Where it computes.
    pub device: DeviceChoice,
    /// Threads of the CPU; 0 for as many as there are cores.
    pub threads: usize,
    /// Decides everything random.
    pub seed: u64,
    /// A run stops when this many steps in a row had a loss or gradient that is not finite.
    pub max_bad_steps: u64,
    /// The checkpoint that the weights began from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
}

impl Default for TrainingConfig {
    fn default() -> Self {
        Self {
            steps: 1500,
            batch_size: 128,
            accumulation: 1,
            learning_rate: 2e-3,
            warmup: 100,
            decay: DecayKind::Cosine,
            betas: [0.9, 0.999],
            eps: 1e-8,
            weight_decay: 0.0,
            clip_norm: 1.0,
            ema_decay: 0.995,
            label_dropout: 0.1,
            time_sampling: TimeSampling::Uniform,
            log_normal_mean: None,
            log_normal_deviation: None,
            precision: Precision::F32,
            gradient_checkpointing: false,
            device: DeviceChoice::Auto,
            threads: 0,
            seed: 0,
            max_bad_steps: 20,
            from: None,
        }
    }
}

/// How the learning rate falls after the warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DecayKind {
    /// Along half a cosine that would reach zero in the step after the last.
    Cosine,
    /// In a line that would reach zero in the step after the last.
    Linear,
    /// It stays.
    Constant,
}

/// How the times of a batch are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeSampling {
    /// Each on its own, uniform over the table or the range of times.
    Uniform,
    /// One in each of as many equal parts of the table or range as there are images, which lowers
    /// the variance of the loss and changes no mean.
    Stratified,
    /// With a density proportional to `g^2 / sigma^2`, stratified, each loss divided by its density:
    /// for likelihood weighting.
    Importance,
    /// `ln(sigma / alpha)` is normal, stratified: EDM's law.
    LogNormal,
    /// Steps of a table in proportion to the losses seen there, each loss divided by its
    /// probability.
    LossSecondMoment,
}

/// Type the network computes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// 32-bit floats.
    F32,
    /// 16-bit brain floats, with weights in f32.
    Bf16,
}

/// Where a run computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceChoice {
    /// The first GPU where there is one, else the CPU.
    Auto,
    /// The CPU.
    Cpu,
    /// The first GPU.
    Cuda,
}

/// `[logging]`: metrics.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LoggingConfig {
    /// Steps between two lines of `metrics.jsonl`.
    pub every: u64,
    /// Steps between two measurements of the loss on images never trained on; 0 for none but those
    /// that `checkpoints.best_by` needs.
    pub held_out_every: u64,
    /// At most this many images are used for one.
    pub held_out_images: usize,
    /// Write `TensorBoard` event files.
    pub tensorboard: bool,
}

impl Default for LoggingConfig {
    fn default() -> Self {
        Self { every: 10, held_out_every: 250, held_out_images: 1024, tensorboard: true }
    }
}

/// `[checkpoints]`: when the state is saved, and what is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CheckpointConfig {
    /// Steps between two checkpoints; the last step always has one.
    pub every: u64,
    /// How many of the newest are kept, besides the best.
    pub keep_last: usize,
    /// What tells the best one.
    pub best_by: BestBy,
}

impl Default for CheckpointConfig {
    fn default() -> Self {
        Self { every: 250, keep_last: 2, best_by: BestBy::HeldOutLoss }
    }
}

/// What tells the best checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BestBy {
    /// The loss on held-out images, measured at every checkpoint; the train loss where there are
    /// none.
    HeldOutLoss,
    /// The running mean of the train loss.
    TrainLoss,
}

/// `[samples]`: pictures drawn on the way with DDIM, from the averaged weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SampleConfig {
    /// Steps between two pictures; 0 for none.
    pub every: u64,
    /// Rows of the grid; with classes, one row a class.
    pub rows: usize,
    /// Images in a row.
    pub columns: usize,
    /// Sampling steps, at most as many as the schedule has.
    pub steps: usize,
    /// DDIM's share of noise.
    pub eta: f64,
    /// Decides the noise; the same in every picture of a run.
    pub seed: u64,
}

impl Default for SampleConfig {
    fn default() -> Self {
        Self { every: 250, rows: 10, columns: 10, steps: 50, eta: 0.0, seed: 0 }
    }
}
