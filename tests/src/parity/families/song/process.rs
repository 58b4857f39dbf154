//! The peers' SDEs with their own discretizations.

use anyhow::{Context, Result, bail};
use tweedie_samplers::{AncestralChain, EulerMaruyama, Predictor, ReverseDiffusion, Variance};
use tweedie_schedules::{SubVpLinear, TimeGrid, VeGeometric, VpLinear};
use tweedie_sde::{Discretization, Euler, Sde, SongTable, song_grid};

use crate::parity::Fields;

/// An SDE and the number of steps it is cut into.
pub(super) struct Process {
    pub(super) sde: Box<dyn Sde>,
    pub(super) steps: usize,
    table: Option<Table>,
}

/// The published tables.
#[derive(Clone, Copy)]
enum Table {
    VariancePreserving { beta_min: f64, beta_max: f64 },
    VarianceExploding { sigma_min: f64, sigma_max: f64 },
}

impl Process {
    /// The SDE of a case. The peer's constructors have defaults for every parameter.
    pub(super) fn read(schedule: &Fields, steps: usize) -> Result<Self> {
        let betas = || Ok((schedule.f64_or("beta_min", 0.1)?, schedule.f64_or("beta_max", 20.0)?));
        let rates = || -> Result<(f64, f64)> { betas() };
        Ok(match schedule.str("kind")? {
            "vp_linear" => {
                let (beta_min, beta_max) = rates()?;
                let table = Some(Table::VariancePreserving { beta_min, beta_max });
                Self { sde: Box::new(VpLinear::new(beta_min, beta_max)?), steps, table }
            }
            "subvp_linear" => {
                let (beta_min, beta_max) = rates()?;
                Self { sde: Box::new(SubVpLinear::new(beta_min, beta_max)?), steps, table: None }
            }
            "ve" => {
                let sigma_min = schedule.f64_or("sigma_min", 0.01)?;
                let sigma_max = schedule.f64_or("sigma_max", 50.0)?;
                let table = Some(Table::VarianceExploding { sigma_min, sigma_max });
                Self { sde: Box::new(VeGeometric::new(sigma_min, sigma_max)?), steps, table }
            }
            other => bail!("no SDE of kind {other}"),
        })
    }

    /// The table of the chain, for the SDEs that have one.
    pub(super) fn table(&self) -> Result<Option<SongTable>> {
        let table = |table: Table| match table {
            Table::VariancePreserving { beta_min, beta_max } => {
                SongTable::variance_preserving(beta_min, beta_max, self.steps)
            }
            Table::VarianceExploding { sigma_min, sigma_max } => {
                SongTable::variance_exploding(sigma_min, sigma_max, self.steps)
            }
        };
        Ok(self.table.map(table).transpose()?)
    }

    /// The forward chain.
    pub(super) fn chain(&self) -> Result<Box<dyn Discretization + '_>> {
        Ok(match self.table()? {
            Some(table) => Box::new(table),
            None => Box::new(Euler::new(self.sde.as_ref()).with_step(self.step())?),
        })
    }

    /// The published times, and a last step to the data.
    pub(super) fn grid(&self, eps: f64) -> Result<TimeGrid> {
        Ok(song_grid(self.sde.as_ref(), self.steps, eps)?)
    }

    /// Of the networks trained on the table alone, those of VE count it from the noisiest entry and
    /// round, those of VP count from the first and truncate.
    pub(super) fn rounds(&self) -> bool {
        matches!(self.table, Some(Table::VarianceExploding { .. }))
    }

    /// A predictor by the peer's name; none for `none`.
    pub(super) fn predictor(
        &self,
        name: &str,
        eta: f64,
    ) -> Result<Option<Box<dyn Predictor + '_>>> {
        Ok(Some(match name {
            "none" => return Ok(None),
            "euler_maruyama" => {
                Box::new(EulerMaruyama::new(self.sde.as_ref(), eta)?.with_step(self.step())?)
            }
            "reverse_diffusion" => Box::new(ReverseDiffusion::new(self.chain()?, eta)?),
            "ancestral_sampling" => {
                Box::new(AncestralChain { chain: self.chain()?, variance: self.variance()? })
            }
            other => bail!("no predictor {other}"),
        }))
    }

    /// The variance of the peer's ancestral sampling.
    fn variance(&self) -> Result<Variance> {
        Ok(match self.table.context("the peer has no ancestral sampling of sub-VP")? {
            Table::VariancePreserving { .. } => Variance::FixedLarge,
            Table::VarianceExploding { .. } => Variance::FixedSmall,
        })
    }

    fn step(&self) -> f64 {
        1.0 / self.steps as f64
    }
}
