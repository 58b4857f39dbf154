//! Linear inverse problems: images of which a measurement is known, completed by a model.

mod degradation;
mod judge;
mod region;
mod report;
mod restoring;
mod subjects;

pub(crate) use degradation::Degradation;
pub(crate) use region::{Known, Region};

use crate::device::Computation;
use crate::drawing::{Drawing, image_count};
use crate::guide::Guidance;
use crate::output::{Format, Replacement};
use crate::print;
use crate::registry::{Method, Way};
use crate::run::{Run, Weights};
use anyhow::{Result, bail};
use clap::Args;
use judge::Judge;
use report::{Asked, Report};
use restoring::Restoring;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;
use subjects::SubjectArgs;

/// Noise beyond this buries everything that a measurement in single precision says of the data.
const MOST_NOISE: f64 = 1e6;

/// What all commands that restore images share.
#[derive(Clone, Debug, Args)]
pub(crate) struct Restoration {
    /// The run folder, one of its checkpoints, or a checkpoint of another program
    run: PathBuf,
    /// Restorations of each image
    #[arg(long, short = 'n', value_name = "N", default_value_t = 8, value_parser = image_count, allow_negative_numbers = true)]
    count: usize,
    /// Where to write: .png (a row for each image: the original, the measurement, the restorations), or the
    /// restorations alone as .npy, .safetensors or a folder (one PNG each) [default: a .png named after the
    /// command]
    #[arg(long, short, value_name = "PATH")]
    out: Option<PathBuf>,
    #[command(flatten)]
    replacement: Replacement,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Have the nearest training images tell the class of each restoration: how often is it that of the
    /// original, beside what filling in the mean image reaches
    #[arg(long)]
    judge: bool,
    /// Classes to tell the model, one an image, taken in turn [default: none]
    #[arg(
        long = "class",
        value_name = "CLASS",
        value_delimiter = ',',
        allow_negative_numbers = true
    )]
    classes: Vec<usize>,
    /// Standard deviation of the noise in the measurement, in units of the data, whose values go from -1 to 1 (in
    /// few models of other programs from 0 to 1). It is added to measurements made here, and known of all
    #[arg(
        long = "measurement-noise",
        value_name = "SIGMA",
        default_value_t = 0.0,
        allow_hyphen_values = true,
        help_heading = "Measurement"
    )]
    measurement_noise: f64,
    #[command(flatten)]
    subjects: SubjectArgs,
    #[command(flatten)]
    way: Way,
    #[command(flatten)]
    drawing: Drawing,
    #[command(flatten)]
    guidance: Guidance,
    #[command(flatten)]
    method: Method,
    #[command(flatten)]
    weights: Weights,
    #[command(flatten)]
    computation: Computation,
}

impl Restoration {
    /// Restores what `degrade` measures of the images of a model; `name` is that of the picture, where none is
    /// asked for.
    ///
    /// # Errors
    /// When an option is out of range, an image does not fit, or the measurement knows nothing or everything:
    /// before the network runs.
    pub(crate) fn run(
        &self,
        name: &str,
        degrade: impl FnOnce(&Run) -> Result<Degradation>,
    ) -> Result<ExitCode> {
        self.check()?;
        let out = &self.replacement.out(&self.run, self.out.as_deref(), Path::new(name))?;
        Format::of(out)?.check(out)?;
        let run = Run::open(&self.run, &self.weights, &self.computation)?;
        let degradation = degrade(&run)?;
        let noise = (self.measurement_noise, self.drawing.seed);
        let subjects = self.subjects.open(&run, &degradation, noise)?;
        let guide = self.guidance.open(&run)?;
        if guide.moves_the_mean() {
            bail!(
                "--guidance-form mean goes with tweedie sample and evaluate; here the form is score"
            );
        }
        let classes =
            self.classes_of_images(&run, guide.class_count(&run), subjects.names.len())?;
        let judge = match self.judge {
            true => Some(Judge::open(&run, &self.subjects, &degradation, &subjects)?),
            false => None,
        };
        let method = self.way.method(&self.method, &run)?;
        let restoring = Restoring {
            run: &run,
            degradation: &degradation,
            subjects: &subjects,
            deviation: self.measurement_noise,
            classes: &classes,
            guide: &guide,
            way: &self.way,
            method: &method,
            drawing: self.drawing,
            count: self.count,
        };
        let planned = restoring.planned()?;
        let started = Instant::now();
        let states = planned.states()?;
        let asked = Asked { path: &self.run, seconds: started.elapsed().as_secs_f64() };
        let report = Report::of(&restoring, &planned, &states, judge.as_ref())?;
        let written = report::write(&restoring, &states, out)?;
        if self.json {
            print::line(&report.json(&restoring, &asked)?)?;
        } else {
            report.lines().iter().try_for_each(|line| print::line(line))?;
            print::line(&written)?;
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Refuses what can be refused without the model.
    fn check(&self) -> Result<()> {
        if !(0.0..=MOST_NOISE).contains(&self.measurement_noise) {
            bail!(
                "--measurement-noise is {}, expected a number from 0 to 1e6",
                self.measurement_noise
            );
        }
        self.subjects.check(self.judge)?;
        self.way.check()?;
        self.guidance.check(!self.classes.is_empty())?;
        if self.guidance.is_given() && self.classes.is_empty() {
            bail!("--guidance steers towards a class: --class says which");
        }
        Ok(())
    }

    /// The class of each image, `None` where none is asked for.
    fn classes_of_images(
        &self,
        run: &Run,
        known: usize,
        images: usize,
    ) -> Result<Vec<Option<usize>>> {
        if self.classes.is_empty() {
            return Ok(vec![None; images]);
        }
        if self.classes.len() > images {
            bail!(
                "--class names {} classes for {images} image(s), expected at most one an image",
                self.classes.len()
            );
        }
        run.classes_below(known, &self.classes, images)
    }
}
