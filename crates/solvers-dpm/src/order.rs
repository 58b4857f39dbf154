//! How many predictions of the network a step uses.

/// Order of a method by its name: the number of predictions that a step draws on.
///
/// The order of convergence may differ, see each method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Order {
    /// The newest prediction alone: DDIM.
    One,
    /// Two predictions.
    Two,
    /// Three predictions.
    Three,
}

impl Order {
    /// The order as a number.
    #[must_use]
    pub fn get(self) -> usize {
        match self {
            Self::One => 1,
            Self::Two => 2,
            Self::Three => 3,
        }
    }
}

/// How the orders of a multistep run fall towards its end, where the prediction changes fastest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinalOrders {
    /// They do not fall.
    Full,
    /// The last step is of the first order.
    LastStep,
    /// They fall by one a step, to the first order at the last.
    Falling,
    /// [`Falling`](Self::Falling) in runs of fewer steps than this, else [`Full`](Self::Full).
    FallingBelow(usize),
}

impl FinalOrders {
    /// The highest order allowed to the step after which `remaining` of `steps` are left.
    pub(crate) fn highest(self, remaining: usize, steps: usize) -> usize {
        match self {
            Self::LastStep if remaining == 0 => 1,
            Self::Falling => remaining + 1,
            Self::FallingBelow(limit) if steps < limit => remaining + 1,
            Self::Full | Self::LastStep | Self::FallingBelow(_) => usize::MAX,
        }
    }

    /// The highest order of convergence that the ends of long runs allow.
    ///
    /// One last step of the first order leaves an error of `h^2`.
    pub(crate) fn highest_convergence(self) -> usize {
        match self {
            Self::LastStep | Self::Falling => 2,
            Self::Full | Self::FallingBelow(_) => usize::MAX,
        }
    }
}

/// How a step of the second order estimates the slope of the prediction.
///
/// Both are of the same order; they differ in terms of the third.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SolverType {
    /// Half the step's own weight on the difference: the published default, called `dpmsolver` and
    /// `midpoint` elsewhere.
    #[default]
    Midpoint,
    /// The exact weight of a linear prediction, called `taylor` and `heun` elsewhere.
    Taylor,
}
