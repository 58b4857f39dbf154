//! What a weight file holds: its tensors, and of which program and network they are by their names.

use std::path::Path;

use super::average::{averaged, without_prefix};
use super::{CheckpointSource, NetworkFamily, WeightChoice, WeightKind};
use crate::{CheckpointError, TensorFile, TorchFile, Value};

/// The tensors of a weight file, and what is known of them by names alone.
#[derive(Debug)]
pub(super) struct Contents {
    pub(super) family: NetworkFamily,
    pub(super) source: CheckpointSource,
    pub(super) weights: TensorFile,
    pub(super) kind: WeightKind,
    /// What the user should know.
    pub(super) note: Option<String>,
}

impl Contents {
    pub(super) fn read(path: &Path, choice: WeightChoice) -> Result<Self, CheckpointError> {
        let (weights, kind) = if is_torch(path)? {
            of_torch(path, choice)?
        } else {
            (TensorFile::open(path)?, WeightKind::Unsaid)
        };
        let weights = without_prefix(weights);
        let (family, source) = recognize(&weights).ok_or_else(|| unknown_names(path, &weights))?;
        let kind = if kind == WeightKind::Unsaid { kind_by_name(path) } else { kind };
        let note = average_beside(path, kind);
        Ok(Self { family, source, weights, kind, note })
    }
}

/// Whether a file is torch's, by its end, or by its beginning where that says nothing.
fn is_torch(path: &Path) -> Result<bool, CheckpointError> {
    match path.extension().and_then(|end| end.to_str()) {
        Some("pt" | "pth" | "bin" | "ckpt") => Ok(true),
        Some("safetensors") => Ok(false),
        _ => {
            let mut start = [0; 4];
            let file = std::fs::File::open(path).map_err(CheckpointError::io("open", path))?;
            let read = std::io::Read::read(&mut &file, &mut start);
            read.map_err(CheckpointError::io("read", path))?;
            Ok(&start == b"PK\x03\x04" || start[0] == 0x80)
        }
    }
}

/// The state of a module in a file of torch, alone or in a training state.
fn of_torch(
    path: &Path,
    choice: WeightChoice,
) -> Result<(TensorFile, WeightKind), CheckpointError> {
    let file = TorchFile::open(path)?;
    let root = file.root();
    if let (Some(model), Some(ema)) = (root.get("model"), root.get("ema")) {
        return of_score_sde(model, ema, choice);
    }
    // a training state without an average
    if let Some(model) = root.get("model").or(root.get("state_dict")) {
        return Ok((model.tensors()?, WeightKind::Raw));
    }
    if let (None, Some(model)) = (root.entries().map(drop), root.get("0")) {
        return of_ncsnv2(root, model, choice);
    }
    match root.tensors() {
        Err(CheckpointError::NotATensor { path, .. }) => {
            Err(CheckpointError::NotRecognized { path, found: format!("it is {}", root.summary()) })
        }
        tensors => Ok((tensors?, WeightKind::Unsaid)),
    }
}

/// `{optimizer, model, ema: {decay, num_updates, shadow_params}, step}`.
fn of_score_sde(
    model: Value<'_>,
    ema: Value<'_>,
    choice: WeightChoice,
) -> Result<(TensorFile, WeightKind), CheckpointError> {
    if choice == WeightChoice::Raw {
        return Ok((model.tensors()?, WeightKind::Raw));
    }
    let decay = ema.get("decay").and_then(Value::as_f64);
    let updates = ema.get("num_updates").and_then(Value::as_i64);
    let tensors = averaged(model, ema.at(&["shadow_params"])?)?;
    Ok((tensors, WeightKind::Averaged { decay, updates }))
}

/// `[model, optimizer, epoch, step, average]`, the last one with names and not always there.
fn of_ncsnv2(
    root: Value<'_>,
    model: Value<'_>,
    choice: WeightChoice,
) -> Result<(TensorFile, WeightKind), CheckpointError> {
    match root.get("4") {
        Some(average) if choice == WeightChoice::Averaged => {
            let kind = WeightKind::Averaged { decay: None, updates: None };
            Ok((average.tensors()?, kind))
        }
        _ => Ok((model.tensors()?, WeightKind::Raw)),
    }
}

/// Names that a state of each network has, and no other's.
fn recognize(weights: &TensorFile) -> Option<(NetworkFamily, CheckpointSource)> {
    let has = |name: &str| weights.contains(name);
    let below = |prefix: &str| weights.names().any(|name| name.starts_with(prefix));
    if has("conv_in.weight") && below("down_blocks.") {
        Some((NetworkFamily::UNet2DModel, CheckpointSource::Diffusers))
    } else if below("all_modules.") {
        Some((NetworkFamily::ScoreSde, CheckpointSource::ScoreSde))
    } else if has("begin_conv.weight") && below("refine1.") {
        Some((NetworkFamily::Ncsnv2, CheckpointSource::Ncsnv2))
    } else if has("time_embed.0.weight") && has("input_blocks.0.0.weight") {
        let decodes = below("output_blocks.");
        let family = if decodes { NetworkFamily::Adm } else { NetworkFamily::AdmEncoder };
        Some((family, CheckpointSource::GuidedDiffusion))
    } else {
        None
    }
}

fn unknown_names(path: &Path, weights: &TensorFile) -> CheckpointError {
    let names: Vec<&str> = weights.names().take(4).collect();
    let found = format!("{} tensors, such as [{}]", weights.len(), names.join(", "));
    CheckpointError::NotRecognized { path: path.to_path_buf(), found }
}

/// `ema_0.9999_500000.pt` and `model500000.pt`, as guided-diffusion names its files.
fn kind_by_name(path: &Path) -> WeightKind {
    let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
    if let Some(rest) = name.strip_prefix("ema_") {
        let mut parts = rest.split('_');
        let decay = parts.next().and_then(|part| part.parse().ok());
        let updates = parts.next().and_then(|part| part.parse().ok());
        return WeightKind::Averaged { decay, updates };
    }
    let step = name.strip_prefix("model").unwrap_or_default();
    let is_step = !step.is_empty() && step.bytes().all(|byte| byte.is_ascii_digit());
    if is_step { WeightKind::Raw } else { WeightKind::Unsaid }
}

/// A word about the average that lies beside raw weights: `ema_0.9999_500000.pt` beside
/// `model500000.pt`.
fn average_beside(path: &Path, kind: WeightKind) -> Option<String> {
    let step = path.file_stem()?.to_str()?.strip_prefix("model")?;
    if kind != WeightKind::Raw {
        return None;
    }
    let names = std::fs::read_dir(path.parent()?).ok()?.flatten();
    let mut names: Vec<_> =
        names.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.retain(|name| name.starts_with("ema_") && name.ends_with(&format!("_{step}.pt")));
    let average = names.iter().min()?;
    Some(format!("these are raw weights; their running average lies beside them: {average}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_average_beside_raw_weights_is_pointed_out() {
        let folder = tempfile::tempdir().unwrap();
        let raw = folder.path().join("model000500.pt");
        assert_eq!(average_beside(&raw, WeightKind::Raw), None);
        std::fs::write(folder.path().join("ema_0.9999_000500.pt"), "").unwrap();
        std::fs::write(folder.path().join("ema_0.9999_000400.pt"), "").unwrap();
        let note = average_beside(&raw, WeightKind::Raw).unwrap();
        assert!(note.ends_with("beside them: ema_0.9999_000500.pt"), "{note}");
        assert_eq!(average_beside(&raw, WeightKind::Unsaid), None);
    }

    #[test]
    fn names_of_files_say_whether_they_hold_an_average() {
        let averaged = WeightKind::Averaged { decay: Some(0.9999), updates: Some(500_000) };
        assert_eq!(kind_by_name(Path::new("run/ema_0.9999_500000.pt")), averaged);
        assert_eq!(kind_by_name(Path::new("run/model500000.pt")), WeightKind::Raw);
        assert_eq!(kind_by_name(Path::new("64x64_diffusion.pt")), WeightKind::Unsaid);
        assert_eq!(kind_by_name(Path::new("model.safetensors")), WeightKind::Unsaid);
    }
}
