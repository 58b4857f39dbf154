//! What can go wrong when a run is planned or under way.

use std::path::PathBuf;
use thiserror::Error;
use tweedie_schedules::Interval;
use tweedie_score::{NoiseError, ScoreError, Tolerance};

/// A sampler that cannot run as asked.
#[non_exhaustive]
#[derive(Debug, Error)]
pub enum SampleError {
    /// A parameter of a method is outside its range.
    #[error("{name} is {value}, expected {allowed}")]
    ParameterOutOfRange {
        /// Name of the parameter.
        name: &'static str,
        /// What was got.
        value: f64,
        /// What is allowed, in words.
        allowed: &'static str,
    },
    /// A grid without a step to take.
    #[error("the grid has no interval, expected at least 1")]
    EmptyGrid,
    /// A method cannot take a step, whatever the network says.
    #[error("step {step} from t = {from} to t = {to} cannot be taken: {reason}")]
    ImpossibleStep {
        /// Interval of the grid, from 0.
        step: usize,
        /// Time at its noisier end.
        from: f64,
        /// Time at its cleaner end.
        to: f64,
        /// Why not, and what would do, in words.
        reason: &'static str,
    },
    /// A grid with fewer intervals than a method needs.
    #[error("the grid has {steps} intervals, expected at least {needed}")]
    TooFewSteps {
        /// Intervals of the grid.
        steps: usize,
        /// Intervals the method needs.
        needed: usize,
    },
    /// Orders were given to steps that take another number of intervals than the grid has.
    #[error("the steps take {taken} intervals, expected {intervals}, as many as the grid has")]
    OrdersMismatch {
        /// Intervals that steps of the orders given take.
        taken: usize,
        /// Intervals of the grid.
        intervals: usize,
    },
    /// Walks were given for another number of stretches than the grid has.
    #[error(
        "walks are given for {walks} stretches, expected {stretches}, as many as the run has, or one for all"
    )]
    WalksMismatch {
        /// Stretches that walks are given for.
        walks: usize,
        /// Stretches of the grid.
        stretches: usize,
    },
    /// An adaptive method that cannot reach its tolerance.
    #[error(
        "no step at t = {t} meets the tolerance, down to {smallest}, the smallest that changes t; \
         expected a smooth, finite field"
    )]
    StepTooSmall {
        /// Time at which the run stopped.
        t: f64,
        /// Size below which steps make no sense.
        smallest: f64,
    },
    /// An adaptive method that spent its evaluations before it reached the end.
    #[error(
        "the tolerance ({tolerance}) cannot be met: {evaluations} evaluations, the most allowed, lead to \
         t = {t}; expected a looser tolerance (rounding of states and slopes sets a limit) or more \
         evaluations"
    )]
    TooManyEvaluations {
        /// Time at which the run stopped.
        t: f64,
        /// Evaluations that were allowed.
        evaluations: usize,
        /// What was asked for.
        tolerance: Tolerance,
    },
    /// A span of time that is empty or not finite.
    #[error("the span of time is {from} to {to}, expected two different, finite times")]
    EmptySpan {
        /// Where it begins.
        from: f64,
        /// Where it ends.
        to: f64,
    },
    /// A differential equation without a finite slope at an end of its span.
    #[error(
        "at t = {t} (alpha = {alpha}, sigma = {sigma}) the drift is {drift} and the squared diffusion \
         {diffusion_squared}, expected finite values: take a span that ends before it (the schedule's \
         with_time_range)"
    )]
    InfiniteSlope {
        /// The end of the span.
        t: f64,
        /// Signal coefficient there.
        alpha: f64,
        /// Noise standard deviation there.
        sigma: f64,
        /// Drift there, per unit of time.
        drift: f64,
        /// Squared diffusion there.
        diffusion_squared: f64,
    },
    /// A state was asked for at a time that the run does not reach.
    #[error("a state was asked for at t = {t}, expected a time in [{low}, {high}]")]
    TimeOutsideSpan {
        /// The time asked for.
        t: f64,
        /// Smallest time of the span.
        low: f64,
        /// Largest time of the span.
        high: f64,
    },
    /// The network failed.
    #[error("step {step} at t = {t}")]
    Score {
        /// Interval of the grid, from 0.
        step: usize,
        /// Time at which the network was called.
        t: f64,
        /// Its error.
        source: ScoreError,
    },
    /// The noise source failed.
    #[error("step {step}: no noise")]
    Noise {
        /// Interval of the grid, from 0.
        step: usize,
        /// Its error.
        source: NoiseError,
    },
    /// Moments of the noise prediction in another number than noise levels.
    #[error("{values} moments for {levels} noise levels, expected one for each")]
    MomentCount {
        /// Noise levels.
        levels: usize,
        /// Moments.
        values: usize,
    },
    /// Moments whose noise levels do not get noisier from one to the next.
    #[error(
        "lambda (half log-SNR) goes from {from} to {to} after moment[{index}], expected it to fall: \
         moments are listed cleanest first"
    )]
    MomentOrder {
        /// Position in the list, from 0.
        index: usize,
        /// lambda there.
        from: f64,
        /// lambda of the next.
        to: f64,
    },
    /// A second moment that cannot be one.
    #[error("moment[{index}] is {value}, expected a finite value from 0")]
    MomentOutOfRange {
        /// Position in the list, from 0.
        index: usize,
        /// What stood there.
        value: f64,
    },
    /// Too little data for an estimate and its standard error.
    #[error("{samples} samples were observed at time {index} of the list, expected at least 2")]
    TooFewSamples {
        /// Position in the list of times, from 0.
        index: usize,
        /// Samples observed there.
        samples: u64,
    },
    /// Moments that were measured on another network.
    #[error("the moments are those of network {got}, expected {expected}")]
    MomentsOfAnotherNetwork {
        /// The network they were measured on.
        got: String,
        /// The network at hand.
        expected: String,
    },
    /// Moments that were measured on another schedule or list of times.
    #[error(
        "moment[{index}] was measured at (t, alpha) = {got:?}, the schedule has {expected:?} there"
    )]
    MomentsOfAnotherSchedule {
        /// Position in the list of times, from 0.
        index: usize,
        /// Time and alpha of the measurement.
        got: (f64, f64),
        /// Time and alpha of the schedule at hand.
        expected: (f64, f64),
    },
    /// A file of moments that cannot be read, written or understood.
    #[error("the file of moments {} cannot be used", path.display())]
    MomentFile {
        /// The file.
        path: PathBuf,
        /// Its error.
        source: std::io::Error,
    },
    /// A file of moments of another layout.
    #[error("{} has format version {got}, expected {expected}", path.display())]
    MomentFormat {
        /// The file.
        path: PathBuf,
        /// Version of the file.
        got: u32,
        /// Version of this library.
        expected: u32,
    },
}

impl SampleError {
    /// A step whose coefficients are not finite, for the reason that its ends show.
    #[must_use]
    pub fn not_finite(step: usize, interval: Interval) -> Self {
        let reason = why_not_finite(interval);
        Self::ImpossibleStep { step, from: interval.from.t, to: interval.to.t, reason }
    }

    /// The same error with the time of an integration replaced by `time` of it.
    pub(crate) fn at_time_of(mut self, time: impl Fn(f64) -> f64) -> Self {
        match &mut self {
            Self::Score { t, .. }
            | Self::StepTooSmall { t, .. }
            | Self::TooManyEvaluations { t, .. } => *t = time(*t),
            _ => {}
        }
        self
    }

    /// The same error with its step numbered `step`, for those who count the steps of another.
    #[must_use]
    pub fn at_step(mut self, step: usize) -> Self {
        match &mut self {
            Self::Score { step: named, .. } | Self::Noise { step: named, .. } => *named = step,
            _ => {}
        }
        self
    }
}

/// Why a formula has no finite value over `interval`, as far as its ends show.
pub(crate) fn why_not_finite(Interval { from, to }: Interval) -> &'static str {
    if from.level.sigma == 0.0 {
        "it starts at the data itself, where no noise tells the way; start with a little noise"
    } else if from.level.alpha == 0.0 {
        "it starts in pure noise (alpha = 0), where this method's formula has no limit; start \
         with a little signal, or with a step of DDIM"
    } else if to.level.alpha == 0.0 {
        "it ends in pure noise (alpha = 0), where this method's formula has no limit; keep a \
         little signal"
    } else if to.level.sigma == 0.0 {
        "it ends at the data itself, where this method's formula has no limit; keep a little noise"
    } else {
        "the schedule changes too fast between its ends for the coefficients to be finite"
    }
}
