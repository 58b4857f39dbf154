//! Schedules from their description in a case.

use anyhow::{Result, bail};
use tweedie_schedules::{
    DiscreteTable, cosine_betas_with, linear_betas, quadratic_betas, sigmoid_betas,
};

use super::Fields;

impl Fields {
    /// The betas of a discrete schedule, as its formula gives them.
    ///
    /// # Errors
    /// When it is of another kind, or its values are out of range.
    pub fn betas(&self) -> Result<Vec<f64>> {
        let count = self.usize("N")?;
        let ends = || Ok::<_, anyhow::Error>((self.f64("beta_start")?, self.f64("beta_end")?));
        Ok(match self.str("kind")? {
            "discrete_linear" => {
                let (start, end) = ends()?;
                linear_betas(count, start, end)?
            }
            "discrete_scaled_linear" => {
                let (start, end) = ends()?;
                quadratic_betas(count, start, end)?
            }
            "discrete_sigmoid" => {
                let (start, end) = ends()?;
                sigmoid_betas(count, start, end)?
            }
            "discrete_cosine" => {
                cosine_betas_with(count, self.f64_or("s", 0.008)?, self.f64_or("max_beta", 0.999)?)?
            }
            other => bail!("no discrete schedule of kind {other}"),
        })
    }

    /// The table of a discrete schedule, rescaled to end in pure noise where it says so.
    ///
    /// # Errors
    /// As [`betas`](Self::betas).
    pub fn table(&self) -> Result<DiscreteTable> {
        let table = DiscreteTable::from_betas(&self.betas()?)?;
        let rescale = self.bool_or("rescale_betas_zero_snr", false)?;
        Ok(if rescale { table.rescaled_to_zero_snr()? } else { table })
    }
}
