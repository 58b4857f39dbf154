//! Draws the networks of `docs/networks.md`: `cargo run -p tweedie-unet --example diagrams -- docs/pictures`.
//!
//! Every picture is made of [`ArchitectureConfig::layers`] alone: a column of layers for the way down, one
//! for the way up, a box for every size of the features, and lines for what is kept and joined again.

use std::fmt::Write as _;

use serde_json::{Value, json};
use tweedie_unet::{ArchitectureConfig, LayerOutline, Path};

type Failure = Box<dyn std::error::Error>;

const LINE: usize = 15;
const COLUMN: usize = 480;
const GAP: usize = 70;
const MARGIN: usize = 16;

fn main() -> Result<(), Failure> {
    let folder = std::env::args().nth(1).ok_or("usage: diagrams FOLDER")?;
    for (name, side, values) in networks() {
        let values = values.as_object().cloned().unwrap_or_default();
        let config = ArchitectureConfig::from_values(values)?;
        let layers = config.layers([side, side])?;
        std::fs::write(format!("{folder}/network-{name}.svg"), Picture::of(&layers).svg())?;
    }
    Ok(())
}

/// Name, side of the images and configuration of the networks that are drawn.
fn networks() -> Vec<(&'static str, i64, Value)> {
    let skip = |attends: bool| if attends { "AttnSkipDownBlock2D" } else { "SkipDownBlock2D" };
    let skips: Vec<_> = [false, true, false, false].map(skip).into();
    let ups: Vec<_> = skips.iter().rev().map(|name| name.replace("Down", "Up")).collect();
    let score_sde = json!({
        "family": "score-sde",
        "training": {"continuous": true},
        "data": {"image_size": 32, "centered": false, "num_channels": 3, "channels": 3},
        "model": {
            "name": "ncsnpp", "sigma_min": 0.01, "sigma_max": 50.0, "num_scales": 1000, "dropout": 0.1,
            "embedding_type": "fourier", "scale_by_sigma": true, "normalization": "GroupNorm",
            "nonlinearity": "swish", "nf": 128, "ch_mult": [1, 2, 2, 2], "num_res_blocks": 4,
            "attn_resolutions": [16], "resamp_with_conv": true, "conditional": true, "fir": true,
            "fir_kernel": [1, 3, 3, 1], "skip_rescale": true, "resblock_type": "biggan",
            "progressive": "none", "progressive_input": "residual", "progressive_combine": "sum",
            "attention_type": "ddpm", "init_scale": 0.0, "fourier_scale": 16, "conv_size": 3
        }
    });
    vec![
        (
            "ddpm",
            32,
            json!({
                "family": "diffusers", "block_out_channels": [128, 256, 256, 256],
                "down_block_types":
                    ["DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"],
                "up_block_types": ["UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"],
                "attention_head_dim": null, "downsample_padding": 0
            }),
        ),
        (
            "diffusers-skip",
            32,
            json!({
                "family": "diffusers", "block_out_channels": [128, 256, 256, 256],
                "down_block_types": skips, "up_block_types": ups, "attention_head_dim": null,
                "layers_per_block": 1, "norm_num_groups": null, "time_embedding_type": "fourier"
            }),
        ),
        ("ncsnpp", 32, score_sde),
        (
            "adm",
            64,
            json!({
                "family": "adm", "image_size": 64, "model_channels": 192, "out_channels": 6,
                "num_res_blocks": 3, "attention_resolutions": [2, 4, 8], "dropout": 0.1,
                "channel_mult": [1, 2, 3, 4], "num_classes": 1000, "num_head_channels": 64,
                "use_scale_shift_norm": true, "resblock_updown": true,
                "use_new_attention_order": true
            }),
        ),
        (
            "adm-classifier",
            64,
            json!({
                "family": "adm-encoder", "image_size": 64, "model_channels": 128,
                "out_channels": 1000, "num_res_blocks": 4, "attention_resolutions": [2, 4, 8],
                "channel_mult": [1, 2, 3, 4], "num_head_channels": 64,
                "use_scale_shift_norm": true, "resblock_updown": true, "pool": "attention"
            }),
        ),
        (
            "ncsnv2",
            32,
            json!({
                "family": "ncsnv2", "class": "NCSNv2",
                "data": {
                    "image_size": 32, "channels": 3, "logit_transform": false, "rescaled": false
                },
                "model": {
                    "ngf": 128, "num_classes": 232, "sigma_begin": 50.0, "sigma_end": 0.01,
                    "sigma_dist": "geometric", "normalization": "InstanceNorm++",
                    "nonlinearity": "elu", "spec_norm": false
                }
            }),
        ),
    ]
}

/// The layers of one size, going down and going up.
#[derive(Default)]
struct Level<'a> {
    size: [i64; 2],
    down: Vec<&'a LayerOutline>,
    up: Vec<&'a LayerOutline>,
    skips: usize,
}

struct Picture<'a> {
    embedding: Option<&'a LayerOutline>,
    levels: Vec<Level<'a>>,
    two_ways: bool,
}

impl<'a> Picture<'a> {
    fn of(layers: &'a [LayerOutline]) -> Self {
        let turn = layers.iter().position(|layer| layer.joins.is_some()).unwrap_or(layers.len());
        let mut levels: Vec<Level<'a>> = Vec::new();
        let embedding = layers.iter().find(|layer| layer.path == Path::Embedding);
        for (index, layer) in layers.iter().enumerate() {
            if layer.path == Path::Embedding {
                continue;
            }
            let size = [layer.output[1], layer.output[2]];
            let place = levels.iter().position(|level| level.size == size).unwrap_or_else(|| {
                levels.push(Level { size, ..Level::default() });
                levels.len() - 1
            });
            let level = &mut levels[place];
            level.skips += usize::from(layer.joins.is_some());
            if index < turn { level.down.push(layer) } else { level.up.insert(0, layer) }
        }
        Self { embedding, levels, two_ways: turn < layers.len() }
    }

    fn svg(&self) -> String {
        let mut body = String::new();
        let mut y = MARGIN;
        if let Some(embedding) = self.embedding {
            let text = format!("times, classes → {} values → every block", embedding.output[0]);
            y = boxed(&mut body, MARGIN, y, &[(text, "#7a4")]) + 24;
        }
        for level in &self.levels {
            let (top, [height, width]) = (y, level.size);
            let title = format!("{height}×{width}");
            for (x, layers) in [(MARGIN, &level.down), (MARGIN + COLUMN + GAP, &level.up)] {
                if !layers.is_empty() {
                    y = y.max(boxed(&mut body, x, top, &lines(&title, layers)));
                }
            }
            if level.skips > 0 {
                arrow(&mut body, top + LINE, level.skips);
            }
            y += 24;
        }
        let width = 2 * MARGIN + if self.two_ways { 2 * COLUMN + GAP } else { COLUMN };
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {y}\" width=\"{width}\" \
             font-family=\"monospace\" font-size=\"11\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n{body}</svg>\n"
        )
    }
}

/// A title and one line a layer, each with its colour.
fn lines(title: &str, layers: &[&LayerOutline]) -> Vec<(String, &'static str)> {
    let line = |layer: &&LayerOutline| {
        let [channels, ..] = layer.output;
        let colour = match layer.path {
            Path::InputImages | Path::OutputImages => "#b50",
            _ if layer.kind.contains("attention") => "#928",
            _ => "#236",
        };
        (format!("{:<33} {:>4}  {}", layer.kind, channels, layer.name), colour)
    };
    std::iter::once((title.to_owned(), "#000")).chain(layers.iter().map(line)).collect()
}

/// A box with lines of text; gives where it ends.
fn boxed(svg: &mut String, x: usize, y: usize, lines: &[(String, &str)]) -> usize {
    let height = lines.len() * LINE + 8;
    let _ = writeln!(
        svg,
        "<rect x=\"{x}\" y=\"{y}\" width=\"{COLUMN}\" height=\"{height}\" rx=\"4\" fill=\"#f4f6fa\" \
         stroke=\"#99a\"/>"
    );
    for (index, (text, colour)) in lines.iter().enumerate() {
        let (x, y) = (x + 8, y + (index + 1) * LINE);
        let _ = writeln!(
            svg,
            "<text x=\"{x}\" y=\"{y}\" fill=\"{colour}\" xml:space=\"preserve\">{text}</text>"
        );
    }
    y + height
}

/// What a size keeps on the way down and joins on the way up.
fn arrow(svg: &mut String, y: usize, count: usize) {
    let (from, to) = (MARGIN + COLUMN, MARGIN + COLUMN + GAP);
    let (tip, middle, above) = (to - 7, (from + to) / 2, y - 5);
    let _ = writeln!(
        svg,
        "<path d=\"M{from} {y} H{to} M{tip} {} L{to} {y} L{tip} {}\" stroke=\"#99a\" fill=\"none\"/>\n\
         <text x=\"{middle}\" y=\"{above}\" text-anchor=\"middle\" fill=\"#555\">{count} joined</text>",
        y - 4,
        y + 4
    );
}
