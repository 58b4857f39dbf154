//! How a continuous process is cut into steps.
//!
//! A step of the forward chain is `x_from = scale x_to + sqrt(variance) z`, `from` being the noisier
//! end. The reverse-diffusion and ancestral predictors and the Langevin correctors are made of these
//! two numbers, so they work for every linear SDE and every way of cutting it.

mod euler;
mod song;

pub use euler::Euler;
pub use song::{SongTable, song_grid};

use tweedie_schedules::{Interval, Posterior, Transition};

/// The forward chain whose steps a sampler undoes.
pub trait Discretization {
    /// The chain's transition over an interval, from its cleaner end to its noisier one.
    fn transition(&self, interval: Interval) -> Transition;

    /// The chain's posterior: the cleaner state given the noisier one and the data.
    ///
    /// Its mean is Tweedie's formula for one transition, `(x + variance score) / scale`, written for
    /// a known `x_0` at the level of the interval's noisier end. A chain that adds more variance
    /// than this level holds leaves none to the posterior.
    fn posterior(&self, interval: Interval) -> Posterior {
        let Transition { scale, variance } = self.transition(interval);
        let level = interval.from.level;
        let share = variance / level.sigma.powi(2);
        Posterior {
            // Song et al. 2021, eq. 47, for any scale
            x: (1.0 - share) / scale,
            data: share * level.alpha / scale,
            variance: (variance * (1.0 - share)).max(0.0) / scale.powi(2),
        }
    }
}

impl<D: Discretization + ?Sized> Discretization for &D {
    fn transition(&self, interval: Interval) -> Transition {
        (**self).transition(interval)
    }

    fn posterior(&self, interval: Interval) -> Posterior {
        (**self).posterior(interval)
    }
}

impl<D: Discretization + ?Sized> Discretization for Box<D> {
    fn transition(&self, interval: Interval) -> Transition {
        (**self).transition(interval)
    }

    fn posterior(&self, interval: Interval) -> Posterior {
        (**self).posterior(interval)
    }
}

/// The process itself, seen at the ends of the intervals: nothing is approximated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exact;

impl Discretization for Exact {
    fn transition(&self, interval: Interval) -> Transition {
        interval.transition()
    }

    fn posterior(&self, interval: Interval) -> Posterior {
        interval.posterior()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tweedie_schedules::{NoiseSchedule, SubVpLinear, VeGeometric, VpLinear};

    /// The exact transitions, with the posterior that follows from them.
    struct ByTweedie;

    impl Discretization for ByTweedie {
        fn transition(&self, interval: Interval) -> Transition {
            interval.transition()
        }
    }

    fn check_posterior(schedule: &dyn NoiseSchedule, t: f64, share: f64) {
        let interval = Interval { from: schedule.point(t), to: schedule.point(t * share) };
        let (got, want) = (ByTweedie.posterior(interval), Exact.posterior(interval));
        let pairs = [(got.x, want.x), (got.data, want.data), (got.variance, want.variance)];
        for (got, want) in pairs {
            assert!((got - want).abs() < 1e-9 * (1.0 + want), "{got} {want} at {t}");
        }
    }

    proptest! {
        #[test]
        fn the_posterior_of_an_exact_chain_is_the_exact_one(t in 1e-3..1.0_f64, share in 0.01..0.99) {
            check_posterior(&VpLinear::new(0.1, 20.0).unwrap(), t, share);
            check_posterior(&SubVpLinear::new(0.1, 20.0).unwrap(), t, share);
            check_posterior(&VeGeometric::new(0.01, 50.0).unwrap(), t, share);
        }
    }
}
