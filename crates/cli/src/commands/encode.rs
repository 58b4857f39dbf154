//! `tweedie encode`: carries images to their latents.

use crate::device::Computation;
use crate::drawing::{Drawing, batches};
use crate::flow::FlowArgs;
use crate::inputs::{InputArgs, Inputs};
use crate::latents::{self, Latents};
use crate::output::Replacement;
use crate::run::{Run, Weights};
use crate::{print, progress};
use anyhow::Result;
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;
use tch::{Kind, Tensor};
use tweedie_likelihood::RoundTripError;

/// Carry images along the probability flow to their latents
///
/// The flow has no noise: `tweedie decode` carries the latents back. How far they then are from the
/// images is measured and printed.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Options {
    /// The run folder, one of its checkpoints, or a checkpoint of another program
    run: PathBuf,
    /// Where to write the latents: .safetensors (with the classes of the images) or .npy [default: latents.safetensors]
    #[arg(long, short, value_name = "PATH")]
    out: Option<PathBuf>,
    #[command(flatten)]
    replacement: Replacement,
    /// Do not carry the latents back, which measures the error of the round trip
    #[arg(long)]
    no_round_trip: bool,
    #[command(flatten)]
    inputs: InputArgs,
    #[command(flatten)]
    flow: FlowArgs,
    #[command(flatten)]
    drawing: Drawing,
    #[command(flatten)]
    weights: Weights,
    #[command(flatten)]
    computation: Computation,
}

const EXAMPLES: &str = "\
Examples:
  tweedie encode runs/digits-vp --limit 16 --out latents.safetensors
  tweedie encode runs/digits-vp --data three.png --unconditional --out three.npy";

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let out = options.replacement.out(
        &options.run,
        options.out.as_deref(),
        "latents.safetensors".as_ref(),
    )?;
    latents::check_path(&out)?;
    options.flow.tolerances(options.weights.precision())?;
    let run = Run::open(&options.run, &options.weights, &options.computation)?;
    let flow = options.flow.flow(&run)?;
    let inputs = Inputs::open(&run, &options.inputs, options.drawing.seed)?;
    let bar = progress::images(inputs.len());
    let (mut states, mut trip) = (Vec::new(), RoundTripError::default());
    for range in batches(inputs.len(), options.drawing.batch_size) {
        let (x, classes) =
            (inputs.within_bins(&run, range.clone())?, inputs.classes(range.clone()));
        let latent = flow.encode(&x, &classes)?;
        if !options.no_round_trip {
            let error = (&x - flow.decode(&latent, &classes)?).to_kind(Kind::Double);
            trip.extend(Vec::<f64>::try_from(error.flatten(0, -1))?);
        }
        states.push(latent);
        bar.inc(range.len() as u64);
    }
    bar.finish_and_clear();
    let classes = Some(inputs.classes(0..inputs.len()));
    Latents { states: Tensor::cat(&states, 0), classes }.write(&out)?;
    if !options.no_round_trip {
        let (largest, rms) = (trip.largest(), trip.root_mean_square());
        print::line(&format!("round trip: {largest:.2e} at most, {rms:.2e} root mean square"))?;
    }
    print::line(&format!("{} latents: {}", inputs.len(), out.display()))?;
    Ok(ExitCode::SUCCESS)
}
