//! Planning and running a solver over a grid.

use crate::SampleError;
use tweedie_schedules::TimeGrid;
use tweedie_score::{NoiseSource, ScoreFn};

/// A sampling method with its options; one value serves any number of runs.
pub trait Solver<S> {
    /// Checks the grid and computes every coefficient, before the network runs once.
    ///
    /// # Errors
    /// When the method cannot run on this grid.
    fn plan<'a>(&'a self, grid: &'a TimeGrid) -> Result<Box<dyn Stepper<S> + 'a>, SampleError>;

    /// Network evaluations that a run over `grid` takes.
    ///
    /// # Errors
    /// When the method cannot run on this grid.
    fn evaluations(&self, grid: &TimeGrid) -> Result<usize, SampleError>;

    /// Steps of a run over `grid`: one an interval, unless the method adds some at the end.
    fn steps(&self, grid: &TimeGrid) -> usize {
        grid.len()
    }
}

impl<S, V: Solver<S> + ?Sized> Solver<S> for &V {
    fn plan<'a>(&'a self, grid: &'a TimeGrid) -> Result<Box<dyn Stepper<S> + 'a>, SampleError> {
        (**self).plan(grid)
    }

    fn evaluations(&self, grid: &TimeGrid) -> Result<usize, SampleError> {
        (**self).evaluations(grid)
    }

    fn steps(&self, grid: &TimeGrid) -> usize {
        (**self).steps(grid)
    }
}

impl<S, V: Solver<S> + ?Sized> Solver<S> for Box<V> {
    fn plan<'a>(&'a self, grid: &'a TimeGrid) -> Result<Box<dyn Stepper<S> + 'a>, SampleError> {
        (**self).plan(grid)
    }

    fn evaluations(&self, grid: &TimeGrid) -> Result<usize, SampleError> {
        (**self).evaluations(grid)
    }

    fn steps(&self, grid: &TimeGrid) -> usize {
        (**self).steps(grid)
    }
}

/// One run of a solver: it holds whatever the method remembers from step to step.
pub trait Stepper<S> {
    /// Takes the state over interval `index` of the grid, or takes a step that the method adds.
    ///
    /// # Errors
    /// When the network or the noise source fails.
    fn step(
        &mut self,
        index: usize,
        x: S,
        score: &dyn ScoreFn<S>,
        noise: &mut dyn NoiseSource<S>,
    ) -> Result<S, SampleError>;
}

/// Runs a solver from `x`, a state at the grid's noisiest time, to its cleanest.
///
/// # Errors
/// When the grid does not suit the method, or the network or the noise source fails.
pub fn sample<S>(
    solver: &dyn Solver<S>,
    score: &dyn ScoreFn<S>,
    grid: &TimeGrid,
    x: S,
    noise: &mut dyn NoiseSource<S>,
) -> Result<S, SampleError> {
    sample_observed(solver, score, grid, x, noise, &mut |_, _| {})
}

/// [`sample`], showing the state after each step to `observe(index, state)`.
///
/// # Errors
/// As [`sample`].
pub fn sample_observed<S>(
    solver: &dyn Solver<S>,
    score: &dyn ScoreFn<S>,
    grid: &TimeGrid,
    mut x: S,
    noise: &mut dyn NoiseSource<S>,
    observe: &mut dyn FnMut(usize, &S),
) -> Result<S, SampleError> {
    let mut stepper = solver.plan(grid)?;
    for index in 0..solver.steps(grid) {
        x = stepper.step(index, x, score, noise)?;
        observe(index, &x);
    }
    Ok(x)
}
