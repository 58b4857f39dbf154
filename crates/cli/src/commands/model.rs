//! `tweedie model`: shows what a checkpoint holds.

mod facts;
mod table;

use crate::print;
use crate::run::{Source, open_model};
use anyhow::Result;
use clap::{Args, Subcommand};
use facts::{Facts, Shown, facts};
use serde_json::{Map, Value, json};
use std::path::PathBuf;
use std::process::ExitCode;
use tweedie_training::{Classifier, open_network};
use tweedie_unet::{LayerOutline, UNet};

/// Show what a checkpoint holds
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    command: ModelCommand,
}

#[derive(Debug, Subcommand)]
enum ModelCommand {
    Info(InfoOptions),
}

/// Print family, parameters, layers, cost and conventions of a run or of a checkpoint of another program
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
struct InfoOptions {
    /// The run folder, one of its checkpoints, or a checkpoint of another program
    path: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    source: Source,
}

const EXAMPLES: &str = "\
Examples:
  tweedie model info runs/digits
  tweedie model info ddpm-cifar10-32 --json";

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    match &options.command {
        ModelCommand::Info(options) => info(options)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn info(options: &InfoOptions) -> Result<()> {
    let InfoOptions { path, source, .. } = options;
    if let Ok(classifier) = Classifier::open(path, &source.options()) {
        eprintln!("a classifier of noisy images: {}", path.display());
        return show(&classifier.unet, Shown::Classifier(&classifier), options);
    }
    // a network alone can be shown too: one without a word about its noise
    match open_model(path, source, &source.options()) {
        Ok(model) => show(&model.unet, Shown::Model(&model), options),
        Err(why) => {
            let network = open_network(path, &source.options())?;
            let why = format!("{why:#}");
            show(&network, Shown::Network { why: &why }, options)
        }
    }
}

fn show(network: &UNet, shown: Shown<'_>, options: &InfoOptions) -> Result<()> {
    let (facts, layers) = (facts(network, shown), layers(network, shown)?);
    if options.json {
        return print::line(&serde_json::to_string_pretty(&json(facts, &layers, network)?)?);
    }
    facts.iter().map(table::fact).try_for_each(|line| print::line(&line))?;
    table::costs(&Costs::of(&layers)).iter().try_for_each(|line| print::line(line))?;
    print::line("")?;
    table::layers(&layers).iter().try_for_each(|line| print::line(line))
}

/// The layers for images of the size that is known, else of the least that the network takes.
fn layers(network: &UNet, shown: Shown<'_>) -> Result<Vec<LayerOutline>> {
    let config = network.config();
    let size = match shown.shape() {
        Some([_, height, width]) => [height as i64, width as i64],
        None => config.image_size().unwrap_or([config.size_divisor(); 2]),
    };
    Ok(config.layers(size)?)
}

/// Operations of a layer for one image; a multiplication with an addition is two.
fn operations(layer: &LayerOutline) -> u64 {
    layer.multiply_adds.saturating_mul(2)
}

/// What one image costs.
struct Costs {
    /// Operations of a forward pass; a multiplication with an addition is two.
    operations: u64,
    /// The most bytes that lie beside the weights while a layer runs, in f32.
    inference_bytes: u64,
    /// Bytes of the outputs of all layers, in f32, which a step of training keeps.
    output_bytes: u64,
}

impl Costs {
    fn of(layers: &[LayerOutline]) -> Self {
        let bytes = layers.iter().map(|layer| layer.activation_bytes);
        Self {
            operations: layers.iter().map(operations).fold(0, u64::saturating_add),
            inference_bytes: layers.iter().map(|layer| layer.live_bytes).max().unwrap_or(0),
            output_bytes: bytes.fold(0, u64::saturating_add),
        }
    }
}

fn json(facts: Facts, layers: &[LayerOutline], network: &UNet) -> Result<Value> {
    let costs = Costs::of(layers);
    let costs = [
        ("flop_per_image", json!(costs.operations)),
        ("inference_bytes_per_image", json!(costs.inference_bytes)),
        ("bytes_per_image", json!(costs.output_bytes)),
    ];
    let entries = facts.into_iter().chain(costs);
    let mut object: Map<String, Value> =
        entries.map(|(name, value)| (name.to_lowercase().replace(' ', "_"), value)).collect();
    let layer = |layer: &LayerOutline| {
        json!({
            "name": layer.name,
            "kind": layer.kind,
            "output": layer.output,
            "parameters": layer.parameters,
            "flop": operations(layer),
            "bytes": layer.activation_bytes,
            "live_bytes": layer.live_bytes,
        })
    };
    object.insert("layers".to_owned(), layers.iter().map(layer).collect());
    object.insert("network".to_owned(), serde_json::to_value(network.config())?);
    Ok(Value::Object(object))
}
