//! The derivation pages of this crate, compiled as doctests.

#[doc = include_str!("../../../docs/derivations/change-of-variables.md")]
struct ChangeOfVariables;

#[doc = include_str!("../../../docs/derivations/bits-per-dimension.md")]
struct BitsPerDimension;
