//! The chains published with the SDEs: tables of `N` steps.
//!
//! They are close to the continuous processes and not equal to them. The times are spaced
//! `(1 - end) / (N - 1)`, while a step stands for `1 / N`; the entry of time `t` is number
//! `floor(t (N - 1))`. Both tables run over `t` in `[0, 1]`. Song et al. 2021, appendix E.

use super::Discretization;
use crate::SdeError;
use tweedie_schedules::{
    Interval, NoiseLevel, NoiseSchedule, Posterior, ScheduleError, TimeGrid, TimePoint, Transition,
};

/// The chain of DDPM or SMLD as an SDE's discretization: one entry a step.
///
/// The sub-VP SDE has no table of its own: its chain is [`Euler`](crate::Euler) with steps of `1/N`.
#[derive(Clone, Debug, PartialEq)]
pub struct SongTable {
    entries: Vec<Entry>,
}

/// One step: its transition, its level at the noisier end, and the variance of its posterior.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Entry {
    transition: Transition,
    level: NoiseLevel,
    posterior_variance: f64,
}

impl SongTable {
    /// The VP chain (DDPM): betas in equal steps from `beta_min / steps` to `beta_max / steps`.
    ///
    /// # Errors
    /// When `steps` is 0, a rate is not positive and finite, or a beta lies above 1, which `steps`
    /// below `beta_max` lead to.
    pub fn variance_preserving(
        beta_min: f64,
        beta_max: f64,
        steps: usize,
    ) -> Result<Self, SdeError> {
        check_steps(steps)?;
        check_positive("beta_min", beta_min)?;
        check_positive("beta_max", beta_max)?;
        let count = steps as f64;
        let betas = equal_steps(beta_min / count, beta_max / count, steps);
        let above = betas.iter().position(|beta| *beta > 1.0);
        if let Some(index) = above {
            return Err(SdeError::BetaOutOfRange { index, value: betas[index], steps });
        }
        let mut cleaner = NoiseLevel::CLEAN;
        let entries = betas.into_iter().map(|beta| {
            // Song et al. 2021, eq. 10
            let transition = Transition { scale: (1.0 - beta).sqrt(), variance: beta };
            let alpha = transition.scale * cleaner.alpha;
            let level =
                NoiseLevel { alpha, sigma: (transition.scale * cleaner.sigma).hypot(beta.sqrt()) };
            let posterior_variance = beta * (cleaner.sigma / level.sigma).powi(2); // Ho et al. 2020, eq. 7
            cleaner = level;
            Entry { transition, level, posterior_variance }
        });
        Ok(Self { entries: entries.collect() })
    }

    /// The VE chain (SMLD): deviations in equal ratios from `sigma_min` to `sigma_max`, and 0 before
    /// the first.
    ///
    /// # Errors
    /// When `steps` is 0 or not `0 < sigma_min <= sigma_max`, both finite.
    pub fn variance_exploding(
        sigma_min: f64,
        sigma_max: f64,
        steps: usize,
    ) -> Result<Self, SdeError> {
        check_steps(steps)?;
        check_positive("sigma_min", sigma_min)?;
        let holds = sigma_max >= sigma_min && sigma_max.is_finite();
        SdeError::check("sigma_max", sigma_max, holds, "a finite value of at least sigma_min")?;
        let logs = equal_steps(sigma_min.ln(), sigma_max.ln(), steps);
        let mut cleaner = 0.0_f64;
        let entries = logs.into_iter().map(|log| {
            let sigma = log.exp();
            let variance = (sigma - cleaner) * (sigma + cleaner); // Song et al. 2021, eq. 8
            let posterior_variance = variance * (cleaner / sigma).powi(2); // Song et al. 2021, eq. 47
            cleaner = sigma;
            let level = NoiseLevel { alpha: 1.0, sigma };
            Entry { transition: Transition { scale: 1.0, variance }, level, posterior_variance }
        });
        Ok(Self { entries: entries.collect() })
    }

    /// Number of steps `N`.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a table has at least one step")]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// The entry of time `t`: `floor(t (N - 1))`, held within the table.
    #[must_use]
    pub fn index(&self, t: f64) -> usize {
        let last = self.len() - 1;
        ((t * last as f64).max(0.0) as usize).min(last)
    }

    /// The level of an entry, where a network trained on the chain alone was trained.
    ///
    /// # Panics
    /// When `index` is not below [`len`](Self::len).
    #[must_use]
    pub fn level(&self, index: usize) -> NoiseLevel {
        self.entries[index].level
    }

    fn entry(&self, interval: Interval) -> Entry {
        self.entries[self.index(interval.from.t)]
    }
}

impl Discretization for SongTable {
    fn transition(&self, interval: Interval) -> Transition {
        self.entry(interval).transition
    }

    fn posterior(&self, interval: Interval) -> Posterior {
        let Entry { transition: Transition { scale, variance }, posterior_variance, .. } =
            self.entry(interval);
        let level = interval.from.level;
        let share = variance / level.sigma.powi(2);
        Posterior {
            x: (1.0 - share) / scale,
            data: share * level.alpha / scale,
            variance: posterior_variance,
        }
    }
}

/// The times of the published samplers: `steps` points in equal steps from the schedule's noisiest
/// time to `end`, and from there to the data itself.
///
/// # Errors
/// When `steps` is 0 or the noise does not fall strictly down to `end`.
pub fn song_grid(
    schedule: &dyn NoiseSchedule,
    steps: usize,
    end: f64,
) -> Result<TimeGrid, ScheduleError> {
    let times = equal_steps(schedule.time_range().1, end, steps);
    let points: Vec<TimePoint> = times.into_iter().map(|t| schedule.point(t)).collect();
    Ok(TimeGrid::through(&points)?.ending_clean())
}

/// `count` numbers in equal steps from `first` to `last`, each counted from the end nearer to it.
fn equal_steps(first: f64, last: f64, count: usize) -> Vec<f64> {
    let step = (last - first) / count.saturating_sub(1).max(1) as f64;
    let number = |k: usize| {
        if k < (count / 2).max(1) {
            step.mul_add(k as f64, first)
        } else {
            (-step).mul_add((count - 1 - k) as f64, last)
        }
    };
    (0..count).map(number).collect()
}

fn check_steps(steps: usize) -> Result<f64, SdeError> {
    SdeError::check("steps", steps as f64, steps > 0, "at least 1")
}

fn check_positive(name: &'static str, value: f64) -> Result<f64, SdeError> {
    let holds = value > 0.0 && value.is_finite();
    SdeError::check(name, value, holds, "a finite value above 0")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Exact;
    use tweedie_schedules::{DiscreteTable, VeGeometric, VpLinear};

    /// The largest difference between a table's transitions and the exact ones of its own grid.
    fn distance(table: &SongTable, schedule: &dyn NoiseSchedule, end: f64) -> f64 {
        let grid = song_grid(schedule, table.len(), end).unwrap();
        let steps = grid.intervals().len() - 1; // the last step is longer in the chain
        let defect = |interval: &Interval| {
            let (a, b) = (table.transition(*interval), Exact.transition(*interval));
            let scale = (a.scale - b.scale).abs();
            scale.max((a.variance / b.variance - 1.0).abs())
        };
        grid.intervals()[..steps].iter().map(defect).fold(0.0, f64::max)
    }

    #[test]
    fn the_vp_table_approaches_the_continuous_process_as_it_grows() {
        let schedule = VpLinear::new(0.1, 20.0).unwrap();
        let off = |steps: usize| {
            let table = SongTable::variance_preserving(0.1, 20.0, steps).unwrap();
            distance(&table, &schedule, 1e-3)
        };
        let (short, long) = (off(1000), off(16_000));
        assert!(long < short / 8.0 && long < 0.02, "{short} {long}");
    }

    #[test]
    fn the_ve_table_is_the_continuous_process_up_to_the_spacing_of_its_times() {
        // times spaced (1 - end) / (N - 1) meet entries spaced 1 / (N - 1): sigma^2 is off by at most
        // 2 ln(sigma_max / sigma_min) end
        let schedule = VeGeometric::new(0.01, 50.0).unwrap();
        let table = SongTable::variance_exploding(0.01, 50.0, 1000).unwrap();
        assert!(distance(&table, &schedule, 1e-5) < 2.0 * schedule.log_growth() * 1e-5);
    }

    #[test]
    fn every_entry_of_a_grid_is_visited_once_and_times_run_down_to_the_data() {
        let table = SongTable::variance_preserving(0.1, 20.0, 1000).unwrap();
        let grid = song_grid(&VpLinear::new(0.1, 20.0).unwrap(), 1000, 1e-3).unwrap();
        let visited: Vec<_> = grid.intervals().iter().map(|i| table.index(i.from.t)).collect();
        assert_eq!(visited, (0..1000).rev().collect::<Vec<_>>());
        assert_eq!(grid.intervals()[999].to.t, 0.0);
    }

    #[test]
    fn before_the_first_ve_entry_there_is_no_noise() {
        let table = SongTable::variance_exploding(0.01, 50.0, 10).unwrap();
        let at = VeGeometric::new(0.01, 50.0).unwrap().point(1e-5);
        let interval = Interval { from: at, to: at };
        assert!((table.transition(interval).variance - 1e-4).abs() < 1e-18);
        assert_eq!(table.posterior(interval).variance, 0.0);
        assert!((table.level(0).sigma - 0.01).abs() < 1e-17);
    }

    #[test]
    fn the_levels_of_the_vp_chain_are_those_of_ddpm() {
        let table = SongTable::variance_preserving(0.1, 20.0, 1000).unwrap();
        let ddpm = DiscreteTable::linear(1000, 1e-4, 0.02).unwrap();
        for index in [0, 1, 500, 999] {
            let (got, want) = (table.level(index), ddpm.node(index).unwrap().level);
            assert!((got.alpha / want.alpha - 1.0).abs() < 1e-12, "alpha of {index}");
            assert!((got.sigma / want.sigma - 1.0).abs() < 1e-12, "sigma of {index}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        let error = SongTable::variance_preserving(0.1, 20.0, 10).unwrap_err();
        assert!(matches!(error, SdeError::BetaOutOfRange { steps: 10, .. }), "{error}");
        assert!(SongTable::variance_preserving(0.1, 20.0, 20).is_ok());
        assert!(SongTable::variance_preserving(0.1, 20.0, 0).is_err());
        assert!(SongTable::variance_exploding(0.0, 50.0, 10).is_err());
        assert!(SongTable::variance_exploding(0.1, f64::INFINITY, 10).is_err());
        assert!(song_grid(&VpLinear::new(0.1, 20.0).unwrap(), 0, 1e-3).is_err());
    }
}
