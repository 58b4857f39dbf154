//! The configuration of a run: one TOML file, every key with a default and a checked range.

mod allowed;
mod classifier;
mod conditional;
mod keys;
mod network;
mod network_input;
mod objective;
mod over;
mod overrides;
mod schedule;
mod sections;

use std::path::Path;

use serde::{Deserialize, Serialize};
use tweedie_schedules::Prediction;
use tweedie_score::Learned;
use tweedie_unet::{InputScaling, TimeInput};

pub use allowed::Allowed;
pub use network::{NetworkConfig, ShortNetwork};
pub use network_input::{InputScalingKind, TimeInputKind};
pub use objective::{
    DistanceKind, ObjectiveConfig, ObjectiveKind, PredictionKind, ProjectionKind, ReductionKind,
    VarianceKind, WeightingKind,
};
pub use schedule::{ScheduleConfig, ScheduleKind};
pub use sections::{
    BestBy, CheckpointConfig, DataConfig, DecayKind, DeviceChoice, LoggingConfig, Precision,
    SampleConfig, SplitChoice, TimeSampling, TrainingConfig,
};

use crate::{ConfigError, DataRange, RunSchedule};

/// Everything that decides what a run computes.
///
/// Read with [`RunConfig::parse`] or [`RunConfig::load`], which refuse unknown keys and values out
/// of range by name; every key may be left out, the defaults are the fields' own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RunConfig {
    /// Which images, and how they become batches.
    pub data: DataConfig,
    /// The U-Net.
    pub network: NetworkConfig,
    /// The forward process.
    pub schedule: ScheduleConfig,
    /// What the network is asked for, and how its error is counted.
    pub objective: ObjectiveConfig,
    /// The optimizer and the loop.
    pub training: TrainingConfig,
    /// Metrics.
    pub logging: LoggingConfig,
    /// When the state is saved, and what is kept.
    pub checkpoints: CheckpointConfig,
    /// Pictures drawn on the way.
    pub samples: SampleConfig,
}

impl RunConfig {
    /// Reads a configuration from TOML text and applies `overrides`, each `key=value`, on top.
    ///
    /// # Errors
    /// When the text is not TOML, a key is unknown, a value is not allowed, or an override names a
    /// key that does not exist.
    pub fn parse(text: &str, overrides: &[String]) -> Result<Self, ConfigError> {
        let mut table: toml::Table =
            toml::from_str(text).map_err(|source| ConfigError::Syntax { source })?;
        for text in overrides {
            overrides::apply(&mut table, text)?;
        }
        Self::of_table(table)
    }

    /// The configuration in a table, checked.
    fn of_table(mut table: toml::Table) -> Result<Self, ConfigError> {
        keys::check(&table)?;
        classifier::prepare(&mut table)?;
        let config: Self = table.try_into().map_err(|source| ConfigError::Syntax { source })?;
        config.completed()
    }

    /// As [`parse`](Self::parse), from a file.
    ///
    /// # Errors
    /// When the file cannot be read, and as for [`parse`](Self::parse); the error names the file.
    pub fn load(path: &Path, overrides: &[String]) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_path_buf(), source })?;
        Self::parse(&text, overrides).map_err(|source| ConfigError::InFile {
            path: path.to_path_buf(),
            source: source.into(),
        })
    }

    /// As [`parse_over`](Self::parse_over), from a file.
    ///
    /// # Errors
    /// When the file cannot be read, and as there; the error names the file.
    pub fn load_over(
        path: &Path,
        overrides: &[String],
        network: &Self,
    ) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_path_buf(), source })?;
        Self::parse_over(&text, overrides, network).map_err(|source| ConfigError::InFile {
            path: path.to_path_buf(),
            source: source.into(),
        })
    }

    /// As [`load`](Self::load), from the file of a run, which has every key: a default instead of a
    /// lost value would train something else.
    ///
    /// # Errors
    /// As for [`load`](Self::load), and when a key is missing.
    pub fn load_complete(path: &Path) -> Result<Self, ConfigError> {
        let in_file = |source: ConfigError| ConfigError::InFile {
            path: path.to_path_buf(),
            source: source.into(),
        };
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_path_buf(), source })?;
        let config = Self::parse(&text, &[]).map_err(in_file)?;
        let table =
            toml::from_str(&text).map_err(|source| in_file(ConfigError::Syntax { source }))?;
        keys::check_complete(&table, &config).map_err(in_file)?;
        Ok(config)
    }

    /// The configuration as TOML, every key written out.
    ///
    /// # Errors
    /// When a value has no TOML form, such as a seed beyond `i64::MAX`.
    pub fn to_toml(&self) -> Result<String, ConfigError> {
        toml::to_string(self).map_err(|source| ConfigError::Encode { source })
    }

    /// The noise levels: those of a table, or of an SDE in continuous time.
    ///
    /// # Errors
    /// When the values of `[schedule]` make none.
    pub fn noise_schedule(&self) -> Result<RunSchedule, ConfigError> {
        let mut schedule = self.schedule.clone();
        schedule.complete()?;
        RunSchedule::new(&schedule).map_err(|source| ConfigError::Schedule { source })
    }

    /// Whether a classifier is trained, which predicts nothing of an image but its class.
    #[must_use]
    pub fn is_classifier(&self) -> bool {
        self.objective.kind == ObjectiveKind::Classifier
    }

    /// What the network predicts, if it is no classifier.
    #[must_use]
    pub fn prediction(&self) -> Prediction {
        match self.objective.prediction.unwrap_or(PredictionKind::Noise) {
            PredictionKind::Noise => Prediction::Noise,
            PredictionKind::Data => Prediction::Data,
            PredictionKind::Velocity => Prediction::Velocity,
            PredictionKind::Score => Prediction::Score,
            PredictionKind::Edm => Prediction::EdmF { sigma_data: self.sigma_data() },
        }
    }

    /// What the network says of the variance of a reverse step; `None` where it learns none.
    #[must_use]
    pub fn learned_variance(&self) -> Option<Learned> {
        self.objective.variance.and_then(VarianceKind::learned)
    }

    /// How a state is scaled before the network takes it: unless it is said otherwise, to unit variance
    /// where noise explodes and for EDM's `F`, and else not at all.
    #[must_use]
    pub fn input_scaling(&self) -> InputScaling {
        match self.objective.input_scaling.unwrap_or_else(|| self.suited_scaling()) {
            InputScalingKind::UnitVariance => {
                InputScaling::UnitVariance { sigma_data: self.sigma_data() }
            }
            InputScalingKind::None => InputScaling::None,
        }
    }

    /// What the network is told in place of a time of `schedule`, which is its own.
    #[must_use]
    pub fn time_input(&self, schedule: &RunSchedule) -> TimeInput {
        let suited = || TimeInputKind::suited_to(self.schedule.kind);
        let kind = self.objective.time_input.unwrap_or_else(suited);
        kind.of(schedule, self.schedule.steps)
    }

    /// The range of the data's values.
    #[must_use]
    pub fn data_range(&self) -> DataRange {
        if self.data.centered { DataRange::Symmetric } else { DataRange::Unit }
    }

    /// The deviation of the data that EDM's scalings are made for.
    pub(crate) fn sigma_data(&self) -> f64 {
        self.objective.sigma_data.unwrap_or(conditional::SIGMA_DATA)
    }

    /// The same with the keys filled in whose defaults depend on others, and held against what one
    /// key alone cannot tell.
    pub(crate) fn completed(mut self) -> Result<Self, ConfigError> {
        let TrainingConfig { batch_size, accumulation, .. } = self.training;
        if !batch_size.is_multiple_of(accumulation) {
            return Err(ConfigError::UnevenAccumulation { batch_size, accumulation });
        }
        conditional::complete(&mut self)?;
        conditional::check_levels(&self, &self.noise_schedule()?)?;
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::chain;

    #[track_caller]
    fn check_refused(text: &str, overrides: &[&str], says: &[&str]) {
        let overrides: Vec<String> = overrides.iter().map(ToString::to_string).collect();
        let message = chain(&RunConfig::parse(text, &overrides).unwrap_err());
        for part in says {
            assert!(message.contains(part), "`{part}` is not in: {message}");
        }
    }

    #[test]
    fn an_empty_file_is_the_defaults_and_they_survive_a_round_trip() {
        let config = RunConfig::parse("", &[]).unwrap();
        assert_eq!(config, RunConfig::default().completed().unwrap());
        let text = config.to_toml().unwrap();
        assert_eq!(RunConfig::parse(&text, &[]).unwrap(), config);
    }

    #[test]
    fn what_is_taken_is_filled_in_and_what_has_no_effect_is_refused() {
        let config = RunConfig::parse("[objective]\nkind = \"hybrid\"", &[]).unwrap();
        assert_eq!(config.objective.vlb_weight, Some(0.001));
        assert_eq!(config.learned_variance(), Some(Learned::Range));
        let text = "[schedule]\nkind = \"edm\"\n[training]\ntime_sampling = \"log_normal\"";
        let config = RunConfig::parse(text, &[]).unwrap();
        assert_eq!(config.training.log_normal_mean, Some(-1.2));
        assert_eq!(config.input_scaling(), InputScaling::UnitVariance { sigma_data: 0.5 });
        for (overrides, says) in [
            (
                &["schedule.beta_min=0.2"][..],
                &["schedule.beta_min is 0.2", "\"cosine\" takes none"],
            ),
            (
                &["schedule.kind=ve", "schedule.beta_max=9"],
                &["beta_max is 9", "schedule.sigma_min"],
            ),
            (&["objective.sigma_data=0.7"], &["objective.sigma_data is 0.7", "\"edm\""]),
            (&["objective.min_snr_gamma=3"], &["min_snr_gamma is 3", "weighting = \"min_snr\""]),
            (
                &["objective.variance=learned"],
                &["variance is \"learned\"", "\"hybrid\" or \"vlb\""],
            ),
            (
                &["objective.kind=hybrid", "objective.variance=fixed_large"],
                &["\"fixed_large\"", "\"learned\""],
            ),
            (
                &["objective.kind=hybrid", "objective.weighting=own"],
                &["weighting is \"own\"", "kind"],
            ),
            (
                &["objective.kind=hybrid", "schedule.kind=sub_vp"],
                &["kind is \"hybrid\"", "\"cosine\""],
            ),
            (
                &["objective.kind=vlb", "data.dequantize=true"],
                &["data.dequantize is true", "false"],
            ),
            (
                &["objective.kind=sliced", "objective.loss=l1"],
                &["objective.loss is \"l1\"", "\"mse\""],
            ),
            (&["objective.projections=2"], &["projections is 2", "\"sliced\""]),
            (&["training.log_normal_mean=0"], &["log_normal_mean is 0", "\"log_normal\""]),
            (&["training.time_sampling=importance"], &["time_sampling is \"importance\"", "table"]),
            (
                &["training.time_sampling=loss_second_moment", "schedule.kind=ve"],
                &["\"loss_second_moment\"", "steps"],
            ),
            (
                &[
                    "schedule.kind=edm",
                    "training.time_sampling=log_normal",
                    "training.log_normal_mean=9",
                ],
                &["training.log_normal_mean is 9", "[-6.215, 4.382]"],
            ),
            (
                &["schedule.kind=sub_vp", "schedule.beta_max=1e6"],
                &["schedule.beta_max is 1000000", "less"],
            ),
            (&["schedule.kind=ve", "schedule.sigma_min=60"], &["[schedule]", "sigma_max is 50"]),
        ] {
            check_refused("", overrides, says);
        }
    }

    #[test]
    fn unknown_keys_are_named_with_their_value_and_the_nearest_known_one() {
        let says = ["training.batchsize", "64", "training.batch_size"];
        check_refused("[training]\nbatchsize = 64", &[], &says);
        check_refused("[optimizer]\nlr = 0.1", &[], &["optimizer.lr"]);
        check_refused("[extra]", &[], &["extra"]);
        check_refused("[training]\nclip = 1.0", &[], &["training.clip_norm"]);
    }

    #[test]
    fn an_objective_that_would_clip_its_estimate_is_refused_with_the_reason() {
        let says = ["objective.clip", "true", "no exact likelihood", "--clip"];
        check_refused("[objective]\nclip = true", &[], &says);
        check_refused("", &["objective.clip=true"], &says);
        check_refused("[objective]\nclip_denoised = false", &[], &["objective.clip_denoised"]);
        check_refused("[sampling]\nthresholding = true", &[], &["sampling.thresholding"]);
    }

    #[test]
    fn values_out_of_range_are_named_with_the_range() {
        let says = ["training.batch_size", "0", "a whole number from 1 to"];
        check_refused("[training]\nbatch_size = 0", &[], &says);
        let says = ["training.batch_size", "-1", "a whole number from 1 to"];
        check_refused("[training]\nbatch_size = -1", &[], &says);
        let says = ["training.learning_rate", "\"fast\"", "a number in [1e-30, 1000]"];
        check_refused("[training]\nlearning_rate = \"fast\"", &[], &says);
        let says = ["network.dropout", "1.0", "a number in [0, 1)"];
        check_refused("[network]\ndropout = 1.0", &[], &says);
        let says = ["training.eps", "nan", "a number in [1e-30, 1]"];
        check_refused("[training]\neps = nan", &[], &says);
        let says = ["schedule.betas", "[0.0]", "numbers in (0, 1)"];
        check_refused("[schedule]\nkind = \"betas\"\nbetas = [0.0]", &[], &says);
        let says = ["objective.loss", "\"l3\"", "\"mse\""];
        check_refused("[objective]\nloss = \"l3\"", &[], &says);
        let says = ["network.multipliers", "[]", "a list of 1 to 16 whole numbers"];
        check_refused("[network]\nmultipliers = []", &[], &says);
    }

    #[test]
    fn overrides_replace_values_and_are_checked_like_the_file() {
        let set = |text: &str| vec![text.to_owned()];
        let config = RunConfig::parse("", &set("training.batch_size=64")).unwrap();
        assert_eq!(config.training.batch_size, 64);
        let config = RunConfig::parse("", &set("data.source=sets/fashion")).unwrap();
        assert_eq!(config.data.source, "sets/fashion");
        let config = RunConfig::parse("", &set("network.multipliers=[1, 2, 2]")).unwrap();
        let NetworkConfig::Short(network) = config.network else { panic!("a short table") };
        assert_eq!(network.multipliers, [1, 2, 2]);
        let config = RunConfig::parse("", &set("training.learning_rate = 1e-4")).unwrap();
        assert_eq!(config.training.learning_rate, 1e-4);
        check_refused("", &["training.batch_size=0"], &["training.batch_size", "0", "from 1 to"]);
        check_refused("", &["batch_size=64"], &["batch_size", "64", "training.batch_size"]);
        check_refused("", &["training=3"], &["training", "3"]);
        check_refused("", &["training.batch_size"], &["training.batch_size", "key=value"]);
    }

    #[test]
    fn a_batch_that_does_not_split_evenly_is_refused() {
        check_refused(
            "[training]\nbatch_size = 10\naccumulation = 4",
            &[],
            &["training.batch_size", "10", "training.accumulation", "4"],
        );
    }

    #[test]
    fn the_schedule_is_checked_with_the_file() {
        check_refused("[schedule]\nkind = \"betas\"", &[], &["schedule", "betas"]);
        let says = ["schedule.betas", "schedule.kind"];
        check_refused("[schedule]\nbetas = [0.1, 0.2]", &[], &says);
        let text = "[schedule]\nkind = \"betas\"\nbetas = [0.1, 0.2]";
        assert_eq!(
            RunConfig::parse(text, &[]).unwrap().noise_schedule().unwrap().table().unwrap().len(),
            2
        );
    }

    #[test]
    fn what_32_bit_floats_do_not_hold_is_refused() {
        for (key, value) in [
            ("training.eps", "1e-300"),
            ("training.learning_rate", "1e300"),
            ("training.learning_rate", "1e-300"),
            ("training.weight_decay", "1e300"),
            ("objective.huber_delta", "1e300"),
            ("training.log_normal_mean", "900"),
            ("training.log_normal_deviation", "900"),
        ] {
            check_refused("", &[&format!("{key}={value}")], &[key, "a number in ["]);
        }
    }

    #[test]
    fn an_error_in_a_file_names_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mine.toml");
        std::fs::write(&path, "[training]\nsteps = 0\n").unwrap();
        let message = chain(&RunConfig::load(&path, &[]).unwrap_err());
        assert!(message.contains("mine.toml") && message.contains("training.steps"), "{message}");
        std::fs::write(&path, "[training\n").unwrap();
        let message = chain(&RunConfig::load(&path, &[]).unwrap_err());
        assert_eq!(message.matches("TOML parse error").count(), 1, "{message}");
    }
}
