//! Which file of a diffusers folder holds the weights.

use std::fs;
use std::path::{Path, PathBuf};

use super::CONFIG;
use crate::CheckpointError;

/// The names that weights may have, in the order in which they are looked for: before the dot of a variant, and
/// behind it.
const WEIGHTS: [(&str, &str); 4] = [
    ("diffusion_pytorch_model", "safetensors"),
    ("diffusion_pytorch_model.safetensors.index", "json"),
    ("diffusion_pytorch_model", "bin"),
    ("diffusion_pytorch_model.bin.index", "json"),
];

/// The file that holds a network's weights, or their index.
#[derive(Debug, PartialEq)]
pub(super) struct WeightFile {
    pub(super) path: PathBuf,
    /// What the weights were saved as, where the name says it: `fp16`.
    pub(super) variant: Option<String>,
}

impl WeightFile {
    /// The weights beside the configuration in `path` or in its subfolder `unet`, with the folder that they lie in.
    ///
    /// # Errors
    /// When a folder cannot be listed, or holds nothing but several variants.
    pub(super) fn find(path: &Path) -> Result<Option<(PathBuf, Self)>, CheckpointError> {
        for folder in [path.to_path_buf(), path.join("unet")] {
            if folder.join(CONFIG).is_file()
                && let Some(weights) = Self::within(&folder)?
            {
                return Ok(Some((folder, weights)));
            }
        }
        Ok(None)
    }

    /// Those without a variant where there are such, else those of the one variant that is there.
    fn within(folder: &Path) -> Result<Option<Self>, CheckpointError> {
        let plain = WEIGHTS.iter().map(|(stem, end)| folder.join(format!("{stem}.{end}")));
        if let Some(path) = plain.into_iter().find(|path| path.is_file()) {
            return Ok(Some(Self { path, variant: None }));
        }
        let files = fs::read_dir(folder).map_err(CheckpointError::io("list", folder))?;
        let names = files.flatten().filter_map(|file| file.file_name().into_string().ok());
        let mut found: Vec<(usize, String, String)> = names
            .filter(|name| folder.join(name).is_file())
            .filter_map(|name| variant_of(&name).map(|(place, variant)| (place, variant, name)))
            .collect();
        found.sort();
        let Some((_, variant, name)) = found.first() else { return Ok(None) };
        if found.iter().any(|(_, other, _)| other != variant) {
            let names: Vec<&str> = found.iter().map(|(.., name)| name.as_str()).collect();
            return Err(CheckpointError::NotRecognized {
                path: folder.to_path_buf(),
                found: format!("a folder of several variants ({}): name one", names.join(", ")),
            });
        }
        Ok(Some(Self { path: folder.join(name), variant: Some(variant.clone()) }))
    }
}

/// The variant in the name of a weight file, and that name's place in the order. A shard has a dash in its name, no
/// variant has.
fn variant_of(name: &str) -> Option<(usize, String)> {
    let between = |(stem, end): &(&str, &str)| {
        let rest = name.strip_prefix(stem)?.strip_prefix('.')?;
        let variant = rest.strip_suffix(end)?.strip_suffix('.')?;
        let is_word = !variant.is_empty()
            && variant.chars().all(|letter| letter.is_alphanumeric() || letter == '_');
        is_word.then(|| variant.to_owned())
    };
    WEIGHTS.iter().enumerate().find_map(|(place, parts)| Some((place, between(parts)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found in a folder of a configuration and empty files of these names.
    fn found(names: &[&str]) -> Result<Option<(String, Option<String>)>, String> {
        let folder = tempfile::tempdir().unwrap();
        for name in names.iter().chain(&[CONFIG]) {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let found = WeightFile::find(folder.path()).map_err(|error| error.to_string())?;
        Ok(found.map(|(_, weights)| {
            let name = weights.path.file_name().unwrap().to_str().unwrap();
            (name.to_owned(), weights.variant)
        }))
    }

    #[track_caller]
    fn check(names: &[&str], expected: &str, variant: Option<&str>) {
        let expected = Some((expected.to_owned(), variant.map(str::to_owned)));
        assert_eq!(found(names).unwrap(), expected);
    }

    #[test]
    fn a_variant_is_taken_where_there_is_nothing_else() {
        for name in [
            "diffusion_pytorch_model.fp16.safetensors",
            "diffusion_pytorch_model.safetensors.index.fp16.json",
            "diffusion_pytorch_model.fp16.bin",
            "diffusion_pytorch_model.bin.index.fp16.json",
        ] {
            check(&[name], name, Some("fp16"));
            for plain in ["diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin"] {
                check(&[name, plain], plain, None);
            }
        }
        check(
            &["diffusion_pytorch_model.non_ema.bin", "diffusion_pytorch_model.non_ema.safetensors"],
            "diffusion_pytorch_model.non_ema.safetensors",
            Some("non_ema"),
        );
    }

    #[test]
    fn shards_and_other_files_are_no_variants() {
        for name in [
            "diffusion_pytorch_model.fp16-00001-of-00002.safetensors",
            "diffusion_pytorch_model-00001-of-00002.fp16.safetensors",
            "diffusion_pytorch_model..safetensors",
            "diffusion_pytorch_model.fp16.msgpack",
        ] {
            assert_eq!(found(&[name]).unwrap(), None, "{name}");
        }
    }

    #[test]
    fn of_several_variants_none_is_taken() {
        let names = ["diffusion_pytorch_model.fp16.bin", "diffusion_pytorch_model.ema.safetensors"];
        let message = found(&names).unwrap_err();
        let listed = format!("({}, {}): name one", names[1], names[0]);
        assert!(message.contains(&listed), "{message}");
    }
}
