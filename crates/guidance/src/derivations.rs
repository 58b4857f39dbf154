//! The derivation pages of this crate, compiled as doctests.

#[doc = include_str!("../../../docs/derivations/conditional-reverse-sde.md")]
struct ConditionalReverseSde;

#[doc = include_str!("../../../docs/derivations/classifier-guidance.md")]
struct ClassifierGuidance;

#[doc = include_str!("../../../docs/derivations/classifier-free-guidance.md")]
struct ClassifierFreeGuidance;

#[doc = include_str!("../../../docs/derivations/inpainting.md")]
struct Inpainting;

#[doc = include_str!("../../../docs/derivations/linear-measurements.md")]
struct LinearMeasurements;
