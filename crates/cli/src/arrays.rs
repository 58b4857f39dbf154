//! Arrays `[n, c, h, w]` of images or latents on disk, as `NumPy` or safetensors files.

use anyhow::{Context, Result, bail, ensure};
use std::collections::BTreeMap;
use std::path::Path;
use tweedie_checkpoints::{OwnedTensor, TensorFile, write_atomically, write_safetensors};

/// What a safetensors file calls the classes of its images or latents.
const CLASSES: &str = "classes";

/// Images or latents, with their classes if they are known; class `None` is the null class.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Array {
    pub(crate) shape: [usize; 4],
    pub(crate) values: Vec<f32>,
    pub(crate) classes: Option<Vec<Option<usize>>>,
}

/// The form of a file of arrays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ArrayFormat {
    /// An array as `NumPy` saves it: the values alone.
    Numpy,
    /// A safetensors file: the values under their name, and `classes`.
    Safetensors,
}

impl ArrayFormat {
    /// The form that belongs to a path; none where it ends in anything else.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
        match ending.as_deref() {
            Some("npy") => Some(Self::Numpy),
            Some("safetensors") => Some(Self::Safetensors),
            _ => None,
        }
    }
}

impl Array {
    /// Reads the array at `path`, which a safetensors file calls `name`.
    ///
    /// # Errors
    /// When the file cannot be read, does not hold such an array of f32 (or, as `NumPy`, f64) with
    /// four axes, or a value is not finite.
    pub(crate) fn read(path: &Path, name: &str) -> Result<Self> {
        let array = match ArrayFormat::of(path) {
            Some(ArrayFormat::Numpy) => {
                read_numpy(path).with_context(|| path.display().to_string())
            }
            Some(ArrayFormat::Safetensors) => read_safetensors(path, name),
            None => bail!("{}: expected a name that ends in .npy or .safetensors", path.display()),
        };
        let array = array?;
        array.check_finite().with_context(|| path.display().to_string())?;
        Ok(array)
    }

    fn check_finite(&self) -> Result<()> {
        let item: usize = self.shape[1..].iter().product();
        match self.values.iter().position(|value| !value.is_finite()) {
            None => Ok(()),
            Some(place) => bail!(
                "value {} of image {} is {}, expected finite values",
                place % item,
                place / item,
                self.values[place]
            ),
        }
    }

    /// Writes the array in the form of the path's ending; a safetensors file calls it `name` and says
    /// `about` it.
    ///
    /// # Errors
    /// When the ending is unknown or the file cannot be written.
    pub(crate) fn write(&self, path: &Path, name: &str, about: (&str, &str)) -> Result<()> {
        match ArrayFormat::of(path) {
            Some(ArrayFormat::Numpy) => Ok(write_atomically(path, &self.numpy()?)?),
            Some(ArrayFormat::Safetensors) => self.write_safetensors(path, name, about),
            None => bail!("{}: expected a name that ends in .npy or .safetensors", path.display()),
        }
    }

    fn numpy(&self) -> Result<Vec<u8>> {
        use npyz::WriterBuilder;
        let shape = self.shape.map(|side| side as u64);
        let mut bytes = Vec::new();
        let mut writer = npyz::WriteOptions::new()
            .default_dtype()
            .shape(&shape)
            .writer(&mut bytes)
            .begin_nd()?;
        writer.extend(&self.values)?;
        writer.finish()?;
        Ok(bytes)
    }

    fn write_safetensors(&self, path: &Path, name: &str, about: (&str, &str)) -> Result<()> {
        let mut tensors = vec![(name, OwnedTensor::from_f32(&self.shape, &self.values)?)];
        if let Some(classes) = &self.classes {
            let number = |class: &Option<usize>| class.map_or(-1, |class| class as i64);
            let numbers: Vec<i64> = classes.iter().map(number).collect();
            tensors.push((CLASSES, OwnedTensor::from_i64(&[classes.len()], &numbers)?));
        }
        let about = BTreeMap::from([(about.0.to_owned(), about.1.to_owned())]);
        write_safetensors(path, tensors, &about)?;
        Ok(())
    }
}

fn read_numpy(path: &Path) -> Result<Array> {
    let bytes = std::fs::read(path)?;
    let file = npyz::NpyFile::new(&bytes[..])?;
    let shape = four_axes(&file.shape().iter().map(|side| *side as usize).collect::<Vec<_>>())?;
    ensure!(file.order() == npyz::Order::C, "its values lie column by column, expected C order");
    let kind = file.dtype().descr().trim_matches('\'').to_owned();
    ensure!(
        matches!(kind.as_str(), "<f4" | "<f8"),
        "its values are {kind}, expected f32 or f64 (<f4 or <f8)"
    );
    let count = shape.iter().try_fold(1_usize, |n, side| n.checked_mul(*side));
    ensure!(
        count.is_some_and(|count| count <= bytes.len() / 4),
        "it says to hold {shape:?} values, but has {} bytes",
        bytes.len()
    );
    let values = match kind.as_str() {
        "<f4" => file.into_vec::<f32>()?,
        _ => file.into_vec::<f64>()?.into_iter().map(|value| value as f32).collect(),
    };
    Ok(Array { shape, values, classes: None })
}

fn read_safetensors(path: &Path, name: &str) -> Result<Array> {
    let file = TensorFile::open(path)?;
    let shape =
        four_axes(&file.describe(name)?.shape).with_context(|| path.display().to_string())?;
    let classes = if file.contains(CLASSES) { Some(file.read_i64(CLASSES)?) } else { None };
    let known = |class: &i64| usize::try_from(*class).ok();
    let classes: Option<Vec<_>> = classes.map(|all| all.iter().map(known).collect());
    if let Some(classes) = classes.as_ref().filter(|classes| classes.len() != shape[0]) {
        bail!(
            "{} holds {} classes for {} images, expected one each",
            path.display(),
            classes.len(),
            shape[0]
        );
    }
    Ok(Array { shape, values: file.read_f32(name)?, classes })
}

fn four_axes(shape: &[usize]) -> Result<[usize; 4]> {
    match <[usize; 4]>::try_from(shape) {
        Ok(four) if !four.contains(&0) => Ok(four),
        _ => bail!("its shape is {shape:?}, expected [n, channels, height, width], none of them 0"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array() -> Array {
        let values = (0..12).map(|k| k as f32 / 8.0).collect();
        Array { shape: [3, 1, 2, 2], values, classes: Some(vec![Some(4), None, Some(0)]) }
    }

    #[test]
    fn arrays_come_back_as_written() {
        let folder = tempfile::tempdir().unwrap();
        for (name, classes) in [("a.npy", None), ("a.safetensors", array().classes)] {
            let path = folder.path().join(name);
            array().write(&path, "latents", ("scale", "1")).unwrap();
            assert_eq!(Array::read(&path, "latents").unwrap(), Array { classes, ..array() });
        }
    }

    #[test]
    fn what_cannot_be_used_is_refused_with_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npy");
        let refused = |path: &Path, says: &str| {
            let error = format!("{:#}", Array::read(path, "latents").unwrap_err());
            assert!(error.contains(says), "`{says}` is not in: {error}");
        };
        let mut spoilt = array();
        spoilt.values[6] = f32::NAN;
        spoilt.write(&path, "latents", ("", "")).unwrap();
        refused(&path, "value 2 of image 1 is NaN");
        let bytes = array().numpy().unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 4]).unwrap();
        refused(&path, "a.npy");
        // one byte a value, so that there are fewer bytes than so many floats would take
        let text = String::from_utf8_lossy(&bytes[10..128]).replace("<f4", "|u1");
        let small = [&bytes[..10], text.as_bytes(), &[7; 12]].concat();
        std::fs::write(&path, small).unwrap();
        refused(&path, "its values are |u1");
        std::fs::write(&path, "not an array").unwrap();
        refused(&path, "a.npy");
        refused(&folder.path().join("a.gif"), ".safetensors");
        let other = folder.path().join("a.safetensors");
        array().write(&other, "images", ("", "")).unwrap();
        refused(&other, "holds no tensor `latents`");
        let bytes = std::fs::read(&other).unwrap();
        std::fs::write(&other, &bytes[..bytes.len() - 4]).unwrap();
        let error = format!("{:#}", Array::read(&other, "images").unwrap_err());
        assert_eq!(error.matches("a.safetensors").count(), 1, "{error}");
    }
}
