//! `tweedie interpolate`: the way between two images, through their latents.

use crate::arrays::ArrayFormat;
use crate::device::Computation;
use crate::drawing::image_count;
use crate::flow::{Flow, FlowArgs};
use crate::inputs::{InputArgs, Inputs};
use crate::latents::Latents;
use crate::output::{Format, Images, Replacement};
use crate::print;
use crate::run::{Run, Weights};
use anyhow::{Context, Result, bail};
use clap::Args;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tch::Tensor;
use tweedie_likelihood::slerp;

/// Draw the way between two images, or two latents
///
/// Both are carried to their latents, the way between those follows a great circle (spherical
/// interpolation), and each point of it is carried back.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Options {
    /// The run folder, one of its checkpoints, or a checkpoint of another program
    run: PathBuf,
    /// Where the way starts: the number of an image of --data, a picture, or a latent as FILE or
    /// FILE#NUMBER (.npy or .safetensors)
    #[arg(long, value_name = "IMAGE")]
    from: String,
    /// Where it ends
    #[arg(long, value_name = "IMAGE")]
    to: String,
    /// Images along the way, both ends included
    #[arg(long, value_name = "N", default_value_t = 9, value_parser = image_count, allow_negative_numbers = true)]
    steps: usize,
    /// The class to tell the network [default: that of both ends, if it is the same; none for images of
    /// different classes; asked for with latents of different ones]
    #[arg(long, value_name = "CLASS", conflicts_with = "unconditional")]
    class: Option<usize>,
    /// Where to write: .png (one row), .npy, .safetensors, or a folder (one PNG an image) [default: interpolation.png]
    #[arg(long, short, value_name = "PATH")]
    out: Option<PathBuf>,
    #[command(flatten)]
    replacement: Replacement,
    #[command(flatten)]
    inputs: InputArgs,
    #[command(flatten)]
    flow: FlowArgs,
    #[command(flatten)]
    weights: Weights,
    #[command(flatten)]
    computation: Computation,
}

const EXAMPLES: &str = "\
Examples:
  tweedie interpolate runs/digits-vp --from 3 --to 12 --out way.png
  tweedie interpolate runs/digits-vp --from a.png --to b.png --steps 12 --unconditional
  tweedie interpolate runs/digits-vp --from latents.safetensors#0 --to latents.safetensors#5";

/// One end of the way, `[1, c, h, w]`.
struct End {
    state: Tensor,
    is_latent: bool,
    class: Option<usize>,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let out = options.replacement.out(
        &options.run,
        options.out.as_deref(),
        "interpolation.png".as_ref(),
    )?;
    Format::of(&out)?.check(&out)?;
    options.flow.tolerances(options.weights.precision())?;
    if options.steps < 2 {
        bail!("--steps is {}, expected at least 2: both ends", options.steps);
    }
    let run = Run::open(&options.run, &options.weights, &options.computation)?;
    let flow = options.flow.flow(&run)?;
    let ends = [("--from", &options.from), ("--to", &options.to)].map(|(name, text)| {
        End::open(&run, text, options).with_context(|| format!("{name} {text}"))
    });
    let [from, to] = ends;
    let (from, to) = (from?, to?);
    let class = class(&run, [&from, &to], options)?;
    if class.is_none() {
        run.check_unconditional()?;
    }
    let way = way(&flow, [from, to], class, options.steps)?;
    let images = run.as_images(&way);
    let classes = vec![class; options.steps];
    let drawn = Images { images: &images, classes: &classes, levels: run.dequantized_levels() };
    print::line(&drawn.write(&out, Some(options.steps))?)?;
    Ok(ExitCode::SUCCESS)
}

/// The class to tell the network all along: the one asked for, else that of both ends.
fn class(run: &Run, [from, to]: [&End; 2], options: &Options) -> Result<Option<usize>> {
    if let Some(class) = options.class {
        return Ok(run.classes_in_turn(&[class], 1)?[0]);
    }
    if options.inputs.unconditional {
        return Ok(None);
    }
    if from.class != to.class {
        without_class([from, to])?;
        return Ok(None);
    }
    from.class.map_or(Ok(()), |class| run.check_class("--class", class))?;
    Ok(from.class)
}

/// Ends of different classes are walked between without any. That suits images, which are encoded so;
/// a latent would come back as another image than it was.
fn without_class([from, to]: [&End; 2]) -> Result<()> {
    let word =
        |end: &End| end.class.map_or("no class".to_owned(), |class| format!("class {class}"));
    let words = format!("{} and {}", word(from), word(to));
    if from.is_latent || to.is_latent {
        bail!(
            "the ends were encoded with different classes, {words}: one network call can only be told \
             one, --class or --unconditional says which"
        );
    }
    eprintln!("the ends are of {words}: the way is drawn without a class (--class tells one)");
    Ok(())
}

/// The images along the way.
fn way(flow: &Flow<'_>, ends: [End; 2], class: Option<usize>, steps: usize) -> Result<Tensor> {
    let latent = |end: End| match end.is_latent {
        true => Ok(end.state),
        false => flow.encode(&end.state, &[class]),
    };
    let [from, to] = ends.map(latent);
    let (from, to) = (from?, to?);
    let share = |step: usize| step as f64 / (steps - 1) as f64;
    let states: Result<Vec<_>, _> = (0..steps).map(|step| slerp(&from, &to, share(step))).collect();
    flow.decode(&Tensor::cat(&states?, 0), &vec![class; steps])
}

impl End {
    fn open(run: &Run, text: &str, options: &Options) -> Result<Self> {
        let (file, number) = text.rsplit_once('#').unwrap_or((text, "0"));
        if ArrayFormat::of(Path::new(file)).is_some() {
            let number = number.parse().context("expected a whole number after #")?;
            return Self::latent(run, Path::new(file), number);
        }
        let of_set = text.parse::<usize>();
        let args = match of_set {
            Ok(_) => options.inputs.clone(),
            Err(_) => {
                InputArgs { data: text.to_owned(), unconditional: true, ..options.inputs.clone() }
            }
        };
        let inputs = Inputs::open(run, &args, 0)?;
        let number = of_set.unwrap_or(0);
        if number >= inputs.len() {
            bail!("there is no such image, expected 0 to {}", inputs.len() - 1);
        }
        let state = inputs.within_bins(run, number..number + 1)?;
        Ok(Self { state, is_latent: false, class: inputs.classes(number..number + 1)[0] })
    }

    fn latent(run: &Run, path: &Path, number: usize) -> Result<Self> {
        let Latents { states, classes } = Latents::read(run, path)?;
        let count = states.size()[0] as usize;
        if number >= count {
            bail!("there is no latent {number}, expected 0 to {}", count - 1);
        }
        let class = classes.and_then(|classes| classes[number]);
        Ok(Self { state: states.narrow(0, number as i64, 1), is_latent: true, class })
    }
}
