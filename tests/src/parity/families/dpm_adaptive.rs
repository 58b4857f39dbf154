//! Cases of dpm_adaptive.

use anyhow::{Result, bail};

use crate::parity::{Case, Produced};

/// Runs a case.
pub(super) fn run(case: &Case) -> Result<Produced> {
    bail!("{} is not built yet", case.family)
}
