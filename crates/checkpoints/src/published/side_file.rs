//! The file beside the weights that says how their network is built.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::PublishedOptions;
use super::flags::parse_flags;
use crate::{CheckpointError, json_object};

/// A longer text than any configuration.
const LONGEST: u64 = 16 << 20;

/// What was said about a network, and where.
#[derive(Clone, Debug)]
pub(super) struct SideFile {
    /// The file, or the weights themselves where flags were given directly.
    pub(super) path: PathBuf,
    pub(super) values: Map<String, Value>,
}

impl SideFile {
    /// What the options give; else the first of `NAME.json`, `config.json`, `NAME.txt` and `flags.txt`
    /// that lies beside the weights.
    pub(super) fn find(
        weights: &Path,
        options: &PublishedOptions,
    ) -> Result<Option<Self>, CheckpointError> {
        if let Some(flags) = &options.flags {
            let values = parse_flags(weights, flags)?;
            return Ok(Some(Self { path: weights.to_path_buf(), values }));
        }
        let given = options.config.clone();
        given.or_else(|| beside(weights)).map(Self::read).transpose()
    }

    /// A word about the steps that the flags would sample with, which are not the network's.
    pub(super) fn respacing(&self) -> Option<String> {
        let steps =
            self.values.get("timestep_respacing")?.as_str().filter(|steps| !steps.is_empty())?;
        Some(format!(
            "the flags sample with timestep_respacing {steps}; here the sampler's steps say it"
        ))
    }

    /// Reads JSON, or the flags of a command line.
    pub(super) fn read(path: PathBuf) -> Result<Self, CheckpointError> {
        let length = fs::metadata(&path).map_err(CheckpointError::io("open", &path))?.len();
        if length > LONGEST {
            return Err(CheckpointError::Value {
                path,
                key: "the file's length",
                value: length.to_string(),
                allowed: format!("at most {LONGEST} bytes in a configuration"),
            });
        }
        let bytes = fs::read(&path).map_err(CheckpointError::io("read", &path))?;
        let values = parse(&path, &bytes)?;
        Ok(Self { path, values })
    }
}

/// The values of a configuration: a JSON object, or flags as text.
pub(super) fn parse(path: &Path, bytes: &[u8]) -> Result<Map<String, Value>, CheckpointError> {
    match std::str::from_utf8(bytes) {
        Ok(text) if begins_with_a_flag(text) => parse_flags(path, text),
        _ => json_object::of_file(path, bytes),
    }
}

fn begins_with_a_flag(text: &str) -> bool {
    text.trim_start_matches(|c: char| c.is_whitespace() || c == '\\').starts_with("--")
}

fn beside(weights: &Path) -> Option<PathBuf> {
    let places = [
        weights.with_extension("json"),
        weights.with_file_name("config.json"),
        weights.with_extension("txt"),
        weights.with_file_name("flags.txt"),
    ];
    places.into_iter().find(|place| place.is_file())
}
