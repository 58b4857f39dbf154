//! Judging generated images by their pixels, with the same figures of real images as yardsticks.
//!
//! - [`frechet_distance`]: do the samples have the mean and covariance of real images? Beside it, the
//!   distance between two halves of the real ones.
//! - [`agreement`]: does a sample look like the class it was asked to be? Its three nearest real images
//!   vote. Beside it, the same for real images, each judged by all others (leave one out). Leaving one
//!   out gives 0.988 on the UCI digits; scikit-learn's five unshuffled folds, which keep most writers
//!   apart and break ties towards the lower class, give 0.967.
//! - [`nearest`]: is a sample new, or a copy of a training image? Beside it, how near held-out images
//!   come.
//!
//! [`evaluate`] computes them all. Images are rows of pixels in `[0, 1]`, made by [`pixels_of_levels`],
//! [`pixels_of_scaled`] or [`pixels_of_dequantized`].

mod agreement;
mod diversity;
mod error;
mod frechet;
mod neighbours;
mod pixels;
mod report;

pub use agreement::{Agreement, VOTERS, agreement, vote, votes_as_asked};
pub use diversity::diversity;
pub use error::EvaluationError;
pub use frechet::{Moments, frechet_between_halves, frechet_distance};
pub use neighbours::{Neighbours, nearest, nearest_others};
pub use pixels::{pixels_of_dequantized, pixels_of_levels, pixels_of_scaled};
pub use report::{EvaluationProgress, Images, Inputs, Report, evaluate};
