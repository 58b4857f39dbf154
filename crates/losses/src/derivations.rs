//! The derivation pages of this crate, compiled as doctests.

#[doc = include_str!("../../../docs/derivations/simple-loss.md")]
struct SimpleLoss;
