//! The derivation pages of this crate, compiled as doctests.

#[doc = include_str!("../../../docs/derivations/ancestral-sampling.md")]
struct AncestralSampling;

#[doc = include_str!("../../../docs/derivations/ddim.md")]
struct DdimDerivation;

#[doc = include_str!("../../../docs/derivations/analytic-dpm.md")]
struct AnalyticDpmDerivation;

#[doc = include_str!("../../../docs/derivations/probability-flow.md")]
struct ProbabilityFlowDerivation;

#[doc = include_str!("../../../docs/derivations/predictor-corrector.md")]
struct PredictorCorrectorSampling;

#[doc = include_str!("../../../docs/derivations/tweedies-formula.md")]
struct TweediesFormula;
