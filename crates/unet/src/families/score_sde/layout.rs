//! The steps of a network of `score_sde`, written in the order in which its modules are numbered.

use super::{Progressive, ProgressiveCombine, ProgressiveInput, ScoreSdeConfig};
use crate::attention::SelfAttention;
use crate::builder::Builder;
use crate::embedding::{ClassEmbedding, Embedding, Features, Perceptron};
use crate::fir::Fir;
use crate::layers::{Conv, Linear, Norm, NormActivation, Start, Starts};
use crate::part::Part;
use crate::program::{Combine, Pyramid, Step, Steps};
use crate::resample::{FilteredConv, Resample, Resize};
use crate::residual::Residual;

/// The places of modules, which are numbered.
struct Modules<'a, 'b> {
    b: &'a mut Builder<'b>,
    number: usize,
}

impl Modules<'_, '_> {
    fn next(&mut self) -> Builder<'_> {
        self.number += 1;
        self.b.at(format_args!("all_modules.{}", self.number - 1))
    }
}

/// Which way the size changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Down,
    Up,
}

/// A network while it is laid out.
pub(super) struct Layout<'a, 'b> {
    config: &'a ScoreSdeConfig,
    modules: Modules<'a, 'b>,
    fir: Option<Fir>,
    pub(super) steps: Steps,
    /// Channels of the features.
    channels: i64,
    /// Channels of the pyramid's image.
    image: i64,
    /// Channels of what is kept for the way up.
    kept: Vec<i64>,
}

impl<'a, 'b> Layout<'a, 'b> {
    pub(super) fn new(config: &'a ScoreSdeConfig, b: &'a mut Builder<'b>) -> Self {
        let fir = config.filter().and_then(|filter| b.accept(filter));
        Self {
            config,
            modules: Modules { b, number: 0 },
            fir,
            steps: Steps::default(),
            channels: config.data.num_channels,
            image: config.data.num_channels,
            kept: Vec::new(),
        }
    }

    /// The frequencies and what comes of them; without time a network keeps the frequencies alone.
    pub(super) fn embedding(&mut self) -> Option<Embedding> {
        let model = &self.config.model;
        let features = match self.config.fourier() {
            true => Features::fourier(self.modules.next(), "W", model.nf, model.fourier_scale),
            false => Features::Waves { width: model.nf, cosine_first: false, shift: 1.0 },
        };
        model.conditional.then(|| {
            let (from, to) = (features.width(), 4 * model.nf);
            let start = self.config.starts().layer;
            let first = Linear::new(self.modules.next(), from, to, start);
            let second = Linear::new(self.modules.next(), to, to, start);
            let time = Perceptron::of(first, second, model.nonlinearity.into());
            Embedding { features, time, class: ClassEmbedding::None }
        })
    }

    pub(super) fn down(&mut self) {
        let model = &self.config.model;
        if self.config.input() != ProgressiveInput::None {
            self.steps.push(Step::Keep(Pyramid::Input));
        }
        self.convolution(model.nf, self.config.starts().layer);
        self.keep();
        for (level, multiple) in model.ch_mult.iter().enumerate() {
            for _ in 0..model.num_res_blocks {
                self.residual(model.nf * multiple, Resize::Keep);
                self.attention_at(level);
                self.keep();
            }
            if level + 1 < model.ch_mult.len() {
                self.resampling(Way::Down);
                self.feed();
                self.keep();
            }
        }
    }

    pub(super) fn middle(&mut self) {
        self.residual(self.channels, Resize::Keep);
        self.attention();
        self.residual(self.channels, Resize::Keep);
    }

    pub(super) fn up(&mut self) {
        let model = &self.config.model;
        for (level, multiple) in model.ch_mult.iter().enumerate().rev() {
            for _ in 0..=model.num_res_blocks {
                self.steps.push(Step::Join);
                self.channels += self.kept.pop().unwrap_or(0);
                self.residual(model.nf * multiple, Resize::Keep);
            }
            self.attention_at(level);
            self.draw(level + 1 == model.ch_mult.len());
            if level > 0 {
                self.resampling(Way::Up);
            }
        }
        match self.config.output() {
            Progressive::OutputSkip => self.steps.push(Step::Emit),
            _ => {
                let last = self.config.starts().last;
                for part in self.drawing(self.config.data.num_channels, last) {
                    self.steps.push(Step::Apply(part));
                }
            }
        }
    }
}

/// Single steps.
impl Layout<'_, '_> {
    fn keep(&mut self) {
        self.steps.push(Step::Push);
        self.kept.push(self.channels);
    }

    fn convolution(&mut self, to: i64, start: Start) {
        let from = std::mem::replace(&mut self.channels, to);
        self.steps.apply(self.modules.next(), |b| Conv::new(b, from, to, 3, start));
    }

    fn residual(&mut self, to: i64, resize: Resize) {
        let options = self.config.residual(resize);
        let from = std::mem::replace(&mut self.channels, to);
        self.steps.apply(self.modules.next(), |b| Residual::new(b, from, to, options));
    }

    fn attention(&mut self) {
        let (channels, options) = (self.channels, self.config.attention(self.channels));
        self.steps.apply(self.modules.next(), |b| SelfAttention::new(b, channels, options));
    }

    fn attention_at(&mut self, level: usize) {
        if self.config.attends(level) {
            self.attention();
        }
    }

    /// The change of size between two levels.
    fn resampling(&mut self, way: Way) {
        if self.config.big_gan() {
            return self.residual(self.channels, self.resize(way));
        }
        let (convolves, channels) = (self.config.model.resamp_with_conv, self.channels);
        let part = if convolves {
            self.convolving(way, channels, channels)
        } else {
            let resize = self.resize(way);
            Part::new(self.modules.next(), |_| Resample { resize, then: None })
        };
        self.steps.push(Step::Apply(part));
    }

    fn resize(&self, way: Way) -> Resize {
        match (way, &self.fir) {
            (Way::Down, None) => Resize::Halve,
            (Way::Down, Some(fir)) => Resize::FirHalve(fir.clone()),
            (Way::Up, None) => Resize::Double,
            (Way::Up, Some(fir)) => Resize::FirDouble(fir.clone()),
        }
    }

    /// A change of size by a convolution.
    fn convolving(&mut self, way: Way, from: i64, to: i64) -> Part {
        let (fir, start) = (self.fir.clone(), self.config.starts().layer);
        let mut b = self.modules.next();
        let name = if fir.is_some() { "Conv2d_0" } else { "Conv_0" };
        let conv = Conv::new(b.at(name), from, to, 3, start);
        match (fir, way) {
            (None, Way::Down) => Part::new(b, |_| conv.halved(false)),
            (None, Way::Up) => {
                Part::new(b, |_| Resample { resize: Resize::Double, then: Some(conv) })
            }
            (Some(fir), Way::Down) => Part::new(b, |_| FilteredConv::Halving { fir, conv }),
            (Some(fir), Way::Up) => Part::new(b, |_| FilteredConv::Doubling { fir, conv }),
        }
    }

    /// The pyramid of the input meets the features after they are halved.
    fn feed(&mut self) {
        let divisor = self.config.divisor();
        match self.config.input() {
            ProgressiveInput::None => {}
            ProgressiveInput::InputSkip => {
                let (resize, image, to) = (self.resize(Way::Down), self.image, self.channels);
                let halved = Part::new(self.modules.b.at("pyramid_downsample"), |_| Resample {
                    resize,
                    then: None,
                });
                self.steps.push(Step::Resample(Pyramid::Input, halved));
                let start = self.config.starts().layer;
                let mut place = self.modules.next();
                let fed = Part::new(place.at("Conv_0"), |b| Conv::new(b, image, to, 1, start));
                let combine = match self.config.model.progressive_combine {
                    ProgressiveCombine::Sum => Combine::Sum { divisor: 1.0 },
                    ProgressiveCombine::Cat => Combine::Concat,
                };
                self.steps.push(Step::Feed(Some(fed), combine));
                self.channels += if combine == Combine::Concat { to } else { 0 };
            }
            ProgressiveInput::Residual => {
                let halved = self.convolving(Way::Down, self.image, self.channels);
                self.steps.push(Step::Resample(Pyramid::Input, halved));
                self.steps.push(Step::Merge(Pyramid::Input, divisor));
                self.image = self.channels;
            }
        }
    }

    /// The pyramid of the output gains the features of a level.
    fn draw(&mut self, deepest: bool) {
        let Starts { layer, last, .. } = self.config.starts();
        match self.config.output() {
            Progressive::None => {}
            Progressive::OutputSkip => {
                if !deepest {
                    let resize = self.resize(Way::Up);
                    let doubled = Part::new(self.modules.b.at("pyramid_upsample"), |_| Resample {
                        resize,
                        then: None,
                    });
                    self.steps.push(Step::Resample(Pyramid::Output, doubled));
                }
                let drawn = self.drawing(self.config.data.num_channels, last);
                self.steps.push(Step::Draw(drawn));
            }
            Progressive::Residual if deepest => {
                let drawn = self.drawing(self.channels, layer);
                self.steps.push(Step::Draw(drawn));
                self.image = self.channels;
            }
            Progressive::Residual => {
                let doubled = self.convolving(Way::Up, self.image, self.channels);
                self.steps.push(Step::Resample(Pyramid::Output, doubled));
                self.steps.push(Step::Merge(Pyramid::Output, self.config.divisor()));
                self.image = self.channels;
            }
        }
    }

    /// Norm, non-linearity and a convolution, in two numbered modules.
    fn drawing(&mut self, to: i64, start: Start) -> Vec<Part> {
        let (channels, then) = (self.channels, self.config.model.nonlinearity.into());
        let norm = self.config.norm();
        let norm = Part::new(self.modules.next(), |b| NormActivation {
            norm: Norm::new(b, channels, norm),
            then,
        });
        vec![norm, Part::new(self.modules.next(), |b| Conv::new(b, channels, to, 3, start))]
    }
}
