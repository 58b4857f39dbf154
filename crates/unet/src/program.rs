//! A network as a list of steps, and the one interpreter that runs them.
//!
//! Every U-shaped network is the same few moves: a layer maps the features h, copies of h are kept for
//! the way up and joined there; some networks carry a pyramid of images beside h on the way down
//! (the input, ever smaller) and another on the way up (the output, ever larger). Families differ in
//! which moves they make in which order, so a family is a list of [`Step`]s.

use std::sync::{Arc, Mutex};

use tch::{Kind, Tensor};
use tweedie_torch_ext::add_reusing;

use crate::ActivationFunction;
use crate::builder::Builder;
use crate::embedding::Embedding;
use crate::outline::Shape;
use crate::parameters::Parameters;
use crate::part::Part;

/// What a forward pass hands to every layer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told<'a> {
    /// The activated embedding, [n or 1, width]; absent where the network is told no time.
    pub(crate) embedding: Option<&'a Tensor>,
    /// Whether dropout acts.
    pub(crate) train: bool,
    /// Whether layers are computed again for the gradient instead of keeping what is inside.
    pub(crate) recompute: bool,
    /// Whether the layer has run on the same input before and is computed again for the gradient: what
    /// it keeps of its inputs is kept already.
    pub(crate) again: bool,
}

/// A map of features, [n, c, h, w] to [n, c', h', w'].
pub(crate) trait Layer: std::fmt::Debug + Send {
    fn forward(&self, x: Tensor, told: Told<'_>) -> Tensor;

    /// What it is, in a word or two.
    fn kind(&self) -> &'static str;

    /// The shape of the output for one image.
    fn output(&self, x: Shape) -> Shape;

    /// The multiplications with an addition for one image.
    fn multiply_adds(&self, x: Shape) -> u64;
}

/// A map of two features, what was kept and what came from below, to one.
pub(crate) trait Junction: std::fmt::Debug + Send {
    fn forward(&self, kept: Tensor, h: Tensor, told: Told<'_>) -> Tensor;

    fn kind(&self) -> &'static str;

    fn output(&self, kept: Shape, h: Shape) -> Shape;

    fn multiply_adds(&self, kept: Shape, h: Shape) -> u64;
}

/// Which pyramid of images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pyramid {
    Input,
    Output,
}

/// How two branches become one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Combine {
    /// (a + b) / divisor.
    Sum { divisor: f64 },
    /// The channels of a, then those of b.
    Concat,
}

impl Combine {
    fn of(self, a: Tensor, b: &Tensor) -> Tensor {
        match self {
            Self::Sum { divisor: 1.0 } => a + b,
            Self::Sum { divisor } => (a + b).g_mul_scalar_(divisor.recip()),
            Self::Concat => Tensor::cat(&[&a, b], 1),
        }
    }

    /// The channels of what branches of so many channels give.
    pub(crate) fn channels(self, a: i64, b: i64) -> i64 {
        match self {
            Self::Sum { .. } => b,
            Self::Concat => a + b,
        }
    }
}

/// One move of the interpreter.
#[derive(Debug)]
pub(crate) enum Step {
    /// h = layer(h).
    Apply(Part),
    /// h is kept for the way up.
    Push,
    /// h = the channels of h, then those of what was kept last and not joined yet.
    Join,
    /// h = junction(what was kept last and not joined yet, h).
    Meet(Part<dyn Junction>),
    /// The pyramid's image = h.
    Keep(Pyramid),
    /// The pyramid's image = layer(image).
    Resample(Pyramid, Part),
    /// h = layer(input image) combined with h; without a layer the image itself.
    Feed(Option<Part>, Combine),
    /// Output image = output image + the layers of h, one after the other; at first those alone.
    Draw(Vec<Part>),
    /// The pyramid's image = (image + h) / divisor, and h = image.
    Merge(Pyramid, f64),
    /// h = output image.
    Emit,
    /// h = h + output image.
    EmitSum,
    /// The mean of h over pixels is kept.
    Mean,
    /// h = the means that were kept, `[n, c, 1, 1]`.
    Means,
    /// h `[n, c, 1, 1]` as `[n, c]`.
    Flatten,
}

/// The list of steps while it is written.
#[derive(Debug, Default)]
pub(crate) struct Steps(Vec<Step>);

impl Steps {
    pub(crate) fn push(&mut self, step: Step) {
        self.0.push(step);
    }

    pub(crate) fn list(self) -> Vec<Step> {
        self.0
    }

    /// h = layer(h), the layer being made at a place in the tree of modules.
    pub(crate) fn apply<L: Layer + 'static>(
        &mut self,
        b: Builder<'_>,
        make: impl FnOnce(Builder<'_>) -> L,
    ) {
        self.0.push(Step::Apply(Part::new(b, make)));
    }

    /// As [`Steps::apply`], of a junction.
    pub(crate) fn meet<J: Junction + 'static>(
        &mut self,
        b: Builder<'_>,
        make: impl FnOnce(Builder<'_>) -> J,
    ) {
        let (name, junction) = (b.name(), make(b));
        self.0.push(Step::Meet(Part::of(name, Arc::new(Mutex::new(junction)))));
    }
}

/// What is done to the output at the end.
#[derive(Debug)]
pub(crate) enum OutputScale {
    /// Nothing.
    None,
    /// Divided by the time.
    ByTime,
    /// Divided by the entry of this table that the time is the index of.
    BySigma(Tensor),
}

/// A whole network.
#[derive(Debug)]
pub(crate) struct Program {
    /// Whether the input x in [0, 1] becomes 2 x - 1 first.
    pub(crate) centers: bool,
    pub(crate) embedding: Option<Embedding>,
    /// What the embedding goes through before it is told to the layers.
    pub(crate) activation: ActivationFunction,
    pub(crate) steps: Vec<Step>,
    pub(crate) scale: OutputScale,
}

/// The state of the interpreter.
struct State {
    h: Tensor,
    skips: Vec<Tensor>,
    input: Option<Tensor>,
    output: Option<Tensor>,
    means: Vec<Tensor>,
}

impl State {
    fn pyramid(&mut self, which: Pyramid) -> &mut Option<Tensor> {
        match which {
            Pyramid::Input => &mut self.input,
            Pyramid::Output => &mut self.output,
        }
    }
}

/// How a network is run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mode {
    /// Whether dropout acts.
    pub(crate) train: bool,
    /// Whether layers are computed again for the gradient.
    pub(crate) recompute: bool,
}

impl Program {
    /// Tells every layer which parameters are its own.
    pub(crate) fn hand_out(&mut self, parameters: &Parameters) {
        for step in &mut self.steps {
            match step {
                Step::Apply(part) | Step::Resample(_, part) | Step::Feed(Some(part), _) => {
                    part.own(parameters);
                }
                Step::Draw(parts) => parts.iter_mut().for_each(|part| part.own(parameters)),
                Step::Meet(part) => part.own(parameters),
                _ => {}
            }
        }
    }

    /// The output for x `[n, c, h, w]` at times `[n or 1]`, in the kind of x; the labels fit.
    pub(crate) fn run(
        &self,
        x: Tensor,
        times: &Tensor,
        labels: Option<&Tensor>,
        mode: Mode,
    ) -> Tensor {
        let embedding = self
            .embedding
            .as_ref()
            .map(|embedding| self.activation.apply(&embedding.forward(times, labels, x.kind())));
        let Mode { train, recompute } = mode;
        let told = Told { embedding: embedding.as_ref(), train, recompute, again: false };
        let output = run(&self.steps, x, told);
        match &self.scale {
            OutputScale::None => output,
            OutputScale::ByTime => output / times.reshape([-1, 1, 1, 1]),
            OutputScale::BySigma(table) => {
                let sigmas = table.index_select(0, &times.to_kind(Kind::Int64));
                output / sigmas.reshape([-1, 1, 1, 1])
            }
        }
    }
}

/// Runs the steps; tensors that no later step needs are let go at once.
fn run(steps: &[Step], x: Tensor, told: Told<'_>) -> Tensor {
    let mut state = State { h: x, skips: Vec::new(), input: None, output: None, means: Vec::new() };
    for step in steps {
        state = advance(step, state, told);
    }
    state.h
}

fn advance(step: &Step, mut state: State, told: Told<'_>) -> State {
    match step {
        Step::Apply(part) => state.h = part.forward(state.h, told),
        Step::Push => state.skips.push(state.h.shallow_clone()),
        Step::Join => {
            let skip = state.skips.pop().expect("a program joins what it pushed");
            state.h = Tensor::cat(&[state.h, skip], 1); // [n, c + skipped, h, w]
        }
        Step::Meet(part) => {
            let kept = state.skips.pop().expect("a program joins what it pushed");
            state.h = part.forward(kept, state.h, told);
        }
        Step::Keep(which) => *state.pyramid(*which) = Some(state.h.shallow_clone()),
        Step::Resample(which, part) => {
            let image = state.pyramid(*which).take();
            *state.pyramid(*which) = image.map(|image| part.forward(image, told));
        }
        Step::Feed(part, combine) => {
            let image = state.input.as_ref().expect("a program feeds what it kept").shallow_clone();
            let fed = part.as_ref().map_or(image.shallow_clone(), |p| p.forward(image, told));
            state.h = combine.of(fed, &state.h);
        }
        Step::Draw(parts) => {
            let drawn = parts.iter().fold(state.h.shallow_clone(), |x, part| part.forward(x, told));
            state.output = Some(match state.output {
                Some(image) => image + drawn,
                None => drawn,
            });
        }
        Step::Merge(which, divisor) => {
            let image = state.pyramid(*which).take().expect("a program merges what it kept");
            state.h = Combine::Sum { divisor: *divisor }.of(image, &state.h);
            *state.pyramid(*which) = Some(state.h.shallow_clone());
        }
        Step::Emit => state.h = state.output.take().expect("a program emits what it drew"),
        Step::EmitSum => {
            if let Some(image) = state.output.take() {
                state.h = add_reusing(state.h, &image);
            }
        }
        Step::Mean => {
            state.means.push(state.h.mean_dim([2i64, 3].as_slice(), true, None::<Kind>));
        }
        Step::Means => state.h = Tensor::cat(&std::mem::take(&mut state.means), 1),
        Step::Flatten => state.h = state.h.flatten(1, -1),
    }
    state
}
