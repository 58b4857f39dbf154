//! Cases of dpm_singlestep.

use anyhow::{Result, bail};

use crate::parity::{Case, Produced};

/// Runs a case.
pub(super) fn run(case: &Case) -> Result<Produced> {
    bail!("{} is not built yet", case.family)
}
