//! Fast solvers of the diffusion ODE and SDE: exponential integrators in lambda, half the log-SNR.
//!
//! The linear part of the diffusion ODE is solved exactly, and only the network's prediction along
//! the step is approximated (Lu et al. 2022, sec. 3). Every coefficient is a number computed before
//! the loop; a step is one linear combination of the state and of the predictions at hand.
//!
//! - [`Multistep`]: DPM-Solver and DPM-Solver++ of orders 1 to 3, their stochastic forms, and DEIS.
//! - [`SingleStep`]: the same algorithms, each step by itself, with up to three evaluations.
//! - [`Adaptive`]: pairs of single-step methods that choose their own steps.
//! - [`UniPc`]: a predictor that is corrected for free by the next prediction.
//! - [`Pndm`]: pseudo linear multistep, as Stable Diffusion was published with.
//! - [`CorrectState`]: any solver with a function applied to the state after each step.
//!
//! ```
//! use ndarray::ArrayD;
//! use tweedie_samplers::sample;
//! use tweedie_schedules::{DiscreteTable, Prediction, TimeGrid};
//! use tweedie_score::{NoiseSource, PerSample, ScoreError, ScoreFn, Times};
//! use tweedie_solvers_dpm::{Multistep, Order};
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
//! let table = DiscreteTable::linear(1000, 1e-4, 0.02)?;
//! let grid = TimeGrid::uniform_lambda(&table, 20)?.ending_clean();
//! let mut noise = PerSample::new(0, 0, 4);
//! let x = noise.normal_like(&ArrayD::zeros(vec![4, 2]))?;
//! let x0 = sample(&Multistep::dpmpp(Order::Two), &StandardNormal, &grid, x, &mut noise)?;
//! assert_eq!(x0.shape(), [4, 2]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Errors are those of the samplers, [`tweedie_samplers::SampleError`]: a solver of this crate is a
//! [`tweedie_samplers::Solver`] like any other.

mod adaptive;
mod algorithm;
mod correct_state;
#[cfg(doctest)]
mod derivations;
mod fresh_noise;
mod interpolation;
mod linear;
mod multistep;
mod order;
mod phi;
mod pndm;
mod single_step;
mod stage;
mod unipc;

pub use adaptive::{Adaptive, OrderPair, StepControl};
pub use algorithm::Algorithm;
pub use correct_state::CorrectState;
pub use fresh_noise::FreshNoise;
pub use linear::LinearStep;
pub use multistep::{Multistep, ThirdOrder};
pub use order::{FinalOrders, Order, SolverType};
pub use phi::phi;
pub use pndm::{HalfWay, Pndm};
pub use single_step::{
    InnerShares, SingleStep, ending_in_order_one, exact_evaluations, fixed_order,
};
pub use stage::{Row, Stage};
pub use unipc::{BFunction, UniPc, UniPcStep};
