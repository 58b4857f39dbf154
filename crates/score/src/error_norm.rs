//! How large an error is, measured against the state it is an error of.

#[cfg(feature = "ndarray")]
mod ndarray_norm;
#[cfg(feature = "tch")]
mod tch_norm;

use crate::VectorSpace;

/// The error allowed in a value of a given size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Tolerance {
    /// `absolute + relative * size`, the convention of Runge-Kutta codes (Hairer et al. 1993,
    /// sec. II.4).
    Sum {
        /// Error allowed in a value of 0.
        absolute: f64,
        /// Error allowed for each unit of the value.
        relative: f64,
    },
    /// `max(absolute, relative * size)`, the convention of DPM-Solver (Lu et al. 2022, app. C).
    Larger {
        /// Error allowed in a small value.
        absolute: f64,
        /// Error allowed for each unit of a large value.
        relative: f64,
    },
}

impl std::fmt::Display for Tolerance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Self::Sum { absolute, relative } | Self::Larger { absolute, relative }) = self;
        write!(f, "relative {relative:e}, absolute {absolute:e}")
    }
}

impl Tolerance {
    /// The error allowed in a value of size `size`.
    #[must_use]
    pub fn allowed(self, size: f64) -> f64 {
        match self {
            Self::Sum { absolute, relative } => absolute + relative * size,
            Self::Larger { absolute, relative } => absolute.max(relative * size),
        }
    }
}

/// A state whose errors can be measured: what an adaptive method needs, and all it needs.
pub trait ErrorNorm: VectorSpace {
    /// For each sample, the root mean square over its values of `self`, each divided by the error
    /// allowed in the larger of `a` and `b` there. Not a number where `0 / 0` occurs.
    ///
    /// # Panics
    /// When the shapes differ.
    fn scaled_rms_each(&self, a: &Self, b: &Self, tolerance: Tolerance) -> Vec<f64>;

    /// The same, taken over the whole batch and apart for each part of a state that is made of several
    /// (a state and its log density, say). One part unless a state says otherwise.
    ///
    /// # Panics
    /// When the shapes differ.
    fn scaled_rms_parts(&self, a: &Self, b: &Self, tolerance: Tolerance) -> Vec<f64> {
        let each = self.scaled_rms_each(a, b, tolerance);
        let mean = each.iter().map(|rms| rms * rms).sum::<f64>() / each.len() as f64;
        vec![mean.sqrt()]
    }
}
