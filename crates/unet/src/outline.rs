//! What a network is made of and costs: its layers as a table, found without running it.

use tch::Tensor;

use crate::embedding::ClassEmbedding;
use crate::parameters::Parameters;
use crate::part::Part;
use crate::program::{OutputScale, Program, Pyramid, Step};

/// Channels, height and width of the features of one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) channels: i64,
    pub(crate) height: i64,
    pub(crate) width: i64,
}

impl Shape {
    pub(crate) fn pixels(self) -> u64 {
        (self.height.max(0) as u64).saturating_mul(self.width.max(0) as u64)
    }

    fn values(self) -> u64 {
        self.pixels().saturating_mul(self.channels.max(0) as u64)
    }
}

/// A larger number of operations is given as this one, so that layers can add theirs up.
const MOST_OPERATIONS: u64 = 1 << 56;

/// count * each, bounded: sizes come from configurations.
pub(crate) fn dot(count: u64, each: i64) -> u64 {
    count.saturating_mul(each.max(0) as u64).min(MOST_OPERATIONS)
}

/// Which tensor a layer works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// Times and classes.
    Embedding,
    /// The features.
    Features,
    /// The images beside them on the way down, ever smaller.
    InputImages,
    /// The images beside them on the way up, ever larger.
    OutputImages,
}

/// One layer of a network, in the order in which they run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerOutline {
    /// The name of its module.
    pub name: String,
    /// What it is.
    pub kind: &'static str,
    /// What it works on.
    pub path: Path,
    /// Channels, height and width of its output.
    pub output: [i64; 3],
    /// Values in its parameters.
    pub parameters: u64,
    /// Multiplications with an addition for one image.
    pub multiply_adds: u64,
    /// Bytes of its output for one image, in f32.
    pub activation_bytes: u64,
    /// Bytes, for one image in f32, of what is in memory at inference while it runs: its input and its
    /// output, what is kept for the way up, and the images of the pyramids. What it makes and drops
    /// inside is not counted.
    pub live_bytes: u64,
    /// Whether its output is kept for the way up.
    pub keeps: bool,
    /// The number of the layer, from 0, whose output it is given too.
    pub joins: Option<usize>,
}

struct Walk<'a> {
    parameters: &'a Parameters,
    rows: Vec<LayerOutline>,
    h: Shape,
    /// Shapes kept, with the numbers of their layers.
    skips: Vec<(Shape, usize)>,
    input: Option<Shape>,
    output: Option<Shape>,
    means: i64,
    /// What the next layer joins.
    joins: Option<usize>,
}

/// The layers for images of this shape; the embedding is the first.
pub(crate) fn outline(
    program: &Program,
    parameters: &Parameters,
    image: Shape,
) -> Vec<LayerOutline> {
    let mut walk = Walk {
        parameters,
        rows: Vec::new(),
        h: image,
        skips: Vec::new(),
        input: None,
        output: None,
        means: 0,
        joins: None,
    };
    if let Some(embedding) = &program.embedding {
        let width = embedding.width();
        let kind = match embedding.class {
            ClassEmbedding::None => "embedding of times",
            _ => "embedding of times and classes",
        };
        walk.row("embedding", kind, Path::Embedding, [width, 1, 1]);
        walk.last().multiply_adds = embedding.multiply_adds();
    }
    for step in &program.steps {
        walk.step(step);
    }
    walk.scale(&program.scale);
    walk.count_embedding();
    walk.rows
}

impl Walk<'_> {
    fn row(&mut self, name: &str, kind: &'static str, path: Path, output: [i64; 3]) {
        let [channels, height, width] = output;
        let values = Shape { channels, height, width }.values();
        let within =
            |other: &str| other.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'));
        let inside = self.parameters.iter().filter(|(other, _)| within(other));
        let parameters = inside.map(|(_, tensor)| tensor.numel() as u64).sum();
        self.rows.push(LayerOutline {
            name: name.to_owned(),
            kind,
            path,
            output,
            parameters,
            multiply_adds: 0,
            activation_bytes: values.saturating_mul(4),
            live_bytes: values.saturating_mul(4),
            keeps: false,
            joins: self.joins.take(),
        });
    }

    fn last(&mut self) -> &mut LayerOutline {
        self.rows.last_mut().expect("a row was just added")
    }

    /// A layer of x; gives the shape of its output.
    fn part(&mut self, part: &Part, x: Shape, path: Path) -> Shape {
        let output = part.output(x);
        let live = self.held().saturating_add(x.values());
        self.layer((&part.name, part.kind()), path, output, live);
        self.last().multiply_adds = part.multiply_adds(x);
        output
    }

    /// A layer of this name and kind, with so many values in memory beside its output.
    fn layer(&mut self, named: (&str, &'static str), path: Path, output: Shape, live: u64) {
        let Shape { channels, height, width } = output;
        self.row(named.0, named.1, path, [channels, height, width]);
        let row = self.last();
        row.live_bytes = row.live_bytes.saturating_add(live.saturating_mul(4));
    }

    /// Values that are kept beside the features.
    fn held(&self) -> u64 {
        let skips = self.skips.iter().map(|(shape, _)| shape);
        let all = skips.chain(&self.input).chain(&self.output);
        all.fold(0, |sum, shape| sum.saturating_add(shape.values()))
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Apply(part) => self.h = self.part(part, self.h, Path::Features),
            Step::Push => {
                self.skips.push((self.h, self.rows.len().saturating_sub(1)));
                if let Some(row) = self.rows.last_mut() {
                    row.keeps = true;
                }
            }
            Step::Join => {
                if let Some((shape, row)) = self.skips.pop() {
                    self.h.channels += shape.channels;
                    self.joins = Some(row);
                }
            }
            Step::Meet(part) => {
                if let Some((kept, row)) = self.skips.pop() {
                    self.joins = Some(row);
                    let output = part.output(kept, self.h);
                    let live = self.held().saturating_add(kept.values());
                    let live = live.saturating_add(self.h.values());
                    self.layer((&part.name, part.kind()), Path::Features, output, live);
                    self.last().multiply_adds = part.multiply_adds(kept, self.h);
                    self.h = output;
                }
            }
            Step::Keep(Pyramid::Input) => self.input = Some(self.h),
            Step::Keep(Pyramid::Output) => self.output = Some(self.h),
            Step::Resample(Pyramid::Input, part) => {
                self.input = self.input.map(|x| self.part(part, x, Path::InputImages));
            }
            Step::Resample(Pyramid::Output, part) => {
                self.output = self.output.map(|x| self.part(part, x, Path::OutputImages));
            }
            Step::Feed(part, combine) => {
                let image = self.input.unwrap_or(self.h);
                let fed = match part {
                    Some(part) => self.part(part, image, Path::InputImages),
                    None => image,
                };
                self.h.channels = combine.channels(fed.channels, self.h.channels);
            }
            Step::Draw(parts) => {
                let h = self.h;
                let draw = |x, part| self.part(part, x, Path::OutputImages);
                self.output = Some(parts.iter().fold(h, draw));
            }
            Step::Mean => self.means += self.h.channels,
            Step::Means => self.h = Shape { channels: self.means, height: 1, width: 1 },
            Step::Emit => self.h = self.output.unwrap_or(self.h),
            Step::Merge(..) | Step::EmitSum | Step::Flatten => {}
        }
    }

    /// What is done to the output at the end.
    fn scale(&mut self, scale: &OutputScale) {
        let Shape { channels, height, width } = self.h;
        let name = match scale {
            OutputScale::None => return,
            OutputScale::ByTime => "the time",
            OutputScale::BySigma(_) => "sigmas",
        };
        self.row(name, "division by sigma", Path::Features, [channels, height, width]);
    }

    /// The embedding's parameters are those of no other layer.
    fn count_embedding(&mut self) {
        let all = self.parameters.iter().map(|(_, tensor): (_, &Tensor)| tensor.numel() as u64);
        let others: u64 = self.rows.iter().map(|row| row.parameters).sum();
        let rest = all.sum::<u64>().saturating_sub(others);
        if let Some(row) = self.rows.first_mut().filter(|row| row.path == Path::Embedding) {
            row.parameters = rest;
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{ArchitectureConfig, LayerOutline, NetworkConfig, ScoreSdeConfig, UNet};

    fn layers(config: &NetworkConfig) -> (ArchitectureConfig, Vec<LayerOutline>) {
        let config = ArchitectureConfig::from(config.unet([1, 8, 8]).unwrap());
        let layers = config.layers([8, 8]).unwrap();
        (config, layers)
    }

    #[test]
    fn every_parameter_is_in_one_layer_and_every_skip_comes_from_one() {
        let (config, layers) = layers(&NetworkConfig::default());
        let parameters: u64 = layers.iter().map(|layer| layer.parameters).sum();
        assert_eq!(parameters, UNet::count_parameters(&config).unwrap());
        let kept = layers.iter().filter(|layer| layer.keeps).count();
        let joined: Vec<usize> = layers.iter().filter_map(|layer| layer.joins).collect();
        assert_eq!(joined.len(), kept);
        assert!(joined.iter().all(|row| layers[*row].keeps));
    }

    #[test]
    fn a_division_at_the_end_is_the_last_row() {
        let last = |mut config: ScoreSdeConfig, scales| {
            config.model.scale_by_sigma = scales;
            let config = ArchitectureConfig::from(config);
            config.layers([32, 32]).unwrap().pop().unwrap()
        };
        let scaled = last(ScoreSdeConfig::default(), true);
        assert_eq!((scaled.kind, scaled.output), ("division by sigma", [3, 32, 32]));
        assert_eq!(last(ScoreSdeConfig::default(), false).kind, "convolution");
    }

    #[test]
    fn shapes_and_products_are_those_of_the_layers() {
        let (_, layers) = layers(&NetworkConfig::default());
        let find = |name: &str| layers.iter().find(|layer| layer.name == name).unwrap();
        let first = find("conv_in");
        assert_eq!((first.output, first.multiply_adds), ([32, 8, 8], 32 * 9 * 64));
        assert_eq!(first.activation_bytes, 4 * 32 * 64);
        // the image and the output
        assert_eq!(first.live_bytes, 4 * (64 + 32 * 64));
        let block = find("down_blocks.1.resnets.0");
        // two 3x3 convolutions, the shortcut and the projection of the embedding
        let products = (64 * 32 * 9 + 64 * 64 * 9 + 64 * 32) * 16 + 64 * 128;
        assert_eq!((block.output, block.multiply_adds), ([64, 4, 4], products));
        // kept are four outputs: of the first convolution, two blocks, and the one that halves the size
        let kept = (3 * 64 + 16) * 32;
        assert_eq!(block.live_bytes, 4 * (kept + 16 * 32 + 16 * 64));
        assert_eq!(find("down_blocks.0.downsamplers.0.conv").output, [32, 4, 4]);
        assert_eq!(find("conv_out").output, [1, 8, 8]);
    }
}
