//! `tweedie model`: shows what a checkpoint holds.

mod facts;

use crate::print;
use crate::run::{Source, open_model};
use anyhow::Result;
use clap::{Args, Subcommand};
use facts::facts;
use serde_json::{Map, Value, json};
use std::path::PathBuf;
use std::process::ExitCode;
use tweedie_training::{Model, open_network};
use tweedie_unet::UNet;

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
    let facts = facts(network, model);
    if options.json {
        let layers = layers(network);
        let mut object: Map<String, Value> =
            facts.into_iter().map(|(name, value)| (name.replace(' ', "_"), value)).collect();
        object.insert("layers".to_owned(), layers.into());
        object.insert("network".to_owned(), serde_json::to_value(network.config())?);
        return print::line(&serde_json::to_string_pretty(&Value::Object(object))?);
    }
    for (name, value) in &facts {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        print::line(&format!("{name:<16} {text}"))?;
    }
    print::line("\nparameters  weight             layer")?;
    for layer in layers(network) {
        let (count, shape) = (&layer["parameters"], layer["weight"].to_string());
        print::line(&format!("{count:>10}  {shape:<18} {}", layer["name"].as_str().unwrap_or("")))?;
    }
    Ok(())
}

/// A layer: its name, the shape of its weight, and its values in all.
fn layers(network: &UNet) -> Vec<Value> {
    let mut layers: Vec<(String, Vec<i64>, usize)> = Vec::new();
    for (name, tensor) in network.parameters().iter() {
        let module = name.rsplit_once('.').map_or(name, |(module, _)| module);
        match layers.last_mut().filter(|(last, ..)| last == module) {
            Some((_, shape, count)) => {
                *count += tensor.numel();
                if tensor.dim() > shape.len() {
                    *shape = tensor.size();
                }
            }
            None => layers.push((module.to_owned(), tensor.size(), tensor.numel())),
        }
    }
    let row = |(name, shape, count)| json!({"name": name, "weight": shape, "parameters": count});
    layers.into_iter().map(row).collect()
}
