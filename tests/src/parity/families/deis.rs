//! Cases of DEIS.

use anyhow::Result;
use tweedie_solvers_dpm::Multistep;

use super::diffusers_sigmas::grid;
use super::dpm_multistep::{final_orders, order};
use super::solved;
use crate::parity::{Case, Produced};

/// Runs a case.
pub(super) fn run(case: &Case) -> Result<Produced> {
    let grid = grid(case)?;
    let order = order(case.options().usize_or("solver_order", 2)?)?;
    let solver = Multistep::deis(order).final_orders(final_orders(case, grid.len())?);
    solved::diffusers(case, &solver, &grid)
}
