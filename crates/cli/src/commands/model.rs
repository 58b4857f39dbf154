//! `tweedie model`: shows what a checkpoint holds.

mod facts;

use crate::print;
use crate::run::{Source, open_model};
use anyhow::Result;
use clap::{Args, Subcommand};
use facts::{Facts, facts};
use serde_json::{Map, Value, json};
use std::path::PathBuf;
use std::process::ExitCode;
use tweedie_training::{Model, open_network};
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
    // a network alone can be shown too: a classifier, or one without a word about its noise
    match open_model(path, source, &source.options()) {
        Ok(model) => show(&model.unet, Some(&model), options),
        Err(why) => {
            let network = open_network(path, &source.options())?;
            eprintln!("the network alone: {why:#}");
            show(&network, None, options)
        }
    }
}

fn show(network: &UNet, model: Option<&Model>, options: &InfoOptions) -> Result<()> {
    let (facts, layers) = (facts(network, model), layers(network, model)?);
    if options.json {
        return print::line(&serde_json::to_string_pretty(&json(facts, &layers, network)?)?);
    }
    let costs = costs(&layers).into_iter().map(|(name, value)| (name, words(name, value)));
    let facts = facts.into_iter().map(|(name, value)| (name, text(&value)));
    for (name, value) in facts.chain(costs) {
        print::line(&format!("{name:<20} {value}"))?;
    }
    print::line("\nparameters       GFLOP  output           kind                  layer")?;
    layers.iter().try_for_each(|layer| print::line(&row(layer)))
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The layers for images of the size that is known, else of the least that the network takes.
fn layers(network: &UNet, model: Option<&Model>) -> Result<Vec<LayerOutline>> {
    let config = network.config();
    let known = model.map(|model| model.images().shape);
    let size = match known {
        Some([_, height, width]) => [height as i64, width as i64],
        None => config.image_size().unwrap_or([config.size_divisor(); 2]),
    };
    Ok(config.layers(size)?)
}

/// What one image costs: operations, and bytes of the values that a step of training keeps.
fn costs(layers: &[LayerOutline]) -> [(&'static str, u64); 2] {
    let operations: u64 = layers.iter().map(|layer| 2 * layer.multiply_adds).sum();
    let bytes: u64 = layers.iter().map(|layer| layer.activation_bytes).sum();
    [(OPERATIONS, operations), (BYTES, bytes)]
}

const OPERATIONS: &str = "FLOP per image";
const BYTES: &str = "bytes per image";

fn words(name: &str, value: u64) -> String {
    match name {
        OPERATIONS => format!("{:.3} G in one forward pass", value as f64 / 1e9),
        _ => format!("{:.2} MB of layers' outputs in f32", value as f64 / 1e6),
    }
}

fn row(layer: &LayerOutline) -> String {
    let LayerOutline { name, kind, output: [channels, height, width], .. } = layer;
    let operations = 2.0 * layer.multiply_adds as f64 / 1e9;
    let output = format!("{channels}x{height}x{width}");
    format!("{:>10}  {operations:>10.4}  {output:<15}  {kind:<20}  {name}", layer.parameters)
}

fn json(facts: Facts, layers: &[LayerOutline], network: &UNet) -> Result<Value> {
    let costs = costs(layers).map(|(name, value)| (name, json!(value)));
    let entries = facts.into_iter().chain(costs);
    let mut object: Map<String, Value> =
        entries.map(|(name, value)| (name.to_lowercase().replace(' ', "_"), value)).collect();
    let layer = |layer: &LayerOutline| {
        json!({
            "name": layer.name,
            "kind": layer.kind,
            "output": layer.output,
            "parameters": layer.parameters,
            "flop": 2 * layer.multiply_adds,
            "bytes": layer.activation_bytes,
        })
    };
    object.insert("layers".to_owned(), layers.iter().map(layer).collect());
    object.insert("network".to_owned(), serde_json::to_value(network.config())?);
    Ok(Value::Object(object))
}
