//! A schedule as a stochastic process: by what motion the noise enters.
//!
//! `dx = f(t) x dt + g(t) dw`. A schedule fixes both: `f = d ln alpha / dt` and
//! `g^2 = d sigma^2 / dt - 2 f sigma^2`. Song et al. 2021, eq. 5 and appendix B.

mod scaled;
mod sub_vp;
mod ve;
mod vp;

use std::f64::consts::TAU;
use tweedie_schedules::NoiseSchedule;

/// A linear SDE with the marginals of its schedule.
pub trait Sde: NoiseSchedule {
    /// The drift `f(t)`, per unit of time: the mean moves by `f(t) x dt`.
    fn drift(&self, t: f64) -> f64;

    /// The squared diffusion `g(t)^2`: the variance added per unit of time.
    fn diffusion_squared(&self, t: f64) -> f64;

    /// Standard deviation of the prior, the zero-mean normal that sampling starts from.
    fn prior_std(&self) -> f64;

    /// Log density, in nats, of the prior at a state with the given squared Euclidean norm and
    /// number of dimensions.
    fn prior_log_density(&self, squared_norm: f64, dimensions: usize) -> f64 {
        let variance = self.prior_std().powi(2);
        -0.5 * (dimensions as f64 * (TAU * variance).ln() + squared_norm / variance)
    }

    /// What a clock shows at time `t` in which the motion is smooth: the time itself, unless drift and
    /// diffusion jump in it, as those of a table do at every step. Solvers that choose their own steps
    /// choose them by this clock.
    fn clock(&self, t: f64) -> f64 {
        t
    }

    /// The time at which the clock shows `clock`.
    fn time_at_clock(&self, clock: f64) -> f64 {
        clock
    }

    /// How fast the clock runs at time `t`.
    fn clock_rate(&self, _t: f64) -> f64 {
        1.0
    }
}

macro_rules! seen_through {
    ($pointer:ty) => {
        impl<N: Sde + ?Sized> Sde for $pointer {
            fn drift(&self, t: f64) -> f64 {
                (**self).drift(t)
            }

            fn diffusion_squared(&self, t: f64) -> f64 {
                (**self).diffusion_squared(t)
            }

            fn prior_std(&self) -> f64 {
                (**self).prior_std()
            }

            fn prior_log_density(&self, squared_norm: f64, dimensions: usize) -> f64 {
                (**self).prior_log_density(squared_norm, dimensions)
            }

            fn clock(&self, t: f64) -> f64 {
                (**self).clock(t)
            }

            fn time_at_clock(&self, clock: f64) -> f64 {
                (**self).time_at_clock(clock)
            }

            fn clock_rate(&self, t: f64) -> f64 {
                (**self).clock_rate(t)
            }
        }
    };
}

seen_through!(&N);
seen_through!(Box<N>);
seen_through!(std::sync::Arc<N>);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tweedie_schedules::{
        BelowFirst, DiscreteTable, Edm, ScaledSigma, Scaling, SigmaOfTime, SubVpLinear,
        VeGeometric, VpCosine, VpLinear,
    };

    fn scaled(sigma: SigmaOfTime, scaling: Scaling) -> Box<dyn Sde> {
        Box::new(ScaledSigma::new(sigma, scaling, 0.002, 80.0).unwrap())
    }

    fn all() -> Vec<Box<dyn Sde>> {
        let rates = SigmaOfTime::VariancePreserving { beta_d: 19.9, beta_min: 0.1 };
        vec![
            scaled(SigmaOfTime::SquareRoot, Scaling::None),
            scaled(SigmaOfTime::SquareRoot, Scaling::VariancePreserving),
            scaled(SigmaOfTime::Linear, Scaling::VariancePreserving),
            scaled(rates, Scaling::None),
            scaled(rates, Scaling::VariancePreserving),
            Box::new(VpLinear::new(0.1, 20.0).unwrap()),
            Box::new(VpCosine::default()),
            Box::new(SubVpLinear::new(0.1, 20.0).unwrap()),
            Box::new(VeGeometric::new(0.01, 50.0).unwrap()),
            Box::new(Edm::new(0.002, 80.0).unwrap()),
        ]
    }

    /// The slope of `value` at `t` by central differences of fourth order. Near t = 0 the step is
    /// the larger share of t: there what is differenced hardly changes, and shorter steps would
    /// leave nothing but its rounding.
    fn slope(value: impl Fn(f64) -> f64, t: f64) -> f64 {
        let step = (1e-2 * t).min(3e-5 * t.max(1.0));
        let pair = |k: f64| value(t + k * step) - value(t - k * step);
        (8.0 * pair(1.0) - pair(2.0)) / (12.0 * step)
    }

    proptest! {
        // the differences lose digits where what they difference is near its limit: 1e-7 of the
        // larger of the terms they are made of is kept everywhere
        #[test]
        fn drift_and_diffusion_are_the_slopes_of_the_schedule(share in 0.0..1.0_f64) {
            for sde in all() {
                let (clean, noisy) = sde.time_range();
                let t = clean + share * (0.997 * noisy - clean);
                let drift = slope(|t| sde.level(t).alpha.ln(), t);
                prop_assert!((sde.drift(t) - drift).abs() < 1e-7 * (1.0 + drift.abs()), "f at {t}");
                let variance = sde.level(t).sigma.powi(2);
                let growth = slope(|t| sde.level(t).sigma.powi(2), t);
                let decay = 2.0 * drift * variance;
                let size = 1.0 + growth.abs() + decay.abs();
                let got = sde.diffusion_squared(t);
                prop_assert!((got - (growth - decay)).abs() < 1e-7 * size, "g^2 at {t}: {got}");
            }
        }
    }

    #[test]
    fn the_rate_of_a_table_is_its_slope_within_every_segment() {
        let cosine = DiscreteTable::cosine(50).unwrap();
        let zero_snr =
            DiscreteTable::linear(50, 1e-3, 0.2).unwrap().rescaled_to_zero_snr().unwrap();
        for table in [cosine.clone().with_below_first(BelowFirst::Origin), cosine, zero_snr] {
            for segment in 0..50 {
                let t = (f64::from(segment) + 0.5) / 50.0;
                let log_alpha = |t: f64| table.level(t).alpha.ln();
                let drift = (log_alpha(t + 1e-6) - log_alpha(t - 1e-6)) / 2e-6;
                let off = (table.drift(t) - drift).abs();
                assert!(off <= 1e-6 * drift.abs(), "segment {segment}: {drift}");
                assert_eq!(table.diffusion_squared(t), -2.0 * table.drift(t));
            }
        }
    }

    #[test]
    fn the_clock_of_a_table_can_be_read_both_ways() {
        let table = DiscreteTable::linear(50, 1e-3, 0.2).unwrap();
        let from_origin = table.clone().with_below_first(BelowFirst::Origin);
        // only the second goes on falling below its first step, at t = 0.02
        for (table, clean, within) in [(&table, 0.02, 0.033), (&from_origin, 0.01, 0.013)] {
            for t in [clean, 0.02, 0.313, 0.7, 1.0] {
                let clock = table.clock(t);
                assert!((table.time_at_clock(clock) - t).abs() < 1e-12, "{t}");
            }
            for t in [within, 0.313, 0.715] {
                let rate = slope(|t| table.clock(t), t);
                assert!((table.clock_rate(t) - rate).abs() < 1e-7 * rate, "{t}");
            }
        }
        let through: &dyn Sde = &&table;
        assert_eq!(through.clock(0.4), table.clock(0.4));
    }

    #[test]
    fn the_prior_is_the_marginal_at_the_noisiest_time() {
        for sde in all() {
            let sigma = sde.level(sde.time_range().1).sigma;
            assert!((sde.prior_std() / sigma - 1.0).abs() < 1e-4, "{}", sde.prior_std());
        }
    }

    #[test]
    fn the_prior_density_is_that_of_a_normal_distribution() {
        let sde = VeGeometric::new(0.01, 50.0).unwrap();
        let one = |x: f64| -0.5 * (x / 50.0).powi(2) - (50.0 * TAU.sqrt()).ln();
        let got = sde.prior_log_density(3.0_f64.powi(2) + 70.0_f64.powi(2), 2);
        assert!((got - one(3.0) - one(70.0)).abs() < 1e-12);
    }
}
