//! Checkpoints that other programs left: recognised by what they hold, opened as one kind of value.
//!
//! | path | is |
//! |---|---|
//! | a folder with `config.json` and `diffusion_pytorch_model.*`, or a pipeline with such a folder `unet` | diffusers |
//! | `.pth` with `model` and `ema` | a training state of `score_sde`; its average is taken |
//! | `.pt` with `input_blocks.*` | guided- or improved-diffusion, a network or a classifier |
//! | any of these networks' weights alone, safetensors or `.bin`, with a configuration beside | the network that the names of its tensors tell |
//!
//! How a network of `score_sde` or guided-diffusion is built does not stand in its weights. A file beside
//! them says it: `NAME.json` or `config.json`, with the source's own keys, or flags as text in `NAME.txt`
//! or `flags.txt`. Files that were published with their flags are known by their names.

mod adm;
mod average;
mod contents;
mod conventions;
mod flags;
mod inference;
mod known_files;
mod known_recipes;
mod of_diffusers;
mod score_sde;
mod side_file;
mod source;

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

pub use conventions::{DataRange, NetworkConventions, TrainedTime};
pub use source::{CheckpointSource, NetworkFamily, PublishedOptions, WeightChoice, WeightKind};

use crate::diffusers::is_diffusers_folder;
use crate::{CheckpointError, DiffusersFolder, TensorFile};
use contents::Contents;
use side_file::SideFile;

/// A network's checkpoint of another program: how it is built, its weights, and what it was trained on.
#[derive(Debug)]
pub struct PublishedCheckpoint {
    path: PathBuf,
    source: CheckpointSource,
    /// Whether the source is known, and not only the likelier of two.
    source_is_said: bool,
    family: NetworkFamily,
    config: Map<String, Value>,
    /// All that was said about the network, its noise too, in the words of the source.
    said: SideFile,
    weights: TensorFile,
    kind: WeightKind,
    /// Where nothing but the file's name says how the network is built: what was taken, and why.
    known_by_name: Option<String>,
    notes: Vec<String>,
}

impl PublishedCheckpoint {
    /// Opens a file or folder; the running average is taken where there is one.
    ///
    /// # Errors
    /// As for [`open_with`](Self::open_with).
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        Self::open_with(path, &PublishedOptions::default())
    }

    /// Opens a file or folder with what the user says beyond its path.
    ///
    /// # Errors
    /// When the path cannot be read, is no checkpoint known here, holds an average that does not fit its
    /// model, or nothing says how the network is built; the error says what must be added.
    pub fn open_with(path: &Path, options: &PublishedOptions) -> Result<Self, CheckpointError> {
        if path.is_dir() {
            if options.config.is_none() && is_diffusers_folder(path) {
                return Self::of_diffusers(&DiffusersFolder::open(path)?);
            }
            return Self::of_file(path, &sole_weights(path)?, options);
        }
        Self::of_file(path, path, options)
    }

    fn of_diffusers(folder: &DiffusersFolder) -> Result<Self, CheckpointError> {
        let values: Map<String, Value> = folder.config()?;
        of_diffusers::check_class(folder.config_path(), &values)?;
        let said = SideFile { path: folder.config_path().to_path_buf(), values };
        Ok(Self {
            path: folder.path().to_path_buf(),
            source: CheckpointSource::Diffusers,
            source_is_said: true,
            family: NetworkFamily::UNet2DModel,
            config: said.values.clone(),
            said,
            weights: folder.weights().clone(),
            kind: WeightKind::Unsaid,
            known_by_name: None,
            notes: Vec::from_iter(of_diffusers::note_of_variant(folder)),
        })
    }

    fn of_file(
        path: &Path,
        file: &Path,
        options: &PublishedOptions,
    ) -> Result<Self, CheckpointError> {
        let contents = Contents::read(file, options.weights)?;
        let (mut source, mut notes) = (options.source, Vec::from_iter(contents.note.clone()));
        let mut known_by_name = None;
        let said = match SideFile::find(file, options)? {
            Some(said) => said,
            None => {
                let published = Published::of(file, contents.family)?;
                let published =
                    published.ok_or_else(|| inference::needs_config(file, &contents))?;
                source = source.or(Some(published.source));
                notes.push(published.note.clone());
                known_by_name = Some(published.note);
                SideFile { path: file.to_path_buf(), values: published.values }
            }
        };
        notes.extend(said.respacing());
        let config = config_of(contents.family, &said.path, &said.values)?;
        if matches!(contents.family, NetworkFamily::Adm | NetworkFamily::AdmEncoder) {
            adm::check_input(&said.path, &config, &contents.weights)?;
            notes.extend(adm::note_of_noise(&said.values));
            source = source.or(adm::source(&said.path, &said.values)?);
        }
        Ok(Self {
            path: path.to_path_buf(),
            source: source.unwrap_or(contents.source),
            source_is_said: source.is_some(),
            family: contents.family,
            config,
            said,
            weights: contents.weights,
            kind: contents.kind,
            known_by_name,
            notes,
        })
    }

    /// The path as it was given.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The program that the checkpoint is of.
    #[must_use]
    pub fn source(&self) -> CheckpointSource {
        self.source
    }

    /// The network that it holds.
    #[must_use]
    pub fn family(&self) -> NetworkFamily {
        self.family
    }

    /// How the network is built, in the keys of its source; see [`NetworkFamily`].
    #[must_use]
    pub fn config(&self) -> &Map<String, Value> {
        &self.config
    }

    /// The file that says how the network is built, for messages.
    #[must_use]
    pub fn config_path(&self) -> &Path {
        &self.said.path
    }

    /// The weights by their names in the source, without the prefix of `DataParallel`.
    #[must_use]
    pub fn weights(&self) -> &TensorFile {
        &self.weights
    }

    /// Whether the weights are a running average.
    #[must_use]
    pub fn weight_kind(&self) -> WeightKind {
        self.kind
    }

    /// How the network is built by what is published about a file of this name, in a sentence; `None` where
    /// something else says how it is built.
    #[must_use]
    pub fn known_by_name(&self) -> Option<&str> {
        self.known_by_name.as_deref()
    }

    /// What a user should know of how the checkpoint was read, a sentence each.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// What the network was trained to take and to return, and under which noise.
    ///
    /// # Errors
    /// When the checkpoint does not say it, or says what is unknown or out of range.
    pub fn conventions(&self) -> Result<NetworkConventions, CheckpointError> {
        let SideFile { path, values } = &self.said;
        match self.family {
            NetworkFamily::UNet2DModel => of_diffusers::conventions(self.root(), values),
            NetworkFamily::ScoreSde => score_sde::conventions(path, &self.config),
            NetworkFamily::Ncsnv2 => score_sde::conventions_of_ncsnv2(path, &self.config),
            NetworkFamily::Adm | NetworkFamily::AdmEncoder => {
                let source = self.source_is_said.then_some(self.source);
                adm::conventions(path, source, values)
            }
        }
    }

    /// The folder that the checkpoint lies in, or is.
    fn root(&self) -> &Path {
        match self.path.parent() {
            Some(parent) if self.path.is_file() => parent,
            _ => &self.path,
        }
    }

    /// Channels, height and width of the images that the network was trained on; `None` where its
    /// configuration does not say so.
    #[must_use]
    pub fn image_shape(&self) -> Option<[usize; 3]> {
        let value = |keys: &[&str]| {
            let first = self.config.get(keys[0])?;
            keys[1..].iter().try_fold(first, |value, key| value.get(*key))
        };
        let (channels, size) = match self.family {
            NetworkFamily::UNet2DModel => (value(&["in_channels"]), value(&["sample_size"])),
            NetworkFamily::Adm | NetworkFamily::AdmEncoder => {
                (value(&["in_channels"]), value(&["image_size"]))
            }
            NetworkFamily::ScoreSde => {
                let channels = value(&["data", "num_channels"]).or(value(&["data", "channels"]));
                (channels, value(&["data", "image_size"]))
            }
            NetworkFamily::Ncsnv2 => (value(&["data", "channels"]), value(&["data", "image_size"])),
        };
        let channels = channels.map_or(Some(3), count)?;
        let size = size?;
        match size.as_array().map(Vec::as_slice) {
            Some([height, width]) => Some([channels, count(height)?, count(width)?]),
            _ => Some([channels, count(size)?, count(size)?]),
        }
    }
}

/// What was published about a file of this name, with a sentence that says so.
struct Published {
    source: CheckpointSource,
    values: Map<String, Value>,
    note: String,
}

impl Published {
    fn of(file: &Path, family: NetworkFamily) -> Result<Option<Self>, CheckpointError> {
        match family {
            NetworkFamily::Adm | NetworkFamily::AdmEncoder => {
                let name = file.file_name().and_then(|name| name.to_str());
                let known = name.and_then(known_files::known_file);
                known.map(|known| Self::of_flags(file, known)).transpose()
            }
            NetworkFamily::ScoreSde => {
                Ok(known_recipes::known_recipe(file).map(|(name, values)| {
                    let note = format!("the configuration is the one published for {name}");
                    Self { source: CheckpointSource::ScoreSde, values, note }
                }))
            }
            _ => Ok(None),
        }
    }

    fn of_flags(file: &Path, known: &known_files::KnownFile) -> Result<Self, CheckpointError> {
        let values = flags::parse_flags(file, known.flags)?;
        let note = format!("the flags are those published for {}: {}", known.name, known.flags);
        Ok(Self { source: known.source, values, note })
    }
}

/// The configuration of a network of this family out of a text, which is JSON in the keys of its source
/// or, for guided-diffusion, flags; `path` is what errors call it.
///
/// # Errors
/// When the text is neither, or says what is unknown or out of range.
pub fn parse_network_config(
    path: &Path,
    family: NetworkFamily,
    text: &[u8],
) -> Result<Map<String, Value>, CheckpointError> {
    let values = side_file::parse(path, text)?;
    config_of(family, path, &values)
}

fn count(value: &Value) -> Option<usize> {
    value.as_u64()?.try_into().ok()
}

fn config_of(
    family: NetworkFamily,
    path: &Path,
    values: &Map<String, Value>,
) -> Result<Map<String, Value>, CheckpointError> {
    match family {
        NetworkFamily::UNet2DModel => {
            of_diffusers::check_class(path, values)?;
            Ok(values.clone())
        }
        NetworkFamily::ScoreSde | NetworkFamily::Ncsnv2 => score_sde::groups(path, values),
        NetworkFamily::Adm | NetworkFamily::AdmEncoder => adm::constructor(path, family, values),
    }
}

/// The one weight file of a folder.
fn sole_weights(folder: &Path) -> Result<PathBuf, CheckpointError> {
    let preferred = folder.join("model.safetensors");
    if preferred.is_file() {
        return Ok(preferred);
    }
    let files = std::fs::read_dir(folder).map_err(CheckpointError::io("list", folder))?;
    let is_weights = |path: &PathBuf| {
        let end = path.extension().and_then(|end| end.to_str());
        matches!(end, Some("pt" | "pth" | "bin" | "safetensors" | "ckpt"))
    };
    let mut found: Vec<_> = files.flatten().map(|entry| entry.path()).filter(is_weights).collect();
    found.sort();
    match found.as_slice() {
        [sole] => Ok(sole.clone()),
        several => {
            let names = several.iter().filter_map(|path| path.file_name()?.to_str());
            let names: Vec<&str> = names.take(12).collect();
            let found = match names.as_slice() {
                [] => "a folder without weights".to_owned(),
                names => {
                    format!("a folder of several weight files ({}): name one", names.join(", "))
                }
            };
            Err(CheckpointError::NotRecognized { path: folder.to_path_buf(), found })
        }
    }
}
