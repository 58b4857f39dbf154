//! The derivation pages of this crate, compiled as doctests.

#[doc = include_str!("../../../docs/derivations/simple-loss.md")]
struct SimpleLoss;

#[doc = include_str!("../../../docs/derivations/kl-of-gaussians.md")]
struct DivergenceOfGaussians;

#[doc = include_str!("../../../docs/derivations/variational-bound.md")]
struct VariationalBound;

#[doc = include_str!("../../../docs/derivations/learned-variance.md")]
struct LearnedVariance;

#[doc = include_str!("../../../docs/derivations/score-matching.md")]
struct ScoreMatching;

#[doc = include_str!("../../../docs/derivations/sliced-score-matching.md")]
struct SlicedScoreMatching;

#[doc = include_str!("../../../docs/derivations/likelihood-weighting.md")]
struct LikelihoodWeighting;

#[doc = include_str!("../../../docs/derivations/edm-preconditioning.md")]
struct EdmPreconditioning;
