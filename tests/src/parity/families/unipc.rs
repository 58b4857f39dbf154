//! Cases of `UniPC`.

use anyhow::{Result, bail};
use tweedie_solvers_dpm::{BFunction, FinalOrders, UniPc};

use super::diffusers_sigmas::grid;
use super::solved;
use crate::parity::{Case, Produced};

/// Runs a case.
pub(super) fn run(case: &Case) -> Result<Produced> {
    solved::diffusers(case, &solver(case)?, &grid(case)?)
}

fn solver(case: &Case) -> Result<UniPc> {
    let options = case.options();
    let mut solver = UniPc::new(options.usize_or("solver_order", 2)?)?;
    if !options.bool_or("predict_x0", true)? {
        solver = solver.predicting_noise();
    }
    match options.str_or("solver_type", "bh2")? {
        "bh1" => solver = solver.b_function(BFunction::Bh1),
        "bh2" | "midpoint" | "heun" | "logrho" => {} // the peer takes any of them for bh2
        other => bail!("solver_type {other}"),
    }
    if !options.bool_or("lower_order_final", true)? {
        solver = solver.final_orders(FinalOrders::Full);
    }
    if options.get("disable_corrector").is_some() {
        let steps = options.numbers("disable_corrector")?;
        solver = solver.uncorrected(steps.into_iter().map(|step| step as usize).collect());
    }
    Ok(solver)
}
