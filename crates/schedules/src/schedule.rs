//! The one trait a noise schedule implements, and the schedules in continuous time.

mod edm;
mod scaled_sigma;
mod sub_vp_linear;
mod time_range;
mod ve_geometric;
mod vp_cosine;
mod vp_linear;

pub use edm::Edm;
pub use scaled_sigma::{ScaledSigma, Scaling, SigmaOfTime};
pub use sub_vp_linear::SubVpLinear;
pub(crate) use time_range::TimeRange;
pub use ve_geometric::VeGeometric;
pub use vp_cosine::VpCosine;
pub use vp_linear::VpLinear;

use crate::{NoiseLevel, ScheduleError, TimePoint};

/// How signal and noise change with time.
///
/// Implementors promise that lambda falls strictly as `t` rises over `time_range`, and that
/// `level(time_at_lambda(l)).lambda()` is `l` for every finite lambda the range reaches.
pub trait NoiseSchedule {
    /// Earliest (cleanest) and latest (noisiest) time the schedule is used at. The level may be
    /// defined beyond them; grids stay within.
    fn time_range(&self) -> (f64, f64);

    /// Level at time `t`.
    fn level(&self, t: f64) -> NoiseLevel;

    /// The time at which half the log signal-to-noise ratio is `lambda`.
    fn time_at_lambda(&self, lambda: f64) -> f64;

    /// Time and level together.
    fn point(&self, t: f64) -> TimePoint {
        TimePoint { t, level: self.level(t) }
    }
}

macro_rules! seen_through {
    ($pointer:ty) => {
        impl<N: NoiseSchedule + ?Sized> NoiseSchedule for $pointer {
            fn time_range(&self) -> (f64, f64) {
                (**self).time_range()
            }

            fn level(&self, t: f64) -> NoiseLevel {
                (**self).level(t)
            }

            fn time_at_lambda(&self, lambda: f64) -> f64 {
                (**self).time_at_lambda(lambda)
            }
        }
    };
}

seen_through!(&N);
seen_through!(Box<N>);
seen_through!(std::sync::Arc<N>);

fn check_rates(beta_min: f64, beta_max: f64) -> Result<(), ScheduleError> {
    ordered(["beta_min", "beta_max"], beta_min, beta_max)
}

fn check_sigmas(sigma_min: f64, sigma_max: f64) -> Result<(), ScheduleError> {
    if sigma_min == sigma_max {
        let allowed = "a finite value above sigma_min";
        return Err(ScheduleError::ParameterOutOfRange {
            name: "sigma_max",
            value: sigma_max,
            allowed,
        });
    }
    ordered(["sigma_min", "sigma_max"], sigma_min, sigma_max)
}

/// `0 < low <= high`, both finite.
fn ordered(names: [&'static str; 2], low: f64, high: f64) -> Result<(), ScheduleError> {
    let fault =
        |name, value, allowed| Err(ScheduleError::ParameterOutOfRange { name, value, allowed });
    if !(low > 0.0 && low.is_finite()) {
        return fault(names[0], low, "a finite value above 0");
    }
    if !(high >= low && high.is_finite()) {
        return fault(names[1], high, "a finite value not below the smaller end");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Every continuous schedule over the widest range in which it is used.
    fn all() -> Vec<(&'static str, Box<dyn NoiseSchedule>)> {
        vec![
            ("vp linear", Box::new(VpLinear::new(0.1, 20.0).unwrap())),
            ("vp constant", Box::new(VpLinear::new(5.0, 5.0).unwrap())),
            ("vp cosine", Box::new(VpCosine::default())),
            ("sub-vp", Box::new(SubVpLinear::new(0.1, 20.0).unwrap())),
            ("ve", Box::new(VeGeometric::new(0.01, 50.0).unwrap())),
            ("edm", Box::new(Edm::new(0.002, 80.0).unwrap())),
        ]
    }

    fn time(schedule: &dyn NoiseSchedule, share: f64) -> f64 {
        let (clean, noisy) = schedule.time_range();
        clean * (noisy / clean).powf(share) // as many small times as large ones
    }

    proptest! {
        #[test]
        fn time_at_lambda_inverts_level(share in 0.0..=1.0) {
            for (name, schedule) in all() {
                let t = time(&schedule, share);
                let back = schedule.time_at_lambda(schedule.level(t).lambda());
                let rounding = 1e-15; // VE's level knows t no better than that
                prop_assert!((back - t).abs() < 1e-11 * t + rounding, "{name}: {back} for {t}");
            }
        }

        #[test]
        fn level_inverts_time_at_lambda(share in 0.0..=1.0) {
            for (name, schedule) in all() {
                let (clean, noisy) = schedule.time_range();
                let (low, high) = (schedule.level(noisy).lambda(), schedule.level(clean).lambda());
                let lambda = low + share * (high - low);
                let back = schedule.level(schedule.time_at_lambda(lambda)).lambda();
                prop_assert!((back - lambda).abs() < 1e-11, "{name}: {back} for {lambda}");
            }
        }

        #[test]
        fn lambda_falls_strictly_with_time(share in 0.0..0.999, step in 1e-6..1e-3) {
            for (name, schedule) in all() {
                let (t, later) = (time(&schedule, share), time(&schedule, share + step));
                prop_assert!(schedule.level(later).lambda() < schedule.level(t).lambda(), "{name} at {t}");
            }
        }
    }

    #[test]
    fn levels_are_defined_on_the_closed_unit_interval() {
        for (name, schedule) in all() {
            for t in [0.0, 1.0] {
                assert!(schedule.level(t).is_valid(), "{name} at {t}: {:?}", schedule.level(t));
            }
        }
    }

    #[test]
    fn a_time_range_can_be_narrowed_and_nonsense_is_named() {
        let schedule = VpLinear::new(0.1, 20.0).unwrap();
        assert_eq!(schedule.with_time_range(0.0, 0.5).unwrap().time_range(), (0.0, 0.5));
        let error = schedule.with_time_range(0.5, 1.5).unwrap_err();
        assert_eq!(error.to_string(), "time range from 0.5 to 1.5, expected 0 <= from < to <= 1");
        assert!(Edm::new(0.1, 1.0).unwrap().with_time_range(2.0, 1.0).is_err());
    }

    #[test]
    fn parameters_out_of_order_are_refused_by_name() {
        let error = VpLinear::new(20.0, 0.1).unwrap_err();
        assert!(error.to_string().starts_with("beta_max is 0.1"), "{error}");
        assert!(SubVpLinear::new(0.0, 20.0).is_err());
        assert!(VeGeometric::new(50.0, 50.0).is_err());
        assert!(Edm::new(f64::NAN, 80.0).is_err());
    }
}
