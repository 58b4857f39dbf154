//! The derivation pages of this crate, compiled as doctests.

#[doc = include_str!("../../../docs/derivations/forward-marginal.md")]
struct ForwardMarginal;

#[doc = include_str!("../../../docs/derivations/posterior.md")]
struct PosteriorOfAnEarlierState;
