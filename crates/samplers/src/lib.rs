//! Samplers of diffusion models.
//!
//! A one-step sampler is three numbers an interval: `x' = a x + b x0_hat + c z`. A [`Predictor`]
//! computes them, [`OneStep`] makes a [`Solver`] of it, [`sample`] runs any solver over a grid.
//!
//! Beside the predictors stand [`LearnedAncestral`] for networks that learn a variance,
//! [`KeepingNoise`] for methods whose data estimate alone is clipped, [`encode`] from data to its
//! latent, and [`Denoised`], which ends any solver with Tweedie's formula.
//!
//! [`EdmSolver`] walks the probability flow in noise by rules of first and second order, with noise put
//! back where wanted, [`LinearMultistep`] by the slopes it has seen. [`ProbabilityFlow`] solves it with
//! adaptive steps of any embedded [`RungeKutta`] method, and encodes as well.
//!
//! [`PredictorCorrector`] lets a [`Corrector`] ([`Langevin`], [`AnnealedLangevin`]) work within each level
//! that a solver passes; [`AnnealedDynamics`] is a corrector alone.
//!
//! ```
//! use ndarray::ArrayD;
//! use tweedie_samplers::{Ddim, OneStep, sample};
//! use tweedie_schedules::{DiscreteTable, Prediction, Spacing, TimeGrid};
//! use tweedie_score::{NoiseSource, PerSample, ScoreError, ScoreFn, Times};
//!
//! /// The exact noise prediction for standard normal data: E[eps | x] = sigma x.
//! struct StandardNormal;
//! impl ScoreFn<ArrayD<f64>> for StandardNormal {
//!     fn prediction(&self) -> Prediction {
//!         Prediction::Noise
//!     }
//!     fn predict(&self, x: &ArrayD<f64>, at: Times<'_>) -> Result<ArrayD<f64>, ScoreError> {
//!         Ok(x * at.of(0).level.sigma)
//!     }
//! }
//!
//! let grid = TimeGrid::discrete(&DiscreteTable::cosine(1000)?, 20, Spacing::Trailing)?.ending_clean();
//! let mut noise = PerSample::new(0, 0, 4);
//! let x = noise.normal_like(&ArrayD::zeros(vec![4, 2]))?;
//! let x0 = sample(&OneStep(Ddim::new(0.0)?), &StandardNormal, &grid, x, &mut noise)?;
//! assert_eq!(x0.shape(), [4, 2]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod annealed_dynamics;
mod corrector;
mod denoised;
#[cfg(doctest)]
mod derivations;
mod edm;
mod encoding;
mod error;
mod estimates_apart;
mod keeping_noise;
mod learned_variance;
mod linear_multistep;
mod mean_at_end;
mod moments;
mod no_predictor;
mod ode;
mod one_step;
mod predictor;
mod predictor_corrector;
mod probability_flow;
mod running_mean;
mod solver;
mod step_controller;
mod trace;

pub use annealed_dynamics::AnnealedDynamics;
pub use corrector::{AnnealedLangevin, Corrector, Langevin, NoCorrector, Repeated, WatchCorrector};
pub use denoised::Denoised;
pub use edm::{AncestralNoise, Churn, EdmSolver, InSigma, InTime, Rule, StepVariable, Stochastic};
pub use encoding::{Asked, Encoding, encode};
pub use error::SampleError;
pub use keeping_noise::KeepingNoise;
pub use learned_variance::LearnedAncestral;
pub use linear_multistep::LinearMultistep;
pub use mean_at_end::MeanAtEnd;
pub use moments::{
    EstimatedMoments, MOMENTS_FILE, MomentEstimator, NoiseMoments, estimate_moments,
};
pub use no_predictor::NoPredictor;
pub use ode::{DenseOutput, ErrorOver, Interpolant, RungeKutta, Slope, Stepping, Tableau};
pub use one_step::OneStep;
pub use predictor::{
    AnalyticDpm, Ancestral, AncestralChain, Ddim, EulerMaruyama, NoiseCap, Predictor,
    ReverseDiffusion, StepCoefficients,
};
pub use predictor_corrector::{CorrectorPlace, PredictorCorrector};
pub use probability_flow::{FlowCoefficients, ProbabilityFlow};
pub use running_mean::RunningMean;
pub use solver::{Solver, Stepper, sample, sample_observed};
pub use step_controller::{AdaptiveRun, Counters, Decision, StepController};
pub use trace::{Combination, Evaluation, Symbol, TracedStep, trace};
pub use tweedie_schedules::Variance;
pub use tweedie_score::{Deviation, Learned, ReverseNoise};
