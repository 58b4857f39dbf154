//! Where randomness comes from while sampling.

mod draw;
mod per_sample;
mod replay;
mod seeded;
mod silent;

pub use draw::Draw;
pub use per_sample::PerSample;
pub use replay::Replay;
pub use seeded::{Seeded, stream_rng};
pub use silent::Silent;

use crate::NoiseError;

/// The only source of randomness of a sampler.
pub trait NoiseSource<S> {
    /// A standard normal state of the shape of `like`.
    ///
    /// # Errors
    /// When a recording has no such draw left.
    fn normal_like(&mut self, like: &S) -> Result<S, NoiseError>;

    /// A state of independent signs, +1 or -1, of the shape of `like`.
    ///
    /// # Errors
    /// When a recording has no such draw left.
    fn rademacher_like(&mut self, like: &S) -> Result<S, NoiseError>;

    /// A state of the shape of `like` whose values are uniform in `[0, 1)`.
    ///
    /// # Errors
    /// When a recording has no such draw left.
    fn uniform_like(&mut self, like: &S) -> Result<S, NoiseError>;

    /// `count` numbers uniform in `[0, 1)`, one a sample.
    ///
    /// # Errors
    /// When a recording has no such draw left.
    fn uniform(&mut self, count: usize) -> Result<Vec<f64>, NoiseError>;

    /// `count` whole numbers uniform in `0..below`, one a sample.
    ///
    /// # Errors
    /// When a recording has no such draw left.
    fn indices(&mut self, count: usize, below: usize) -> Result<Vec<usize>, NoiseError>;
}

/// A whole number below `below` from a uniform number in `[0, 1)`.
fn index_below(uniform: f64, below: usize) -> usize {
    ((uniform * below as f64) as usize).min(below.saturating_sub(1))
}
