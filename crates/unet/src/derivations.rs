//! The derivation pages of this crate, compiled as doctests.

#[doc = include_str!("../../../docs/derivations/scaling-by-sigma.md")]
struct ScalingBySigma;

#[doc = include_str!("../../../docs/derivations/time-embeddings.md")]
struct TimeEmbeddings;

#[doc = include_str!("../../../docs/derivations/fir-resampling.md")]
struct FirResampling;
