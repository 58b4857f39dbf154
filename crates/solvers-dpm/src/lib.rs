//! Fast solvers of the diffusion ODE and SDE: exponential integrators in lambda, half the log-SNR.
//!
//! The linear part of the diffusion ODE is solved exactly, and only the network's prediction along
//! the step is approximated (Lu et al. 2022, sec. 3). Every coefficient is a number computed before
//! the loop; a step is one linear combination of the state and of the predictions at hand.
//!
//! Errors are those of the samplers, [`tweedie_samplers::SampleError`]: a solver of this crate is a
//! [`tweedie_samplers::Solver`] like any other.
