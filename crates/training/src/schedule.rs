//! The schedule of a run: a table of a discrete model, or an SDE in continuous time.

use tweedie_schedules::{
    DiscreteTable, Edm, NoiseLevel, NoiseSchedule, ScheduleError, SubVpLinear, VeGeometric,
    VpCosine, VpLinear,
};
use tweedie_sde::Sde;

use crate::ScheduleConfig;
use crate::config::ScheduleKind;

/// The forward process that a network was trained on.
///
/// A schedule and an SDE like any other; what differs between the two kinds is asked of
/// [`table`](Self::table).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum RunSchedule {
    /// The noise levels of a discrete model: no others were trained.
    Table(DiscreteTable),
    /// Variance-preserving with a linear rate.
    VpLinear(VpLinear),
    /// Variance-preserving along a cosine.
    VpCosine(VpCosine),
    /// Sub-VP.
    SubVp(SubVpLinear),
    /// Variance-exploding.
    Ve(VeGeometric),
    /// Time is noise.
    Edm(Edm),
}

impl RunSchedule {
    /// The schedule of a configuration whose keys are [completed](ScheduleConfig::completed).
    pub(crate) fn new(config: &ScheduleConfig) -> Result<Self, ScheduleError> {
        let ScheduleConfig { kind, steps, beta_start, beta_end, betas, .. } = config;
        let rates = (config.beta_min.unwrap_or(f64::NAN), config.beta_max.unwrap_or(f64::NAN));
        let sigmas = (config.sigma_min.unwrap_or(f64::NAN), config.sigma_max.unwrap_or(f64::NAN));
        let clean = config.time_min.unwrap_or(f64::NAN);
        let table = |table: DiscreteTable| match config.zero_terminal_snr {
            true => table.rescaled_to_zero_snr().map(Self::Table),
            false => Ok(Self::Table(table)),
        };
        Ok(match kind {
            ScheduleKind::Linear => table(DiscreteTable::linear(*steps, *beta_start, *beta_end)?)?,
            ScheduleKind::Cosine => table(DiscreteTable::cosine(*steps)?)?,
            ScheduleKind::Betas => table(DiscreteTable::from_betas(betas)?)?,
            ScheduleKind::VpLinear => {
                Self::VpLinear(VpLinear::new(rates.0, rates.1)?.with_time_range(clean, 1.0)?)
            }
            ScheduleKind::VpCosine => {
                let schedule = VpCosine::default();
                let (_, noisy) = schedule.time_range();
                Self::VpCosine(schedule.with_time_range(clean, noisy)?)
            }
            ScheduleKind::SubVp => {
                Self::SubVp(SubVpLinear::new(rates.0, rates.1)?.with_time_range(clean, 1.0)?)
            }
            ScheduleKind::Ve => {
                Self::Ve(VeGeometric::new(sigmas.0, sigmas.1)?.with_time_range(clean, 1.0)?)
            }
            ScheduleKind::Edm => Self::Edm(Edm::new(sigmas.0, sigmas.1)?),
        })
    }

    /// The table, if the model is discrete.
    #[must_use]
    pub fn table(&self) -> Option<&DiscreteTable> {
        match self {
            Self::Table(table) => Some(table),
            _ => None,
        }
    }

    /// The same schedule used from time `clean` on: to end a walk there, or to take data to be there.
    ///
    /// # Errors
    /// When that is not before its noisiest time, or it is not defined there.
    pub fn with_cleanest(self, clean: f64) -> Result<Self, ScheduleError> {
        let (_, noisy) = self.time_range();
        Ok(match self {
            Self::Table(schedule) => Self::Table(schedule.with_time_range(clean, noisy)?),
            Self::VpLinear(schedule) => Self::VpLinear(schedule.with_time_range(clean, noisy)?),
            Self::VpCosine(schedule) => Self::VpCosine(schedule.with_time_range(clean, noisy)?),
            Self::SubVp(schedule) => Self::SubVp(schedule.with_time_range(clean, noisy)?),
            Self::Ve(schedule) => Self::Ve(schedule.with_time_range(clean, noisy)?),
            Self::Edm(schedule) => Self::Edm(schedule.with_time_range(clean, noisy)?),
        })
    }

    /// Whether the signal stays and the noise grows without bound, so that states have many sizes.
    #[must_use]
    pub fn is_variance_exploding(&self) -> bool {
        matches!(self, Self::Ve(_) | Self::Edm(_))
    }

    /// The schedule as an SDE.
    #[must_use]
    pub fn sde(&self) -> &dyn Sde {
        match self {
            Self::Table(schedule) => schedule,
            Self::VpLinear(schedule) => schedule,
            Self::VpCosine(schedule) => schedule,
            Self::SubVp(schedule) => schedule,
            Self::Ve(schedule) => schedule,
            Self::Edm(schedule) => schedule,
        }
    }
}

impl NoiseSchedule for RunSchedule {
    fn time_range(&self) -> (f64, f64) {
        self.sde().time_range()
    }

    fn level(&self, t: f64) -> NoiseLevel {
        self.sde().level(t)
    }

    fn time_at_lambda(&self, lambda: f64) -> f64 {
        self.sde().time_at_lambda(lambda)
    }
}

impl Sde for RunSchedule {
    fn drift(&self, t: f64) -> f64 {
        self.sde().drift(t)
    }

    fn diffusion_squared(&self, t: f64) -> f64 {
        self.sde().diffusion_squared(t)
    }

    fn prior_std(&self) -> f64 {
        self.sde().prior_std()
    }

    fn clock(&self, t: f64) -> f64 {
        self.sde().clock(t)
    }

    fn time_at_clock(&self, clock: f64) -> f64 {
        self.sde().time_at_clock(clock)
    }

    fn clock_rate(&self, t: f64) -> f64 {
        self.sde().clock_rate(t)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RunConfig;

    fn schedule(text: &str) -> RunSchedule {
        RunConfig::parse(&format!("[schedule]\n{text}"), &[]).unwrap().noise_schedule().unwrap()
    }

    #[test]
    fn every_kind_has_the_published_values_by_default() {
        let vp = schedule("kind = \"vp_linear\"");
        assert_eq!((vp.time_range(), vp.diffusion_squared(1.0)), ((1e-5, 1.0), 20.0));
        assert_eq!(schedule("kind = \"sub_vp\"").drift(0.0), -0.05);
        assert_eq!(schedule("kind = \"vp_cosine\"").time_range().0, 1e-5);
        let ve = schedule("kind = \"ve\"");
        assert_eq!((ve.level(0.0).sigma, ve.prior_std()), (0.01, 50.0));
        assert_eq!(schedule("kind = \"edm\"").time_range(), (0.002, 80.0));
        assert_eq!(schedule("kind = \"cosine\"").table().unwrap().len(), 1000);
    }

    #[test]
    fn every_kind_can_be_used_from_a_later_time_on() {
        for kind in ["cosine", "vp_linear", "vp_cosine", "sub_vp", "ve", "edm"] {
            let whole = schedule(&format!("kind = \"{kind}\""));
            let part = whole.clone().with_cleanest(0.25).unwrap();
            assert_eq!(part.time_range(), (0.25, whole.time_range().1), "{kind}");
            assert_eq!(part.level(0.5), whole.level(0.5), "{kind}");
            assert!(whole.with_cleanest(100.0).is_err(), "{kind}");
        }
    }

    #[test]
    fn a_table_can_be_made_to_end_in_pure_noise() {
        let table = schedule("kind = \"linear\"\nzero_terminal_snr = true");
        assert_eq!(table.level(1.0).alpha, 0.0);
        assert!(schedule("kind = \"linear\"").level(1.0).alpha > 0.0);
    }
}
