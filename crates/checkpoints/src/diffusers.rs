//! A model folder saved by diffusers: `config.json` beside `diffusion_pytorch_model.safetensors`.

use std::fs;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use crate::{CheckpointError, TensorFile};

const CONFIG: &str = "config.json";
const WEIGHTS: &str = "diffusion_pytorch_model.safetensors";

/// A folder with a network's configuration and weights as diffusers saves them. Which weight goes
/// where is the network's business; the tensors keep the names they have in the file.
#[derive(Debug)]
pub struct DiffusersFolder {
    config_path: PathBuf,
    config: serde_json::Value,
    weights: TensorFile,
}

impl DiffusersFolder {
    /// Opens `path`, or its subfolder `unet` where `path` is a whole pipeline.
    ///
    /// # Errors
    /// When neither holds both files, or one of them is not valid.
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        let folder = [path.to_path_buf(), path.join("unet")]
            .into_iter()
            .find(|folder| folder.join(CONFIG).is_file() && folder.join(WEIGHTS).is_file())
            .ok_or_else(|| CheckpointError::NotDiffusers { path: path.to_path_buf() })?;
        let config_path = folder.join(CONFIG);
        let text = fs::read(&config_path).map_err(CheckpointError::io("read", &config_path))?;
        let config = serde_json::from_slice(&text)
            .map_err(|source| CheckpointError::Json { path: config_path.clone(), source })?;
        Ok(Self { config_path, config, weights: TensorFile::open(&folder.join(WEIGHTS))? })
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

    /// The weights.
    #[must_use]
    pub fn weights(&self) -> &TensorFile {
        &self.weights
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{OwnedTensor, write_safetensors};

    fn write_model(folder: &Path) {
        fs::create_dir_all(folder).unwrap();
        let config = r#"{"_class_name": "UNet2DModel", "in_channels": 3}"#;
        fs::write(folder.join(CONFIG), config).unwrap();
        let bias = OwnedTensor::from_f32(&[1], &[2.0]).unwrap();
        write_safetensors(&folder.join(WEIGHTS), [("conv_in.bias", bias)], &Default::default())
            .unwrap();
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
    fn another_folder_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let message = DiffusersFolder::open(folder.path()).unwrap_err().to_string();
        assert!(message.contains(folder.path().to_str().unwrap()), "{message}");
        assert!(message.contains("config.json"), "{message}");
    }
}
