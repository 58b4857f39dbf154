//! Schedules from their description in a case.

use anyhow::{Result, bail};
use tweedie_schedules::{DiscreteTable, cosine_betas, linear_betas};

use super::Fields;

impl Fields {
    /// The betas of a discrete schedule.
    ///
    /// # Errors
    /// When it is of another kind, or its values are out of range.
    pub fn betas(&self) -> Result<Vec<f64>> {
        let count = self.usize("N")?;
        Ok(match self.str("kind")? {
            "discrete_linear" => {
                linear_betas(count, self.f64("beta_start")?, self.f64("beta_end")?)?
            }
            "discrete_cosine" => cosine_betas(count)?,
            other => bail!("no discrete schedule of kind {other}"),
        })
    }

    /// The table of a discrete schedule.
    ///
    /// # Errors
    /// As [`betas`](Self::betas).
    pub fn table(&self) -> Result<DiscreteTable> {
        Ok(DiscreteTable::from_betas(&self.betas()?)?)
    }
}
