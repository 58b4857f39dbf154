//! Times for likelihood weighting: where the loss is large.
//!
//! The likelihood-weighted loss counts the error of the noise `g^2 / sigma^2`, which grows without
//! bound towards the data, so over uniform times a few samples decide everything. Drawn with a density
//! proportional to that factor, all count the same (Song et al. 2021b, sec. 5.1).
//!
//! For every linear SDE `g^2 = d sigma^2 / dt - 2 f sigma^2` and `f = d ln alpha / dt`, so
//! `g^2 / sigma^2 = d/dt (2 ln sigma - 2 ln alpha) = -2 d lambda / dt`: *the density is uniform in lambda*,
//! half the log signal-to-noise ratio, and a schedule's own `time_at_lambda` inverts it. There
//! is nothing to integrate, and no case for each SDE.

use super::{DrawnTime, TimeSampler, check_range};
use crate::LossError;
use tweedie_sde::Sde;

/// Times with a density proportional to `g^2 / sigma^2`. A loss multiplied by its weight has the mean
/// of uniform times.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ImportanceTime<P> {
    sde: P,
    first: f64,
    last: f64,
    /// lambda at `first`, and how far it falls until `last`.
    lambda: f64,
    fall: f64,
}

impl<P: Sde> ImportanceTime<P> {
    /// Times of an SDE from `first`, the cleanest, to `last`.
    ///
    /// # Errors
    /// When not `first < last`, both within the time range of the SDE, or lambda is not finite at one of them: over a range that reaches
    /// the data, the density has no integral.
    pub fn new(sde: P, first: f64, last: f64) -> Result<Self, LossError> {
        check_range(first, last)?;
        let (low, high) = sde.time_range();
        if let Some(t) = [first, last].into_iter().find(|t| !(low..=high).contains(t)) {
            return Err(LossError::TimeOutsideRange { t, low, high });
        }
        let lambda = |t: f64| match sde.level(t).lambda() {
            lambda if lambda.is_finite() => Ok(lambda),
            lambda => Err(LossError::InfiniteLambda { t, lambda }),
        };
        let (clean, noisy) = (lambda(first)?, lambda(last)?);
        Ok(Self { first, last, lambda: clean, fall: clean - noisy, sde })
    }

    /// The density at `t`, per unit of time.
    #[must_use]
    pub fn density(&self, t: f64) -> f64 {
        let rate = self.sde.diffusion_squared(t) / self.sde.level(t).sigma.powi(2);
        rate / (2.0 * self.fall) // Song et al. 2021b, sec. 5.1
    }
}

impl<P: Sde + std::fmt::Debug> TimeSampler for ImportanceTime<P> {
    fn draw(&self, uniform: &[f64]) -> Vec<DrawnTime> {
        let time = |u: &f64| {
            let t =
                self.sde.time_at_lambda(self.lambda - u * self.fall).clamp(self.first, self.last);
            DrawnTime { t, weight: 1.0 / ((self.last - self.first) * self.density(t)) }
        };
        uniform.iter().map(time).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tweedie_schedules::{
        DiscreteTable, Edm, NoiseSchedule, SubVpLinear, VeGeometric, VpLinear,
    };

    /// From the data on.
    fn vp() -> VpLinear {
        VpLinear::new(0.1, 20.0).unwrap().with_time_range(0.0, 1.0).unwrap()
    }

    fn check(sde: impl Sde + Clone + std::fmt::Debug, first: f64) {
        let sampler = ImportanceTime::new(sde.clone(), first, 1.0).unwrap();
        // the density integrates to one up to the drawn time exactly as far as the number it was drawn by:
        // Simpson's rule in ln t, in which the density is smooth, within 1e-9
        for u in [0.1, 0.5, 0.93] {
            let t = sampler.draw(&[u])[0].t;
            let (low, high) = (first.ln(), t.ln());
            let (count, step) = (4000, (high - low) / 4000.0);
            let value = |k: i32| {
                let t = (low + step * f64::from(k)).exp();
                sampler.density(t) * t
            };
            let inner: f64 =
                (1..count).map(|k| value(k) * if k % 2 == 1 { 4.0 } else { 2.0 }).sum();
            let share = step / 3.0 * (value(0) + inner + value(count));
            assert!((share - u).abs() < 1e-9, "{sde:?}: {share} for {u}");
        }
    }

    #[test]
    fn the_times_have_the_density_they_are_weighted_by() {
        check(vp(), 1e-5);
        check(SubVpLinear::new(0.1, 20.0).unwrap().with_time_range(1e-5, 1.0).unwrap(), 1e-5);
        check(VeGeometric::new(0.01, 50.0).unwrap(), 1e-5);
    }

    #[test]
    fn a_weighted_error_of_the_noise_counts_the_same_at_every_time() {
        let sde = SubVpLinear::new(0.1, 20.0).unwrap().with_time_range(1e-5, 1.0).unwrap();
        let sampler = ImportanceTime::new(sde, 1e-5, 1.0).unwrap();
        let uniform: Vec<_> = (0..50).map(|k| f64::from(k) / 50.0).collect();
        let count = |drawn: &DrawnTime| {
            drawn.weight * sde.diffusion_squared(drawn.t) / sde.level(drawn.t).sigma.powi(2)
        };
        let counts: Vec<_> = sampler.draw(&uniform).iter().map(count).collect();
        assert!(counts.iter().all(|count| (count / counts[0] - 1.0).abs() < 1e-12));
    }

    #[test]
    fn times_of_ve_are_uniform() {
        let sampler = ImportanceTime::new(VeGeometric::new(0.01, 50.0).unwrap(), 0.2, 1.0).unwrap();
        let drawn = sampler.draw(&[0.25])[0];
        assert!((drawn.t - 0.4).abs() < 1e-14 && (drawn.weight - 1.0).abs() < 1e-14, "{drawn:?}");
    }

    #[test]
    fn a_range_that_reaches_the_data_is_refused() {
        let error = ImportanceTime::new(vp(), 0.0, 1.0).unwrap_err();
        assert_eq!(error, LossError::InfiniteLambda { t: 0.0, lambda: f64::INFINITY });
        let table = DiscreteTable::linear(50, 1e-3, 0.2).unwrap().rescaled_to_zero_snr().unwrap();
        assert!(ImportanceTime::new(table, 0.02, 1.0).is_err());
    }

    #[test]
    fn times_beyond_the_process_are_refused() {
        let error = ImportanceTime::new(vp(), 1e-5, 1.5).unwrap_err();
        assert_eq!(error, LossError::TimeOutsideRange { t: 1.5, low: 0.0, high: 1.0 });
        let edm = Edm::new(0.002, 80.0).unwrap();
        let error = ImportanceTime::new(edm, 0.001, 80.0).unwrap_err();
        assert_eq!(error, LossError::TimeOutsideRange { t: 0.001, low: 0.002, high: 80.0 });
        assert!(ImportanceTime::new(edm, 0.002, 80.0).is_ok());
    }
}
