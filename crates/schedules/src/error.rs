//! What can be wrong with a schedule or a grid.

use thiserror::Error;

/// A schedule, table or grid that cannot be built from the values given.
#[non_exhaustive]
#[derive(Clone, Debug, Error, PartialEq)]
pub enum ScheduleError {
    /// A table needs at least one entry.
    #[error("the table of betas is empty, expected at least 1 value")]
    EmptyTable,
    /// One beta lies outside the open interval from 0 to 1.
    #[error("beta[{index}] is {value}, expected a value in (0, 1)")]
    BetaOutOfRange {
        /// Position in the table, from 0.
        index: usize,
        /// What stood there.
        value: f64,
    },
    /// One beta vanishes beside the ones before it.
    #[error("beta[{index}] is {value}, too small to change alpha_bar, which is {alpha_bar} there")]
    BetaTooSmall {
        /// Position in the table, from 0.
        index: usize,
        /// What stood there.
        value: f64,
        /// `alpha_bar` before and after it.
        alpha_bar: f64,
    },
    /// One `alpha_bar` is not below the one before it, or not above 0.
    #[error(
        "alpha_bar[{index}] is {value}, expected a value below {above} and above 0 (at the end 0 itself)"
    )]
    AlphaBarOutOfRange {
        /// Position in the table, from 0.
        index: usize,
        /// What stood there.
        value: f64,
        /// The value before it, or 1 at the start.
        above: f64,
    },
    /// Too little of a table lies above a bound on lambda.
    #[error("{kept} steps of the table have lambda {lambda} or more, expected at least 2")]
    TooFewSteps {
        /// The bound.
        lambda: f64,
        /// Steps not below it.
        kept: usize,
    },
    /// An index that is listed twice.
    #[error("index {index} is listed more than once, expected each step at most once")]
    RepeatedIndex {
        /// The index.
        index: usize,
    },
    /// A range whose ends are in the wrong order or outside what is allowed.
    #[error("{name} is {value}, expected {allowed}")]
    ParameterOutOfRange {
        /// Name of the parameter.
        name: &'static str,
        /// What was got.
        value: f64,
        /// What is allowed, in words.
        allowed: &'static str,
    },
    /// A range of times in the wrong order or outside the schedule.
    #[error("time range from {clean} to {noisy}, expected 0 <= from < to <= {last}")]
    TimeRange {
        /// Cleanest time asked for.
        clean: f64,
        /// Noisiest time asked for.
        noisy: f64,
        /// Latest time the schedule is defined for.
        last: f64,
    },
    /// A grid whose steps do not all run in one direction.
    #[error(
        "step {step} of the grid runs from lambda {from} to {to}, against the direction of the \
         steps before it; expected all steps to lower the noise, or all to raise it"
    )]
    MixedDirections {
        /// Interval that turns, from 0.
        step: usize,
        /// lambda at its start.
        from: f64,
        /// lambda where it lands.
        to: f64,
    },
    /// An interval that starts and ends at the data itself.
    #[error(
        "step {step} of the grid, from t = {from} to t = {to}, has no noise at either end; expected \
         noise at its start, or at its end when the grid encodes"
    )]
    NoNoise {
        /// The interval, from 0.
        step: usize,
        /// Time at its start.
        from: f64,
        /// Time where it lands.
        to: f64,
    },
    /// More steps were asked for than a discrete model has, or none at all.
    #[error("{steps} steps asked for, expected 1 to {available} (the length of the table)")]
    StepsOutOfRange {
        /// Steps asked for.
        steps: usize,
        /// Length of the table.
        available: usize,
    },
    /// A section of a respaced table that has fewer steps than asked for.
    #[error("section {section} has {available} steps, {steps} were asked for")]
    SectionTooShort {
        /// Which section, from 0.
        section: usize,
        /// Steps asked for.
        steps: usize,
        /// Steps it has.
        available: usize,
    },
    /// A number of steps that no whole stride gives.
    #[error("no whole stride takes exactly {steps} of {available} steps")]
    NoStride {
        /// Steps asked for.
        steps: usize,
        /// Length of the table.
        available: usize,
    },
    /// Text that is not a respacing.
    #[error("respacing {text:?}, expected numbers separated by commas, or ddim and a number")]
    BadRespacing {
        /// The text.
        text: String,
    },
    /// A grid in lambda from or to a level that has no finite one.
    #[error(
        "lambda is {lambda} at t = {t}, where the grid should end: expected a finite value \
         (narrow the time range, or truncate the table)"
    )]
    InfiniteLambda {
        /// End of the time range.
        t: f64,
        /// lambda there.
        lambda: f64,
    },
    /// An index that is not in the table.
    #[error("index {index} is outside the table, expected 0 to {last}")]
    IndexOutOfRange {
        /// The index asked for.
        index: usize,
        /// The largest index of the table.
        last: usize,
    },
    /// A grid whose noise does not fall from one point to the next.
    #[error(
        "lambda (half log-SNR) does not rise at step {step} of the grid: {from} then {to}; \
         expected strictly less noise at each point"
    )]
    NotDescending {
        /// Interval at which the order breaks, from 0.
        step: usize,
        /// lambda at its noisier end.
        from: f64,
        /// lambda at its cleaner end.
        to: f64,
    },
    /// A grid needs two points.
    #[error("a grid needs at least 2 points, got {points}")]
    TooFewPoints {
        /// Number of points given.
        points: usize,
    },
    /// A level that is not a finite, non-negative pair of which one is positive.
    #[error(
        "level (alpha {alpha}, sigma {sigma}) at step {step} of the grid, expected finite values >= 0"
    )]
    InvalidLevel {
        /// Interval in which it stands, from 0.
        step: usize,
        /// Signal coefficient.
        alpha: f64,
        /// Noise standard deviation.
        sigma: f64,
    },
}
