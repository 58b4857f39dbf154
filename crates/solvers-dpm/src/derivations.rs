//! The derivation pages of this crate, compiled as doctests.

#[doc = include_str!("../../../docs/derivations/exponential-integrators.md")]
struct ExponentialIntegrators;
