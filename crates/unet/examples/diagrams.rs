//! Draws networks for `docs/networks.md` out of their configurations in `examples/networks`:
//! `cargo run -p tweedie-unet --example diagrams -- docs/pictures ddpm ncsnpp`.
//!
//! Every picture is made of [`ArchitectureConfig::layers`] alone: a column of layers for the way down, one
//! for the way up, a box for every size of the features, and lines for what is kept and joined again.

use std::fmt::Write as _;

use tweedie_unet::{ArchitectureConfig, LayerOutline, Path};

type Failure = Box<dyn std::error::Error>;

const NETWORKS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/networks");

const LINE: usize = 15;
/// At most what a character of a fixed-width font of that size takes, in tenths of a pixel.
const CHARACTER: usize = 67;
const GAP: usize = 70;
const MARGIN: usize = 16;

fn main() -> Result<(), Failure> {
    let usage = "usage: diagrams FOLDER NETWORK...";
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or(usage)?;
    for name in arguments {
        let text = std::fs::read_to_string(format!("{NETWORKS}/{name}.json"))?;
        let config = ArchitectureConfig::from_values(serde_json::from_str(&text)?)?;
        let size = config.image_size().ok_or("the configuration says no size of images")?;
        let layers = config.layers(size)?;
        std::fs::write(format!("{folder}/network-{name}.svg"), Picture::of(&layers).svg())?;
    }
    Ok(())
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
    /// How wide boxes are: as the longest line asks.
    column: usize,
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
        let longest = layers.iter().map(|layer| line(layer).0.chars().count()).max();
        let column = (longest.unwrap_or(0) * CHARACTER).div_ceil(10) + 16;
        Self { embedding, levels, two_ways: turn < layers.len(), column }
    }

    fn svg(&self) -> String {
        let Self { column, .. } = *self;
        let mut body = String::new();
        let mut y = MARGIN;
        if let Some(embedding) = self.embedding {
            let values = embedding.output[0];
            let text = format!("{} → {values} values → every block", embedding.kind);
            y = boxed(&mut body, (MARGIN, y, column), &[(text, "#7a4")]) + 24;
        }
        for level in &self.levels {
            let (top, [height, width]) = (y, level.size);
            let title = format!("{height}×{width}");
            for (x, layers) in [(MARGIN, &level.down), (MARGIN + column + GAP, &level.up)] {
                if !layers.is_empty() {
                    y = y.max(boxed(&mut body, (x, top, column), &lines(&title, layers)));
                }
            }
            if level.skips > 0 {
                arrow(&mut body, (MARGIN + column, top + LINE), level.skips);
            }
            y += 24;
        }
        let width = 2 * MARGIN + if self.two_ways { 2 * column + GAP } else { column };
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {y}\" width=\"{width}\" \
             font-family=\"monospace\" font-size=\"11\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n{body}</svg>\n"
        )
    }
}

/// A title and one line a layer, each with its colour.
fn lines(title: &str, layers: &[&LayerOutline]) -> Vec<(String, &'static str)> {
    let layers = layers.iter().map(|layer| line(layer));
    std::iter::once((title.to_owned(), "#000")).chain(layers).collect()
}

fn line(layer: &LayerOutline) -> (String, &'static str) {
    let [channels, ..] = layer.output;
    let colour = match layer.path {
        Path::InputImages | Path::OutputImages => "#b50",
        _ if layer.kind.contains("attention") => "#928",
        _ => "#236",
    };
    (format!("{:<33} {:>4}  {}", layer.kind, channels, layer.name), colour)
}

/// A box of a width, with lines of text; gives where it ends.
fn boxed(
    svg: &mut String,
    (x, y, width): (usize, usize, usize),
    lines: &[(String, &str)],
) -> usize {
    let height = lines.len() * LINE + 8;
    let _ = writeln!(
        svg,
        "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"4\" fill=\"#f4f6fa\" \
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

/// What a size keeps on the way down and joins on the way up, from a box to the next.
fn arrow(svg: &mut String, (from, y): (usize, usize), count: usize) {
    let to = from + GAP;
    let (tip, middle, above) = (to - 7, (from + to) / 2, y - 5);
    let _ = writeln!(
        svg,
        "<path d=\"M{from} {y} H{to} M{tip} {} L{to} {y} L{tip} {}\" stroke=\"#99a\" fill=\"none\"/>\n\
         <text x=\"{middle}\" y=\"{above}\" text-anchor=\"middle\" fill=\"#555\">{count} joined</text>",
        y - 4,
        y + 4
    );
}
