//! What can be wrong with an objective.

use thiserror::Error;

/// An objective that cannot be built from the values given, or has no value at a time.
#[non_exhaustive]
#[derive(Clone, Debug, Error, PartialEq)]
pub enum LossError {
    /// The Huber distance needs a positive scale.
    #[error("huber delta is {delta}, expected a value above 0")]
    DeltaOutOfRange {
        /// What was got.
        delta: f64,
    },
    /// A parameter outside its range.
    #[error("{name} is {value}, expected {allowed}")]
    ParameterOutOfRange {
        /// Name of the parameter.
        name: &'static str,
        /// What was got.
        value: f64,
        /// What is allowed, in words.
        allowed: &'static str,
    },
    /// A time at which the objective would divide by zero: no noise, or nothing but noise.
    #[error(
        "the {name} of the loss is {value} at t = {t} (alpha {alpha}, sigma {sigma}); expected a \
         time, a prediction and a weighting for which it is finite"
    )]
    NotFinite {
        /// `weight` or `target`.
        name: &'static str,
        /// Its value.
        value: f64,
        /// The time.
        t: f64,
        /// Signal coefficient there.
        alpha: f64,
        /// Noise standard deviation there.
        sigma: f64,
    },
    /// Two lists of which each sample has one entry differ in length.
    #[error("{got} {name} for a batch of {batch}, expected one for each sample")]
    BatchMismatch {
        /// What is counted.
        name: &'static str,
        /// How many there are.
        got: usize,
        /// Samples in the batch.
        batch: usize,
    },
    /// Times in the wrong order, or not finite.
    #[error("times from {first} to {last}, expected finite values with from < to")]
    TimeRange {
        /// Earliest time.
        first: f64,
        /// Latest time.
        last: f64,
    },
    /// A time at which the process does not run.
    #[error("times are to be drawn at t = {t}, expected a time of the process, in [{low}, {high}]")]
    TimeOutsideRange {
        /// End of the range.
        t: f64,
        /// Cleanest time of the process.
        low: f64,
        /// Noisiest time of the process.
        high: f64,
    },
    /// A range of times over which the signal-to-noise ratio is not finite.
    #[error(
        "lambda (half log-SNR) is {lambda} at t = {t}, where times are to be drawn: expected a finite \
         value (leave out the clean end and the end without signal)"
    )]
    InfiniteLambda {
        /// End of the range.
        t: f64,
        /// lambda there.
        lambda: f64,
    },
    /// No times to choose from.
    #[error("the list of times is empty, expected at least 1")]
    NoTimes,
    /// A time that a sampler never drew.
    #[error("t = {t} is not among the {count} times of the sampler")]
    UnknownTime {
        /// The time.
        t: f64,
        /// Times it draws from.
        count: usize,
    },
    /// Values of data that leave no bins to tell apart.
    #[error(
        "{levels} levels from {low} to {high}, expected at least two from a lower to a higher value"
    )]
    ImpossibleBins {
        /// Number of values.
        levels: usize,
        /// The lowest.
        low: f64,
        /// The highest.
        high: f64,
    },
    /// A chain that does not lead to the data has no bound.
    #[error("the chain ends at {}, expected a grid that ends in the data (`ending_clean`)", shown(*t))]
    ChainNotClean {
        /// Time where it ends; `None` where it has no step.
        t: Option<f64>,
    },
    /// A chain with a gap has no bound.
    #[error(
        "step {step} of the chain ends at t = {to} and the next starts at t = {from}, expected one time"
    )]
    ChainNotJoined {
        /// The step.
        step: usize,
        /// Where it ends.
        to: f64,
        /// Where the next starts.
        from: f64,
    },
    /// A reverse step without noise, whose divergence from the posterior is infinite.
    #[error(
        "step {step} from t = {from} to {to} has no variance to compare with the posterior's; expected a \
         step of some length, of a method that adds noise"
    )]
    NoReverseVariance {
        /// The step.
        step: usize,
        /// Where it starts.
        from: f64,
        /// Where it ends.
        to: f64,
    },
    /// A single step has none before it whose variance could stand for that of its decoder.
    #[error("a chain of one step needs the variance of its decoder to be given")]
    NoDecoderVariance,
    /// Times that make no chain.
    #[error("the times make no chain")]
    Schedule(#[from] tweedie_schedules::ScheduleError),
    /// A saved state that belongs to another time sampler.
    #[error("the saved state of the time sampler has {got} rows, expected {expected}")]
    StateMismatch {
        /// Rows it has.
        got: usize,
        /// Rows the sampler needs.
        expected: usize,
    },
}

/// The end of a chain in words.
fn shown(t: Option<f64>) -> String {
    t.map_or_else(|| "no step".to_owned(), |t| format!("t = {t}"))
}

impl LossError {
    /// `value` when `holds`, else the error that names it.
    pub(crate) fn check(
        name: &'static str,
        value: f64,
        holds: bool,
        allowed: &'static str,
    ) -> Result<f64, Self> {
        if holds { Ok(value) } else { Err(Self::ParameterOutOfRange { name, value, allowed }) }
    }
}
