//! Images that a command is given: of a data set, or values in a file.

use crate::arrays::{Array, ArrayFormat};
use crate::output::IMAGES;
use crate::run::Run;
use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use tch::Tensor;
use tweedie_checkpoints::sha256;
use tweedie_datasets::{Dataset, OpenOptions, epoch_order, open, picture_byte, scale};
use tweedie_likelihood::DataScaling;
use tweedie_training::DataRange;

/// Which images.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Images")]
pub(crate) struct InputArgs {
    /// "test" or "train" of the run's data set; or another data set or picture; or values on the
    /// scale -1 to 1, as .npy or .safetensors
    #[arg(long, value_name = "WHICH", default_value = "test")]
    pub(crate) data: String,
    /// The data set, or where that of a run lies now [default: where it lay when the run was trained]
    #[arg(long, value_name = "PATH")]
    pub(crate) source: Option<String>,
    /// At most so many of them, drawn at random by the seed [default: all]
    #[arg(long, value_name = "N", value_parser = crate::drawing::image_count, allow_negative_numbers = true)]
    pub(crate) limit: Option<usize>,
    /// Do not tell the network the classes of the images
    #[arg(long)]
    pub(crate) unconditional: bool,
}

/// The furthest from 0 that a value on the scale -1 to 1 may be: the network's estimates that an image was
/// drawn from may miss the range, but not by this much.
const FURTHEST: f32 = 10.0;

/// Images that fit a run, in order.
#[derive(Debug)]
pub(crate) struct Inputs {
    values: Values,
    shape: [usize; 3],
    classes: Vec<Option<usize>>,
    numbers: Vec<usize>,
    args: InputArgs,
    data_range: DataRange,
}

#[derive(Debug)]
enum Values {
    /// Levels of a data set.
    Levels(Dataset),
    /// Numbers of a file, and as many levels as the run's data have.
    Numbers(Vec<f32>, Option<u32>),
}

impl Inputs {
    /// Opens the images asked for and holds them against the run.
    ///
    /// # Errors
    /// When there are none, they cannot be read, have another shape than the run's or values that are
    /// not finite or on another scale, or lack the classes that the network is to be told.
    pub(crate) fn open(run: &Run, args: &InputArgs, seed: u64) -> Result<Self> {
        let size = match run.config() {
            Some(config) => config.data.size,
            None => Some(run.image_size()),
        };
        let inputs = Self::read(run, args, size)?;
        inputs.warn_of_other_levels(run);
        let inputs = inputs.told_classes(run)?;
        let inputs = match args.limit {
            Some(limit) => inputs.some(limit, seed),
            None => inputs,
        };
        inputs.check_range()?;
        Ok(inputs)
    }

    /// Opens the images asked for at the size that they have, with the classes that they have: the network
    /// is told none of them.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub(crate) fn as_they_are(run: &Run, args: &InputArgs, seed: u64) -> Result<Self> {
        let inputs = Self::read(run, args, None)?;
        inputs.check_range()?;
        Ok(match args.limit {
            Some(limit) => inputs.some(limit, seed),
            None => inputs,
        })
    }

    /// Reads images and holds their shape against the run's; pictures are cut and resized to `size`.
    fn read(run: &Run, args: &InputArgs, size: Option<[usize; 2]>) -> Result<Self> {
        let path = Path::new(&args.data);
        let Images { values, shape, classes } = match args.data.as_str() {
            "test" | "train" => of_run(run, args)?,
            _ if ArrayFormat::of(path).is_some() => of_file(run, path)?,
            other => {
                let splits = open(other, &OpenOptions { size, ..OpenOptions::default() })?;
                of_set(run, on_levels(splits.train.joined(&splits.test)?, run.levels())?)?
            }
        };
        let numbers = (0..classes.len()).collect();
        let data_range = run.data_range();
        Ok(Self { values, shape, classes, numbers, args: args.clone(), data_range })
    }

    /// Says that levels are not the run's, where that is so.
    fn warn_of_other_levels(&self, run: &Run) {
        if let (Values::Levels(set), Some(levels)) = (&self.values, run.levels())
            && set.levels() != levels
        {
            eprintln!(
                "warning: {} has values of {} levels, this model was trained on {levels}: bits/dim are \
                 those of {1} levels, and mean nothing beside those of {levels}",
                set.name(),
                set.levels()
            );
        }
    }

    /// Those of the images at these places.
    ///
    /// # Errors
    /// When there is no such image.
    pub(crate) fn at(mut self, places: &[usize]) -> Result<Self> {
        let count = self.numbers.len();
        if let Some(place) = places.iter().find(|place| **place >= count) {
            bail!("{} has no image {place}, expected 0 to {}", self.args.data, count - 1);
        }
        self.numbers = places.iter().map(|place| self.numbers[*place]).collect();
        Ok(self)
    }

    /// At most `count` train images of the run, of which the network is told the classes as of these.
    ///
    /// # Errors
    /// When the run's data set is not there.
    pub(crate) fn of_train(&self, run: &Run, count: usize, seed: u64) -> Result<Self> {
        let args = InputArgs { data: "train".to_owned(), limit: Some(count), ..self.args.clone() };
        Self::open(run, &args, seed)
    }

    fn told_classes(mut self, run: &Run) -> Result<Self> {
        let (classes, args) = (run.class_count(), &self.args);
        if args.unconditional || classes == 0 {
            run.check_unconditional()?;
            self.classes.fill(None);
            return Ok(self);
        }
        if self.classes.contains(&None) {
            run.check_unconditional()?;
        }
        if self.classes.contains(&None) && matches!(self.values, Values::Levels(_)) {
            bail!(
                "{} has no classes, which this model is told; --unconditional asks it without",
                args.data
            );
        }
        match self.classes.iter().flatten().find(|class| **class >= classes) {
            Some(class) => bail!("{} has class {class}, the model 0 to {}", args.data, classes - 1),
            None => Ok(self),
        }
    }

    /// At most `limit` of the images, drawn without repetition, in their own order.
    fn some(mut self, limit: usize, seed: u64) -> Self {
        if limit > self.len() {
            eprintln!("--limit {limit}: there are {} images, all are taken", self.len());
        }
        let mut drawn = epoch_order(seed, 0, self.numbers.len());
        drawn.truncate(limit);
        drawn.sort_unstable();
        self.numbers = drawn.into_iter().map(|place| self.numbers[place]).collect();
        self
    }

    /// Number of images.
    pub(crate) fn len(&self) -> usize {
        self.numbers.len()
    }

    /// The number of each image in what they were taken from.
    pub(crate) fn numbers(&self) -> &[usize] {
        &self.numbers
    }

    /// The sha256 of the values, and of the classes that the network is told.
    pub(crate) fn checksum(&self) -> String {
        let classes = self.classes(0..self.len()).into_iter();
        let classes =
            classes.flat_map(|class| class.map_or(-1, |class| class as i64).to_le_bytes());
        let values = self.numbers_of(0..self.len()).into_iter().flat_map(f32::to_le_bytes);
        sha256(&classes.chain(values).collect::<Vec<_>>())
    }

    /// Values of one image, its padding included.
    pub(crate) fn dimensions(&self) -> usize {
        self.shape.iter().product()
    }

    /// The classes of some images, as the network is told them.
    pub(crate) fn classes(&self, range: Range<usize>) -> Vec<Option<usize>> {
        self.numbers[range].iter().map(|number| self.classes[*number]).collect()
    }

    /// How many values lie outside the scale of -1 to 1, and the furthest of them: those of drawn images
    /// may, levels never do.
    pub(crate) fn outside_scale(&self) -> Option<(usize, f32)> {
        if self.are_levels() {
            return None;
        }
        let values = self.numbers_of(0..self.len()).into_iter();
        let outside: Vec<f32> = values.filter(|value| value.abs() > 1.0).collect();
        let furthest = outside.iter().copied().max_by(|a, b| a.abs().total_cmp(&b.abs()))?;
        Some((outside.len(), furthest))
    }

    /// Refuses values on another scale, and says where some lie outside of it.
    fn check_range(&self) -> Result<()> {
        let Some((count, furthest)) = self.outside_scale() else { return Ok(()) };
        let (name, all) = (&self.args.data, self.len() * self.dimensions());
        if furthest.abs() > FURTHEST {
            bail!(
                "{name} holds the value {furthest}: its values are on another scale, expected that of -1 to 1"
            );
        }
        eprintln!(
            "warning: {count} of the {all} values of {name} lie outside -1 to 1, the range of the data ({furthest} \
             is the furthest): the model was trained on none like them"
        );
        Ok(())
    }

    /// Whether the images are levels, whose bins are to be filled with noise.
    pub(crate) fn are_levels(&self) -> bool {
        matches!(self.values, Values::Levels(_))
    }

    /// Number of levels of the data.
    ///
    /// # Errors
    /// When nothing says it.
    pub(crate) fn levels(&self) -> Result<u32> {
        match &self.values {
            Values::Levels(set) => Ok(set.levels()),
            Values::Numbers(_, levels) => levels.context(
                "nothing says how many values a pixel can take in the data; --levels does, as in \
                 --levels 256",
            ),
        }
    }

    /// Some images `[n, c, h, w]` on the CPU as the run's network was trained to see them: levels in the
    /// middle of their bins if it was trained on dequantized ones.
    ///
    /// # Errors
    /// When the data have a single level.
    pub(crate) fn within_bins(&self, run: &Run, range: Range<usize>) -> Result<Tensor> {
        let scaled = self.scaled(range);
        if !self.are_levels() || run.dequantized_levels().is_none() {
            return Ok(scaled);
        }
        let scaling = DataScaling::new(self.levels()?, self.data_range.ends())?;
        Ok(scaling.middles(&scaled))
    }

    /// Some images `[n, c, h, w]` on the CPU in the range of the model's data: levels scaled so that the
    /// first is its lower end and the last its upper end, numbers as they are.
    pub(crate) fn scaled(&self, range: Range<usize>) -> Tensor {
        let [c, h, w] = self.shape.map(|side| side as i64);
        let images = Tensor::from_slice(&self.numbers_of(range.clone()));
        self.data_range.from_symmetric(&images.view([range.len() as i64, c, h, w]))
    }

    fn numbers_of(&self, range: Range<usize>) -> Vec<f32> {
        let numbers = &self.numbers[range];
        match &self.values {
            Values::Levels(set) => {
                let levels = set.levels();
                let images = numbers.iter().flat_map(|number| set.image(*number));
                images.map(|level| scale(*level, levels)).collect()
            }
            Values::Numbers(all, _) => {
                let item = self.dimensions();
                let image = |number: &usize| &all[number * item..(number + 1) * item];
                numbers.iter().flat_map(image).copied().collect()
            }
        }
    }
}

/// Images of any source, and the class of each where it is known.
struct Images {
    values: Values,
    shape: [usize; 3],
    classes: Vec<Option<usize>>,
}

/// The test or train images of the run's data set.
fn of_run(run: &Run, args: &InputArgs) -> Result<Images> {
    let data = run.data(args.source.as_deref(), "--source")?;
    let set = match args.data.as_str() {
        "train" => data.train,
        _ => {
            let name = data.train.name().to_owned();
            data.held_out
                .with_context(|| format!("the data set {name} holds no test images out"))?
        }
    };
    of_set(run, std::sync::Arc::unwrap_or_clone(set))
}

fn of_set(run: &Run, set: Dataset) -> Result<Images> {
    ensure!(!set.is_empty(), "{} holds no images", set.name());
    check_shape(set.name(), set.shape(), run.unpadded_shape())?;
    let [_, height, width] = run.shape();
    let set = set.padded([height, width])?;
    let classes = match set.labels() {
        Some(labels) => labels.iter().map(|label| Some(*label as usize)).collect(),
        None => vec![None; set.len()],
    };
    let shape = set.shape();
    Ok(Images { values: Values::Levels(set), shape, classes })
}

/// A data set on the levels of a run: a picture of these, in which they are spread over 0 to 255, is
/// taken back to them. What has values in between stays as it is.
fn on_levels(set: Dataset, levels: Option<u32>) -> Result<Dataset> {
    let Some(levels) = levels.filter(|levels| *levels != set.levels()) else { return Ok(set) };
    let of_byte: BTreeMap<u8, u8> =
        (0..=255).take(levels as usize).map(|level| (picture_byte(level, levels), level)).collect();
    let level = |byte: &u8| of_byte.get(byte).copied().filter(|_| set.levels() == 256);
    let Some(images) = set.images().iter().map(level).collect() else { return Ok(set) };
    let on_levels = Dataset::new(set.name(), images, set.shape(), levels)?;
    Ok(match set.labels() {
        Some(labels) => on_levels.with_labels(labels.to_vec(), set.class_names().to_vec())?,
        None => on_levels,
    })
}

/// The images of a file of numbers, of the network's own shape.
fn of_file(run: &Run, path: &Path) -> Result<Images> {
    let Array { shape: [count, c, h, w], values, classes } = Array::read(path, IMAGES)?;
    let shape = [c, h, w];
    check_shape(&path.display().to_string(), shape, run.shape())?;
    let classes = classes.unwrap_or_else(|| vec![None; count]);
    Ok(Images { values: Values::Numbers(values, run.levels()), shape, classes })
}

/// Refuses images of another shape than the run's.
pub(crate) fn check_shape(name: &str, got: [usize; 3], expected: [usize; 3]) -> Result<()> {
    ensure!(
        got == expected,
        "{name} holds images of shape {got:?}, this model takes {expected:?} (channels, height, width)"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_of_the_levels_of_a_run_is_taken_back_to_them() {
        let levels: Vec<u8> = (0..17).chain(0..3).collect();
        let bytes: Vec<u8> = levels.iter().map(|level| picture_byte(*level, 17)).collect();
        let picture = Dataset::new("a picture", bytes.clone(), [1, 4, 5], 256).unwrap();
        let taken = on_levels(picture, Some(17)).unwrap();
        assert_eq!((taken.levels(), taken.images()), (17, &levels[..]));
        let between = bytes.iter().map(|byte| byte.saturating_add(1)).collect();
        let picture = Dataset::new("a picture", between, [1, 4, 5], 256).unwrap();
        assert_eq!(on_levels(picture.clone(), Some(17)).unwrap().levels(), 256);
        assert_eq!(on_levels(picture, Some(256)).unwrap().levels(), 256);
    }
}
