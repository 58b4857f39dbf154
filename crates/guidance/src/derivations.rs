//! The derivation pages of this crate, compiled as doctests.

#[doc = include_str!("../../../docs/derivations/inpainting.md")]
struct Inpainting;

#[doc = include_str!("../../../docs/derivations/linear-measurements.md")]
struct LinearMeasurements;
