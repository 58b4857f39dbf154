//! The images of which measurements are simulated, and pictures that are measurements already.

use super::degradation::Degradation;
use crate::arrays::{Array, ArrayFormat};
use crate::drawing::image_count;
use crate::inputs::{InputArgs, Inputs};
use crate::output::IMAGES;
use crate::run::Run;
use anyhow::{Result, bail, ensure};
use clap::Args;
use std::path::{Path, PathBuf};
use tch::Tensor;
use tweedie_datasets::{OpenOptions, open, scale};
use tweedie_score::{NoiseSource, PerSample};

/// Which images.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Images")]
pub(crate) struct SubjectArgs {
    /// Pictures or files of values from -1 to 1 (.npy or .safetensors), as large as the model's images: nothing is
    /// resized. The measurement is made from them
    #[arg(long = "image", value_name = "FILE", num_args = 1..)]
    files: Vec<PathBuf>,
    /// They are measurements already: small pictures, grey ones, pictures with holes
    #[arg(long, requires = "files")]
    measured: bool,
    /// Where else the images come from: "test" or "train" of the run's data set, or another data set
    #[arg(long, value_name = "WHICH", default_value = "test", conflicts_with = "files")]
    data: String,
    /// The data set, or where that of a run lies now [default: where it lay when the run was trained]
    #[arg(long, value_name = "PATH")]
    source: Option<String>,
    /// Which of its images, from 0, as in 3,4
    #[arg(long, value_name = "N", value_delimiter = ',', conflicts_with = "files")]
    index: Vec<usize>,
    /// So many of its images, drawn at random by the seed
    #[arg(long, value_name = "N", value_parser = image_count, conflicts_with_all = ["files", "index"], allow_negative_numbers = true)]
    limit: Option<usize>,
}

/// The noise of measurements is another than that of the sampling with the same seed.
const MEASURING: u64 = 0x6d65_6173_7572_6564;

/// What is to be restored.
pub(crate) struct Subjects {
    /// The images themselves as states `[n, c, h, w]` on the CPU, where they are known.
    pub(crate) originals: Option<Tensor>,
    /// Their measurements, on the model's device.
    pub(crate) y: Tensor,
    /// What each is called.
    pub(crate) names: Vec<String>,
    /// Their classes, where a data set knows them.
    pub(crate) labels: Vec<Option<usize>>,
    /// Number of levels to which pictures are rounded, of models trained on dequantized images; `None` for
    /// 256, when the images lie between those levels.
    pub(crate) levels: Option<u32>,
}

/// Images read, `[n, c, h, w]` on the CPU.
struct Read {
    values: Tensor,
    names: Vec<String>,
    labels: Vec<Option<usize>>,
    /// Whether all lie on the levels of the model's data.
    on_levels: bool,
}

impl SubjectArgs {
    /// Refuses to restore nothing, and classes of measured pictures.
    ///
    /// # Errors
    /// As said.
    pub(crate) fn check(&self, judged: bool) -> Result<()> {
        if self.files.is_empty() && self.index.is_empty() && self.limit.is_none() {
            bail!("which image? --image names a file, --index or --limit those of --data (test)");
        }
        if judged && !self.files.is_empty() {
            bail!(
                "--judge asks for the class of an image, which --index and --limit of --data know"
            );
        }
        Ok(())
    }

    /// Where the data set lies.
    pub(super) fn source(&self) -> Option<&str> {
        self.source.as_deref()
    }

    /// Opens the images and measures them, with noise of standard deviation `deviation`.
    ///
    /// # Errors
    /// When an image cannot be read or has another shape than the model's images, or a picture that is a
    /// measurement another than measurements have.
    pub(crate) fn open(
        &self,
        run: &Run,
        degradation: &Degradation,
        (deviation, seed): (f64, u64),
    ) -> Result<Subjects> {
        let as_images = degradation.known_pixels(run).is_some();
        let read = if self.measured && !as_images {
            self.measurements(run, degradation)?
        } else {
            self.images(run, seed)?
        };
        let Read { values, names, labels, on_levels } = read;
        let levels = run.dequantized_levels().filter(|_| on_levels);
        let on_device = values.to_device(run.device());
        if self.measured {
            let y = degradation.only_measured(&on_device);
            return Ok(Subjects { originals: None, y, names, labels, levels });
        }
        let clean = degradation.apply(&on_device);
        let mut noise = PerSample::new(seed ^ MEASURING, 0, names.len());
        let y = &clean + noise.normal_like(&clean)? * deviation;
        let y = degradation.only_measured(&y);
        Ok(Subjects { originals: Some(values), y, names, labels, levels })
    }

    /// Images of the model's own shape as its states.
    fn images(&self, run: &Run, seed: u64) -> Result<Read> {
        let inputs = self.inputs(run, seed)?;
        let mut read =
            Read { values: Tensor::new(), names: Vec::new(), labels: Vec::new(), on_levels: true };
        let mut parts = Vec::new();
        for (name, inputs) in &inputs {
            let all = 0..inputs.len();
            parts.push(inputs.within_bins(run, all.clone())?);
            let number = |number: &usize| match (self.files.is_empty(), inputs.len()) {
                (false, 1) => name.clone(),
                _ => format!("{name} {number}"),
            };
            read.names.extend(inputs.numbers().iter().map(number));
            read.labels.extend(inputs.classes(all));
            let levels = if inputs.are_levels() { inputs.levels().ok() } else { run.levels() };
            read.on_levels &= levels == run.levels();
        }
        Ok(Read { values: Tensor::cat(&parts, 0), ..read })
    }

    fn inputs(&self, run: &Run, seed: u64) -> Result<Vec<(String, Inputs)>> {
        let args = |data: &str, limit| InputArgs {
            data: data.to_owned(),
            source: self.source.clone(),
            limit,
            unconditional: true,
        };
        if self.files.is_empty() {
            let inputs = Inputs::as_they_are(run, &args(&self.data, self.limit), seed)?;
            let inputs = if self.index.is_empty() { inputs } else { inputs.at(&self.index)? };
            return Ok(vec![(self.data.clone(), inputs)]);
        }
        let open = |file: &PathBuf| {
            let name = file.display().to_string();
            ensure!(file.is_file(), "--image {name}: there is no such file");
            let inputs = Inputs::as_they_are(run, &args(&name, None), seed)?;
            Ok((name, inputs))
        };
        self.files.iter().map(open).collect()
    }

    /// Pictures of the shape of measurements.
    fn measurements(&self, run: &Run, degradation: &Degradation) -> Result<Read> {
        let shape = degradation.shape(run);
        let (mut parts, mut names) = (Vec::new(), Vec::new());
        for file in &self.files {
            let values = measurement(run, file, shape)?.to_device(run.device());
            let values = degradation.in_range_of(run, &values);
            let name = file.display().to_string();
            match values.size()[0] {
                1 => names.push(name),
                count => names.extend((0..count).map(|number| format!("{name} {number}"))),
            }
            parts.push(values);
        }
        let labels = vec![None; names.len()];
        Ok(Read { values: Tensor::cat(&parts, 0), names, labels, on_levels: false })
    }
}

/// The measurements of a file, of images with values from -1 to 1.
fn measurement(run: &Run, file: &Path, shape: [usize; 3]) -> Result<Tensor> {
    let name = file.display().to_string();
    ensure!(file.is_file(), "--image {name}: there is no such file");
    let (values, got) = if ArrayFormat::of(file).is_some() {
        let Array { shape: [_, c, h, w], values, .. } = Array::read(file, IMAGES)?;
        (values, [c, h, w])
    } else {
        let set = open(&name, &OpenOptions::default())?;
        let set = set.train.joined(&set.test)?;
        // as Inputs puts levels into the middle of their bins, of which the ends are never reached
        let shrunk =
            run.dequantized_levels().map_or(1.0, |levels| (levels - 1) as f32 / levels as f32);
        let value = |level: &u8| shrunk * scale(*level, set.levels());
        (set.images().iter().map(value).collect(), set.shape())
    };
    ensure!(
        got == shape,
        "{name} is of shape {got:?}, and measurements of this model's images are of shape {shape:?} (channels, \
         height, width)"
    );
    let [c, h, w] = shape.map(|side| side as i64);
    Ok(Tensor::from_slice(&values).view([-1, c, h, w]))
}
