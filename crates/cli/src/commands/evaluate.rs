//! `tweedie evaluate`: how good are the images of a run, and are they new?

use crate::device::Computation;
use crate::drawing::Drawing;
use crate::generate::Request;
use crate::guide::{Guidance, Guide};
use crate::registry::Method;
use crate::run::{Run, Weights};
use crate::{print, progress};
use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use ndarray::{Array2, ArrayView2};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;
use tweedie_datasets::Dataset;
use tweedie_evaluation::{
    Images, Inputs, Report, evaluate, pixels_of_dequantized, pixels_of_levels, pixels_of_scaled,
};
use tweedie_training::RunData;

/// Measure the quality of a run's images, and whether it memorizes
///
/// Draws images with the classes of the data set's own images, and compares them with the real ones:
/// the share of images whose nearest real neighbours have the class asked for, Frechet distance on raw
/// pixels, diversity within a class, distance to the nearest training image. Beside each figure stands what real images reach.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Options {
    /// The run folder, one of its checkpoints, or a checkpoint of another program
    run: PathBuf,
    /// Number of images to draw [default: as many as in the reference, at most 10000]
    #[arg(long, short = 'n', value_name = "N", value_parser = clap::value_parser!(u32).range(2..=1_000_000))]
    count: Option<u32>,
    /// The real images to compare with
    #[arg(long, value_enum, default_value = "train")]
    reference: Reference,
    /// The data set, or where that of a run lies now [default: where it lay when the run was trained]
    #[arg(long, value_name = "PATH")]
    data: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
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

/// Real images to compare with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Reference {
    /// Those trained on
    Train,
    /// Those trained on and those held out
    All,
}

const EXAMPLES: &str = "\
Examples:
  tweedie evaluate runs/digits
  tweedie evaluate runs/digits --guidance 2
  tweedie evaluate runs/digits --classifier runs/digits-classifier --untold --guidance 2
  tweedie evaluate runs/digits --reference all --steps 20 --eta 1 --json";

/// More images than these change the figures less than their own noise.
const MOST_SAMPLES: usize = 10_000;

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    // the classes asked for are those of the real images
    options.guidance.check(true)?;
    let run = Run::open(&options.run, &options.weights, &options.computation)?;
    let guide = options.guidance.open(&run)?;
    let data = run.data(options.data.as_deref(), "--data")?;
    let reference = match options.reference {
        Reference::Train => Dataset::clone(&data.train),
        Reference::All => data.all()?,
    };
    let known = guide.class_count(&run);
    if known > 0 && reference.classes() > known {
        bail!("the data set has {} classes, and {known} can be asked for", reference.classes());
    }
    let asked = asked_classes(known, &reference, options.count);
    if options.guidance.is_given() && asked.contains(&None) {
        bail!("guidance needs classes to ask for, and the data set has no labels");
    }
    let started = Instant::now();
    let samples = draw(&run, options, &guide, &asked)?;
    let seconds = started.elapsed().as_secs_f64();
    let report = judge(samples.view(), &asked, &reference, &data, options.drawing.seed)?;
    if options.json {
        print::line(&json(&report, options, (&run, &guide), seconds)?)?;
    } else {
        print::line(&table(&report))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The class of each image to draw: those of the reference, evenly spread, so that the shares agree.
fn asked_classes(known: usize, reference: &Dataset, count: Option<u32>) -> Vec<Option<usize>> {
    let count = count.map_or(reference.len().min(MOST_SAMPLES), |count| count as usize);
    let labels = reference.labels().filter(|_| known > 0);
    let class = |k: usize| labels.map(|labels| labels[k * labels.len() / count] as usize);
    if count <= reference.len() {
        (0..count).map(class).collect()
    } else {
        let at = |k: usize| labels.map(|labels| labels[k % labels.len()] as usize);
        (0..count).map(at).collect()
    }
}

/// Draws the images: rows of pixels in `[0, 1]`, without padding.
fn draw(
    run: &Run,
    options: &Options,
    guide: &Guide,
    classes: &[Option<usize>],
) -> Result<Array2<f32>> {
    let request = Request {
        classes,
        batch_size: options.drawing.batch_size,
        seed: options.drawing.seed,
        method: &options.method,
        guide,
    };
    let generation = request.planned(run)?;
    let bar = generation.bar();
    let images = run.as_images(&generation.images(&bar)?);
    bar.finish_and_clear();
    let values = Vec::<f32>::try_from(images.contiguous().flatten(0, -1))?;
    let item = values.len() / classes.len();
    Ok(match run.dequantized_levels() {
        Some(levels) => pixels_of_dequantized(&values, item, levels)?,
        None => pixels_of_scaled(&values, item)?,
    })
}

fn judge(
    drawn: ArrayView2<'_, f32>,
    asked: &[Option<usize>],
    reference: &Dataset,
    data: &RunData,
    seed: u64,
) -> Result<Report> {
    let item = reference.item_len();
    let pixels = |set: &Dataset| pixels_of_levels(set.images(), item, set.levels());
    let train = pixels(&data.train)?;
    let held_out = match &data.held_out {
        Some(images) => pixels(images)?,
        None => Array2::zeros((0, item)),
    };
    let real = pixels(reference)?;
    let classes: Option<Vec<u32>> = asked.iter().map(|class| class.map(|c| c as u32)).collect();
    let inputs = Inputs {
        samples: Images { pixels: drawn, classes: classes.as_deref() },
        reference: Images { pixels: real.view(), classes: reference.labels() },
        train: Some(train.view()),
        held_out: held_out.view(),
        seed,
    };
    let bar = progress::bar(0, "{bar:32} {pos}/{len} {msg}");
    let report = evaluate(&inputs, &mut |at| {
        bar.set_length(at.total as u64);
        bar.set_position(at.done as u64);
        bar.set_message(at.stage);
    })?;
    bar.finish_and_clear();
    Ok(report)
}

/// The report as JSON, with what it was measured on.
fn json(
    report: &Report,
    options: &Options,
    (run, guide): (&Run, &Guide),
    seconds: f64,
) -> Result<String> {
    let mut value = serde_json::to_value(report)?;
    let about = [
        ("run", serde_json::to_value(&options.run)?),
        ("step", run.step().into()),
        ("sampler", options.method.suited_to(run).describe(run.schedule()).into()),
        ("guidance", guide.describe().into()),
        ("seed", options.drawing.seed.into()),
        ("reference_images", format!("{:?}", options.reference).to_lowercase().into()),
        ("sampling_seconds", seconds.into()),
    ];
    if let Some(object) = value.as_object_mut() {
        object.extend(about.map(|(key, value)| (key.to_owned(), value)));
    }
    Ok(serde_json::to_string_pretty(&value)?)
}

/// The report for a person: each figure beside what real images reach.
fn table(report: &Report) -> String {
    let share = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.3}"));
    let [low, high] = report.frechet_distance_halves_range;
    let rows = [
        ("".to_owned(), "generated".to_owned(), "real".to_owned()),
        (
            "class agreement (3 nearest real images)".to_owned(),
            share(report.class_agreement),
            format!("{} leave one out", share(report.class_agreement_real)),
        ),
        (
            "Frechet distance of pixels".to_owned(),
            format!("{:.4}", report.frechet_distance),
            format!("{low:.4} to {high:.4} between random halves"),
        ),
        (
            "diversity (distance within a class)".to_owned(),
            format!("{:.3}", report.diversity),
            format!("{:.3}", report.diversity_real),
        ),
        (
            "distance to the nearest real image".to_owned(),
            format!("{:.3}", report.nearest_real_distance),
            format!("{:.3} leave one out", report.nearest_real_distance_real),
        ),
        (
            "distance to the nearest training image".to_owned(),
            format!("{:.3}", report.nearest_train_distance),
            format!("{} held-out images", share(report.nearest_train_distance_held_out)),
        ),
    ];
    let heading = format!(
        "{} images against {} real ones (trained on {}, held out {})\n",
        report.samples, report.reference, report.train, report.held_out
    );
    let line =
        |(name, got, real): &(String, String, String)| format!("\n{name:<40} {got:>10}   {real}");
    heading + &rows.iter().map(line).collect::<String>()
}
