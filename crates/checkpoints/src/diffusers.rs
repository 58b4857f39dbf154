//! A model folder saved by diffusers: `config.json` beside the weights, in one file or in shards.

mod weight_files;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::{CheckpointError, NoiseConfig, TensorFile, TorchFile, json_object};
use weight_files::WeightFile;

const CONFIG: &str = "config.json";

/// Whether a folder holds a configuration and weights under the names that diffusers gives them.
pub(crate) fn is_diffusers_folder(path: &Path) -> bool {
    // one that cannot be read is one too: opening it says why
    !matches!(WeightFile::find(path), Ok(None))
}

/// A folder with a network's configuration and weights as diffusers saves them. Which weight goes
/// where is the network's business; the tensors keep the names they have in the file.
#[derive(Debug)]
pub struct DiffusersFolder {
    config_path: PathBuf,
    config: serde_json::Value,
    weights: TensorFile,
    variant: Option<String>,
    root: PathBuf,
}

impl DiffusersFolder {
    /// Opens `path`, or its subfolder `unet` where `path` is a whole pipeline. The weights may be
    /// safetensors or torch's own format (`.bin`), whole or in shards with an index. Where all of these are of one
    /// variant, such as `diffusion_pytorch_model.fp16.safetensors`, that is taken.
    ///
    /// # Errors
    /// When neither holds a configuration with weights, weights are there in several variants alone, or one of the
    /// files is not valid.
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        let (folder, file) = WeightFile::find(path)?
            .ok_or_else(|| CheckpointError::NotDiffusers { path: path.to_path_buf() })?;
        let config_path = folder.join(CONFIG);
        let text = fs::read(&config_path).map_err(CheckpointError::io("read", &config_path))?;
        let config = json_object::of_file(&config_path, &text)?.into();
        let (weights, root) = (open_weights(&file.path)?, path.to_path_buf());
        Ok(Self { config_path, config, weights, variant: file.variant, root })
    }

    /// The file that holds the configuration, for messages.
    #[must_use]
    pub fn config_path(&self) -> &Path {
        &self.config_path
    }

    /// The class that the configuration was written for, such as `UNet2DModel`.
    #[must_use]
    pub fn class_name(&self) -> Option<&str> {
        self.config.get("_class_name").and_then(serde_json::Value::as_str)
    }

    /// The configuration in the form asked for.
    ///
    /// # Errors
    /// When the file does not have that form.
    pub fn config<T: DeserializeOwned>(&self) -> Result<T, CheckpointError> {
        serde_json::from_value(self.config.clone())
            .map_err(|source| CheckpointError::Json { path: self.config_path.clone(), source })
    }

    /// The folder as it was given: a model's, or a whole pipeline's.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// The weights.
    #[must_use]
    pub fn weights(&self) -> &TensorFile {
        &self.weights
    }

    /// The variant that the weights are of, as their file's name says it: `fp16`; `None` for those without one.
    #[must_use]
    pub fn variant(&self) -> Option<&str> {
        self.variant.as_deref()
    }

    /// What the folder says about the noise that the network was trained with; `None` where it holds
    /// no `scheduler_config.json`, as the folder of a network alone.
    ///
    /// # Errors
    /// When that file is not valid or its class is not known, see [`NoiseConfig::parse`].
    pub fn noise_config(&self) -> Result<Option<NoiseConfig>, CheckpointError> {
        NoiseConfig::find(&self.root)
    }
}

fn open_weights(path: &Path) -> Result<TensorFile, CheckpointError> {
    match path.extension().and_then(|end| end.to_str()) {
        Some("json") => open_shards(path),
        Some("bin") => TorchFile::open(path)?.root().tensors(),
        _ => TensorFile::open(path),
    }
}

/// An index of shards; what else it says (the total size) is not needed.
#[derive(Deserialize)]
struct Index {
    /// The file of each tensor.
    weight_map: BTreeMap<String, String>,
}

/// All tensors of the shards that an index names. Each must lie where the index says, and in one
/// shard only.
fn open_shards(index_path: &Path) -> Result<TensorFile, CheckpointError> {
    let text = fs::read(index_path).map_err(CheckpointError::io("read", index_path))?;
    let index: Index = serde_json::from_value(json_object::of_file(index_path, &text)?.into())
        .map_err(|source| CheckpointError::Json { path: index_path.to_path_buf(), source })?;
    let names: BTreeSet<&str> = index.weight_map.values().map(String::as_str).collect();
    let mut shards = BTreeMap::new();
    for name in names {
        shards.insert(name, open_weights(&shard_path(index_path, name)?)?);
    }
    let (mut tensors, mut missing) = (BTreeMap::new(), Vec::new());
    for (name, shard) in &index.weight_map {
        match shards[shard.as_str()].tensor(name) {
            Ok(tensor) => drop(tensors.insert(name.clone(), tensor.clone())),
            Err(_) => missing.push(name.clone()),
        }
    }
    let mut unlisted = Vec::new();
    for (shard, file) in &shards {
        let listed = |name: &&str| index.weight_map.get(*name).is_some_and(|at| at == shard);
        unlisted.extend(file.names().filter(|name| !listed(name)).map(str::to_owned));
    }
    if !missing.is_empty() || !unlisted.is_empty() {
        let path = index_path.to_path_buf();
        return Err(CheckpointError::Index { path, missing, unlisted });
    }
    Ok(TensorFile::from_tensors(index_path, tensors))
}

/// A shard lies beside its index: a name that leads anywhere else is refused.
fn shard_path(index_path: &Path, name: &str) -> Result<PathBuf, CheckpointError> {
    let mut parts = Path::new(name).components();
    let plain = matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None));
    if !plain || name.ends_with(".json") {
        return Err(CheckpointError::Value {
            path: index_path.to_path_buf(),
            key: "weight_map",
            value: name.to_owned(),
            allowed: "the name of a weight file beside it".to_owned(),
        });
    }
    Ok(index_path.with_file_name(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::chain;
    use crate::{OwnedTensor, write_safetensors};

    const WEIGHTS: &str = "diffusion_pytorch_model.safetensors";
    const INDEX: &str = "diffusion_pytorch_model.safetensors.index.json";

    fn write_weights(path: &Path, name: &str, value: f32) {
        let tensor = OwnedTensor::from_f32(&[1], &[value]).unwrap();
        write_safetensors(path, [(name, tensor)], &Default::default()).unwrap();
    }

    fn write_config(folder: &Path) {
        fs::create_dir_all(folder).unwrap();
        let config = r#"{"_class_name": "UNet2DModel", "in_channels": 3}"#;
        fs::write(folder.join(CONFIG), config).unwrap();
    }

    fn write_model(folder: &Path) {
        write_config(folder);
        write_weights(&folder.join(WEIGHTS), "conv_in.bias", 2.0);
    }

    /// Two shards with an index that says `second` holds `b`.
    fn write_shards(folder: &Path, second: &str) {
        write_config(folder);
        write_weights(&folder.join("one.safetensors"), "a", 1.0);
        write_weights(&folder.join("two.safetensors"), "b", 2.0);
        let index = format!(r#"{{"weight_map": {{"a": "one.safetensors", "b": "{second}"}}}}"#);
        fs::write(folder.join(INDEX), index).unwrap();
    }

    #[track_caller]
    fn check_opens(path: &Path) {
        #[derive(serde::Deserialize)]
        struct Config {
            in_channels: i64,
        }
        let model = DiffusersFolder::open(path).unwrap();
        assert_eq!(model.class_name(), Some("UNet2DModel"));
        assert_eq!(model.config::<Config>().unwrap().in_channels, 3);
        assert_eq!(model.weights().read_f32("conv_in.bias").unwrap(), [2.0]);
    }

    #[test]
    fn a_model_folder_and_a_pipeline_both_open() {
        let folder = tempfile::tempdir().unwrap();
        write_model(&folder.path().join("model"));
        write_model(&folder.path().join("pipeline/unet"));
        check_opens(&folder.path().join("model"));
        check_opens(&folder.path().join("pipeline"));
    }

    #[test]
    fn weights_in_torchs_own_format_open() {
        let folder = tempfile::tempdir().unwrap();
        write_config(folder.path());
        let saved = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/weights.bin");
        fs::copy(saved, folder.path().join("diffusion_pytorch_model.bin")).unwrap();
        let model = DiffusersFolder::open(folder.path()).unwrap();
        assert_eq!(model.weights().read_f32("conv_in.bias").unwrap(), [2.0]);
    }

    #[test]
    fn the_noise_of_a_pipeline_is_found_beside_its_network() {
        let folder = tempfile::tempdir().unwrap();
        write_model(&folder.path().join("unet"));
        let model = DiffusersFolder::open(folder.path()).unwrap();
        assert_eq!(model.noise_config().unwrap(), None);
        let beside = folder.path().join("scheduler");
        fs::create_dir(&beside).unwrap();
        let text = r#"{"_class_name": "DDPMScheduler", "num_train_timesteps": 10}"#;
        fs::write(beside.join("scheduler_config.json"), text).unwrap();
        let noise = model.noise_config().unwrap().unwrap().noise;
        assert!(matches!(noise, crate::TrainedNoise::Betas { steps: 10, .. }));
    }

    #[test]
    fn shards_open_as_one() {
        let folder = tempfile::tempdir().unwrap();
        write_shards(folder.path(), "two.safetensors");
        let model = DiffusersFolder::open(folder.path()).unwrap();
        assert_eq!(model.weights().names().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(model.weights().read_f32("b").unwrap(), [2.0]);
    }

    #[test]
    fn an_index_that_is_wrong_or_leads_elsewhere_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let refused = |second: &str| {
            write_shards(folder.path(), second);
            DiffusersFolder::open(folder.path()).unwrap_err().to_string()
        };
        assert!(refused("one.safetensors").contains("[b] are not where it says, [] are"));
        for outside in ["../two.safetensors", "/etc/passwd", "..", ""] {
            let message = refused(outside);
            assert!(message.contains("expected the name of a weight file beside it"), "{message}");
        }
        write_shards(folder.path(), "two.safetensors");
        let only_b = r#"{"weight_map": {"b": "two.safetensors", "a": "two.safetensors"}}"#;
        fs::write(folder.path().join(INDEX), only_b).unwrap();
        let message = DiffusersFolder::open(folder.path()).unwrap_err().to_string();
        assert!(message.contains("[a] are not where it says"), "{message}");
    }

    #[test]
    fn an_index_in_which_a_name_stands_twice_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        write_shards(folder.path(), "two.safetensors");
        let twice = r#"{"weight_map": {"a": "two.safetensors", "b": "two.safetensors", "a": "one.safetensors"}}"#;
        fs::write(folder.path().join(INDEX), twice).unwrap();
        let message = chain(&DiffusersFolder::open(folder.path()).unwrap_err());
        assert!(message.contains(INDEX) && message.contains("`a` stands twice"), "{message}");
    }

    #[test]
    fn shards_of_a_variant_open_where_there_are_no_others() {
        let folder = tempfile::tempdir().unwrap();
        write_shards(folder.path(), "two.safetensors");
        let index = "diffusion_pytorch_model.safetensors.index.fp16.json";
        fs::rename(folder.path().join(INDEX), folder.path().join(index)).unwrap();
        let model = DiffusersFolder::open(folder.path()).unwrap();
        assert_eq!(model.variant(), Some("fp16"));
        assert_eq!(model.weights().path(), folder.path().join(index));
        assert_eq!(model.weights().read_f32("b").unwrap(), [2.0]);
    }

    #[test]
    fn a_tensor_that_the_index_does_not_list_is_named() {
        let folder = tempfile::tempdir().unwrap();
        write_config(folder.path());
        let path = folder.path().join("one.safetensors");
        let tensor = || OwnedTensor::from_f32(&[1], &[1.0]).unwrap();
        write_safetensors(&path, [("a", tensor()), ("b", tensor())], &Default::default()).unwrap();
        let index = r#"{"weight_map": {"a": "one.safetensors"}}"#;
        fs::write(folder.path().join(INDEX), index).unwrap();
        let message = DiffusersFolder::open(folder.path()).unwrap_err().to_string();
        assert!(message.contains("[] are not where it says, [b] are where"), "{message}");
    }

    #[test]
    fn another_folder_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let message = DiffusersFolder::open(folder.path()).unwrap_err().to_string();
        assert!(message.contains(folder.path().to_str().unwrap()), "{message}");
        assert!(message.contains("config.json"), "{message}");
    }
}
