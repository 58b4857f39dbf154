//! Writing images in the form that the file's ending asks for.

use crate::arrays::Array;
use anyhow::{Context, Result, bail};
use clap::Args;
use std::path::{Path, PathBuf};
use tch::Tensor;
use tweedie_datasets::{GridLayout, grid, save_png, to_picture, to_picture_dequantized};
use tweedie_training::is_run;

/// What a safetensors file calls its images.
pub(crate) const IMAGES: &str = "images";

/// What it says about them.
const ABOUT: (&str, &str) = ("range", "-1 to 1; class -1 is the null class");

/// The forms images can be written in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// One PNG with all images in a grid.
    Grid,
    /// A folder with one PNG an image.
    Folder,
    /// An array as `NumPy` saves it, f32 `[n, c, h, w]` in `[-1, 1]`.
    Numpy,
    /// A safetensors file with `images` (as the array) and `classes`.
    Safetensors,
}

impl Format {
    /// Refuses a path that cannot be written, before anything is drawn for it; makes its folder.
    pub(crate) fn check(&self, path: &Path) -> Result<()> {
        match self {
            Self::Folder => check_writable(path, path),
            _ => check_file(path),
        }
    }

    /// The form that belongs to a path.
    pub(crate) fn of(path: &Path) -> Result<Self> {
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
        match ending.as_deref() {
            Some("png") => Ok(Self::Grid),
            Some("npy") => Ok(Self::Numpy),
            Some("safetensors") => Ok(Self::Safetensors),
            None => Ok(Self::Folder),
            Some(_) if path.is_dir() => Ok(Self::Folder),
            Some(other) => bail!(
                "--out {} ends in .{other}, expected .png (a grid), .npy, .safetensors, \
                 or no ending (a folder of PNGs)",
                path.display()
            ),
        }
    }
}

/// Whether a file that nobody named is replaced.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Replacement {
    /// Replace the file that is written where --out names none. Of a run it always is; a checkpoint of
    /// another program is asked about in any folder, so what lies there may be something else
    #[arg(long)]
    overwrite: bool,
}

impl Replacement {
    /// Where a command on a model writes: where it was told, or else to `default`.
    ///
    /// # Errors
    /// When nothing was told, `default` exists, and it is not known to be the model's.
    pub(crate) fn out(&self, model: &Path, told: Option<&Path>, default: &Path) -> Result<PathBuf> {
        match told {
            Some(out) => Ok(out.to_path_buf()),
            None if self.overwrite || is_run(model) || !default.exists() => {
                Ok(default.to_path_buf())
            }
            None => bail!(
                "{} exists already: --out names another place, --overwrite replaces it",
                default.display()
            ),
        }
    }
}

/// Refuses a path where no file can be written, before anything is computed; makes its folder.
///
/// # Errors
/// When it is a folder, or its own folder cannot be made or written to.
pub(crate) fn check_file(path: &Path) -> Result<()> {
    if path.is_dir() {
        bail!("--out {} is a folder, expected the name of a file", path.display());
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    check_writable(path, parent.unwrap_or(Path::new(".")))
}

fn check_writable(path: &Path, folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder)
        .and_then(|()| tempfile::tempfile_in(folder).map(drop))
        .with_context(|| format!("--out {}: cannot write there", path.display()))
}

/// Refuses drawn images or latents `[n, c, h, w]` that are not all finite: there is nothing to see in them.
///
/// # Errors
/// As said.
pub(crate) fn check_finite(drawn: &Tensor) -> Result<()> {
    let spoilt = drawn.isfinite().logical_not().flatten(1, -1).any_dim(-1, false);
    let places: Vec<i64> = Vec::try_from(spoilt.nonzero().flatten(0, -1))?;
    let Some(first) = places.first() else { return Ok(()) };
    bail!(
        "{} of {} drawn images hold values that are not finite, the first of them image {first}: nothing is \
         written. The sampling went out of range; weaker guidance, --clip or more --steps may hold it",
        places.len(),
        drawn.size()[0]
    )
}

/// Images `[n, c, h, w]` in `[-1, 1]` with their classes.
pub(crate) struct Images<'a> {
    /// Number of levels of a model trained on dequantized images.
    pub(crate) levels: Option<u32>,
    pub(crate) images: &'a Tensor,
    pub(crate) classes: &'a [Option<usize>],
}

impl Images<'_> {
    fn shape(&self) -> Result<[usize; 4]> {
        let size: Vec<usize> = self.images.size().iter().map(|side| *side as usize).collect();
        <[usize; 4]>::try_from(size).ok().context("images have four axes")
    }

    /// All values, image after image.
    fn values(&self) -> Result<Vec<f32>> {
        Ok(Vec::try_from(self.images.contiguous().flatten(0, -1))?)
    }

    /// Eight-bit pixels and the shape `[c, h, w]` of one image.
    fn pixels(&self) -> Result<(Vec<u8>, [usize; 3])> {
        let [_, c, h, w] = self.shape()?;
        let values = self.values()?;
        let bytes = match self.levels {
            Some(levels) => to_picture_dequantized(&values, levels),
            None => to_picture(&values),
        };
        Ok((bytes, [c, h, w]))
    }

    fn array(&self) -> Result<Array> {
        let classes = Some(self.classes.to_vec());
        Ok(Array { shape: self.shape()?, values: self.values()?, classes })
    }

    fn write_grid(&self, path: &Path, columns: Option<usize>) -> Result<()> {
        let (pixels, shape) = self.pixels()?;
        let fitting = GridLayout::fitting(self.classes.len(), shape[1], shape[2]);
        let layout = GridLayout { columns: columns.unwrap_or(fitting.columns), ..fitting };
        Ok(save_png(&grid(&pixels, shape, layout)?, path)?)
    }

    /// Writes in the form of the path's ending; returns what was written, in words.
    ///
    /// # Errors
    /// When an image is not finite, and when it cannot be written.
    pub(crate) fn write(&self, path: &Path, columns: Option<usize>) -> Result<String> {
        check_finite(self.images)?;
        let count = self.classes.len();
        match Format::of(path)? {
            Format::Grid => {
                self.write_grid(path, columns)?;
                Ok(format!("{count} images in a grid: {}", path.display()))
            }
            Format::Folder => {
                self.write_folder(path)?;
                Ok(format!("{count} images in {}", path.display()))
            }
            Format::Numpy => {
                self.array()?.write(path, IMAGES, ABOUT)?;
                Ok(format!("{count} images as an array: {}", path.display()))
            }
            Format::Safetensors => {
                self.array()?.write(path, IMAGES, ABOUT)?;
                Ok(format!("{count} images as tensors: {}", path.display()))
            }
        }
    }

    fn write_folder(&self, folder: &Path) -> Result<()> {
        let (pixels, shape) = self.pixels()?;
        let images = pixels.chunks_exact(shape.iter().product());
        let plain = GridLayout { columns: 1, scale: 1, padding: 0 };
        let name = |index: usize, class: &Option<usize>| match class {
            Some(class) => folder.join(format!("{index:05}-class-{class}.png")),
            None => folder.join(format!("{index:05}.png")),
        };
        for (index, (class, image)) in self.classes.iter().zip(images).enumerate() {
            save_png(&grid(image, shape, plain)?, &name(index, class))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_that_are_not_finite_are_not_written() {
        let folder = tempfile::tempdir().unwrap();
        let images = Tensor::zeros([3, 1, 2, 2], (tch::Kind::Float, tch::Device::Cpu));
        let _ = images.get(1).fill_(f64::NAN);
        let _ = images.get(2).get(0).get(1).get(1).fill_(f64::INFINITY);
        for name in ["a.png", "a.npy", "a.safetensors", "folder"] {
            let path = folder.path().join(name);
            let drawn = Images { levels: None, images: &images, classes: &[None; 3] };
            let error = drawn.write(&path, None).unwrap_err().to_string();
            assert!(error.starts_with("2 of 3 drawn images hold values"), "{error}");
            assert!(error.contains("the first of them image 1"), "{error}");
            assert!(!path.exists());
        }
        assert!(check_finite(&images.narrow(0, 0, 1)).is_ok());
    }
}
