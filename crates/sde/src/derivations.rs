//! The derivation pages of this crate, compiled as doctests.

#[doc = include_str!("../../../docs/derivations/kolmogorov.md")]
struct KolmogorovEquations;

#[doc = include_str!("../../../docs/derivations/reverse-time-sde.md")]
struct ReverseTimeSde;

#[doc = include_str!("../../../docs/derivations/marginals.md")]
struct Marginals;

#[doc = include_str!("../../../docs/derivations/two-discretizations.md")]
struct TwoDiscretizations;
