//! `tweedie restore`: images from linear measurements of them.

use crate::inverse::{Degradation, Known, Restoration};
use crate::run::Run;
use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;
use tweedie_guidance::{GuidanceError, Separable};

/// Restore images of which a linear measurement is known
///
/// What was done to them is said by one option, or by several, done in this order: --blur, --downsample or
/// --bicubic, --grey or --mix, --mask (of the size that the others leave). With --measurement-noise the
/// measurement is noisy; --by ddrm and --by posterior make the most of such ones.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Options {
    #[command(flatten)]
    done: Done,
    #[command(flatten)]
    restoration: Restoration,
}

/// What was done to the images.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Measurement")]
struct Done {
    /// Blurred by a normal density of this standard deviation, in pixels
    #[arg(long, value_name = "PIXELS", allow_hyphen_values = true)]
    blur: Option<f64>,
    /// Made smaller: the mean of each box of FACTOR times FACTOR pixels
    #[arg(long, value_name = "FACTOR", allow_negative_numbers = true, conflicts_with = "bicubic")]
    downsample: Option<usize>,
    /// Made smaller by a bicubic filter
    #[arg(long, value_name = "FACTOR", allow_negative_numbers = true)]
    bicubic: Option<usize>,
    /// Made grey: the mean of the channels
    #[arg(long, conflicts_with = "mix")]
    grey: bool,
    /// Channels mixed by a matrix, its rows divided by ';': 0.3,0.6,0.1 is one grey channel of three
    #[arg(long, value_name = "ROWS", value_parser = matrix, allow_hyphen_values = true)]
    mix: Option<Matrix>,
    /// A picture that is white (from half grey on) where a pixel is known, black or transparent where not
    #[arg(long, value_name = "FILE")]
    mask: Option<PathBuf>,
}

/// Rows of numbers.
#[derive(Clone, Debug, PartialEq)]
struct Matrix(Vec<Vec<f64>>);

fn matrix(text: &str) -> Result<Matrix, String> {
    let row = |row: &str| row.split(',').map(|word| word.trim().parse().ok()).collect();
    let rows: Option<Vec<Vec<f64>>> = text.split(';').map(row).collect();
    rows.map(Matrix).ok_or_else(|| "expected numbers as 0.3,0.6,0.1 or 1,0,0;0,1,0".to_owned())
}

const EXAMPLES: &str = "\
Examples:
  tweedie restore runs/digits-vp --index 3,4 --downsample 2
  tweedie restore runs/digits-vp --index 3 --blur 1 --measurement-noise 0.05 --by ddrm
  tweedie restore runs/digits-vp --index 3 --blur 0.7 --downsample 2 --by posterior
  tweedie restore runs/cifar10 --image small.png --measured --bicubic 4";

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    options.done.check()?;
    options.restoration.run("restored.png", |run| options.done.degradation(run))
}

impl Done {
    fn check(&self) -> Result<()> {
        let Self { blur, downsample, bicubic, grey, mix, mask } = self;
        let given = [
            blur.is_some(),
            downsample.is_some(),
            bicubic.is_some(),
            *grey,
            mix.is_some(),
            mask.is_some(),
        ];
        if given.contains(&true) {
            return Ok(());
        }
        bail!(
            "what was done to the images? --downsample, --bicubic, --blur, --grey, --mix or --mask says it"
        );
    }

    /// What was done as a map of a model's images.
    fn degradation(&self, run: &Run) -> Result<Degradation> {
        let Some((map, words)) = self.product(run.unpadded_shape())? else {
            let path = self.mask.as_deref().context("a mask")?;
            return Ok(Degradation::mask(run, &Known::of_picture(path, run.image_size(), false)?));
        };
        let known = match (&self.mask, map.shape_of_measurement().as_slice()) {
            (Some(path), &[_, height, width]) => {
                Some(Known::of_picture(path, [height, width], false)?)
            }
            _ => None,
        };
        let masked = known.as_ref().map(|known| format!(", {}", known.words));
        let words = words + &masked.unwrap_or_default();
        Ok(Degradation::linear(run, map, known.as_ref(), words)?)
    }

    /// The product of all but the mask, and its words; `None` if there is nothing else.
    fn product(&self, shape: [usize; 3]) -> Result<Option<(Separable, String)>> {
        let mut product = Product { shape, map: None, words: Vec::new() };
        if let Some(deviation) = self.blur {
            let blur = Separable::blur(shape, deviation).context("--blur")?;
            product.then(blur, format!("blur of {deviation} pixels"))?;
        }
        if let Some(factor) = self.downsample {
            let boxes =
                Separable::box_downsampling(product.shape, factor).context("--downsample")?;
            product.then(boxes, format!("means of {factor}x{factor} pixels"))?;
        }
        if let Some(factor) = self.bicubic {
            let cubic =
                Separable::bicubic_downsampling(product.shape, factor).context("--bicubic")?;
            product.then(cubic, format!("bicubic downsampling by {factor}"))?;
        }
        if self.grey {
            ensure!(shape[0] > 1, "--grey: the model's images have {} channel", shape[0]);
            product.then(Separable::grey(product.shape), "mean of the channels".to_owned())?;
        }
        if let Some(Matrix(rows)) = &self.mix {
            product.then(mixed(product.shape, rows)?, "mixed channels".to_owned())?;
        }
        Ok(product.map.map(|map| (map, product.words.join(", "))))
    }
}

/// Maps done one after the other.
struct Product {
    /// What the last of them gives.
    shape: [usize; 3],
    map: Option<Separable>,
    words: Vec<String>,
}

impl Product {
    fn then(&mut self, next: Separable, words: String) -> Result<(), GuidanceError> {
        let product = match &self.map {
            Some(first) => next.after(first)?,
            None => next,
        };
        self.shape = product.shape_of_measurement().try_into().unwrap_or(self.shape);
        self.map = Some(product);
        self.words.push(words);
        Ok(())
    }
}

/// The channels mixed, rows and columns as they are.
fn mixed([channels, height, width]: [usize; 3], rows: &[Vec<f64>]) -> Result<Separable> {
    if let Some(row) = rows.iter().find(|row| row.len() != channels) {
        bail!("--mix has a row of {} numbers, expected {channels}, one a channel", row.len());
    }
    if rows.iter().flatten().any(|entry| entry.is_nan()) {
        bail!("--mix has a number that is NaN, expected numbers of at most 1e6");
    }
    // what is measured is held in single precision
    let largest = rows.iter().flatten().fold(0.0, |most: f64, entry| most.max(entry.abs()));
    if !(1e-6..=1e6).contains(&largest) {
        bail!("--mix has {largest} as its largest number, expected one from 1e-6 to 1e6");
    }
    let identity = |length: usize| -> Vec<Vec<f64>> {
        let row = |i: usize| (0..length).map(|j| if i == j { 1.0 } else { 0.0 }).collect();
        (0..length).map(row).collect()
    };
    Separable::new(&[rows.to_vec(), identity(height), identity(width)]).context("--mix")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        done: Done,
    }

    fn done(words: &str) -> Done {
        Line::parse_from(["x"].into_iter().chain(words.split_whitespace())).done
    }

    #[test]
    fn what_was_done_is_one_map_in_order() {
        let (map, words) =
            done("--blur 1.5 --bicubic 2 --grey").product([3, 8, 4]).unwrap().unwrap();
        assert_eq!(
            (map.shape_of_item(), map.shape_of_measurement()),
            (vec![3, 8, 4], vec![1, 4, 2])
        );
        assert_eq!(words, "blur of 1.5 pixels, bicubic downsampling by 2, mean of the channels");
        let (map, _) = done("--mix 1,0,0;0,0.5,0.5").product([3, 2, 2]).unwrap().unwrap();
        assert_eq!(map.shape_of_measurement(), [2, 2, 2]);
        assert!(done("--mask x.png").product([3, 2, 2]).unwrap().is_none());
    }

    #[test]
    fn impossible_measurements_are_refused_by_name() {
        for (words, says) in [
            ("--downsample 3", "downsampling factor is 3, expected a divisor"),
            ("--downsample 0", "downsampling factor is 0"),
            ("--bicubic 5", "downsampling factor is 5"),
            ("--blur 0", "deviation of the blur is 0"),
            ("--blur -1", "deviation of the blur is -1"),
            ("--blur nan", "deviation of the blur is NaN"),
            ("--grey", "have 1 channel"),
            ("--mix 1,2", "a row of 2 numbers, expected 1"),
            ("--mix 0", "--mix has 0 as its largest number"),
            ("--mix 1;nan", "--mix has a number that is NaN"),
            ("--mix 1e39", "expected one from 1e-6 to 1e6"),
            ("--mix 1e-30", "expected one from 1e-6 to 1e6"),
        ] {
            let error = done(words).product([1, 8, 8]).unwrap_err();
            assert!(format!("{error:#}").contains(says), "{words}: {error:#}");
        }
        let error = done("").check().unwrap_err().to_string();
        assert!(error.contains("what was done"), "{error}");
    }
}
