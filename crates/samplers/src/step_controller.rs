//! What an adaptive method does after each attempt, decided from one number.

/// What follows an attempt.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decision {
    /// Whether the attempt stands.
    pub accept: bool,
    /// Factor on the size of the step, for the next attempt.
    pub factor: f64,
}

/// The rule that turns the error of an attempt into the size of the next.
pub trait StepController {
    /// The decision after an attempt whose error is `error` times what is allowed.
    fn decide(&mut self, error: f64) -> Decision;
}

/// What a run with adaptive steps took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Attempts that stood.
    pub accepted: usize,
    /// Attempts that were taken back.
    pub rejected: usize,
    /// Evaluations of the network.
    pub evaluations: usize,
}

/// The outcome of a run with adaptive steps.
#[derive(Clone, Debug)]
pub struct AdaptiveRun<S> {
    /// The state at the end.
    pub state: S,
    /// The times at which accepted steps begin and end, in the order visited.
    pub times: Vec<f64>,
    /// What the run took.
    pub counters: Counters,
}
