//! Noise that is put back while the flow takes it out.

use crate::SampleError;

/// Where a run along the flow draws noise.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Stochastic {
    /// Nowhere.
    #[default]
    Never,
    /// Before steps: EDM's stochastic sampler.
    Churn(Churn),
    /// After steps: ancestral sampling.
    Ancestral(AncestralNoise),
}

/// Noise raised before a step, by a share of what is there. // Karras et al. 2022, algorithm 2
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Churn {
    /// Amount over the whole run; each of `N` steps raises the noise by the share `amount / N`, at
    /// most `sqrt(2) - 1` (`S_churn`).
    pub amount: f64,
    /// Smallest relative noise at which it acts (`S_min`).
    pub sigma_min: f64,
    /// Largest relative noise at which it acts (`S_max`).
    pub sigma_max: f64,
    /// Factor on the noise added, a little above 1 to make up for what denoisers remove in excess
    /// (`S_noise`).
    pub noise: f64,
}

impl Churn {
    /// `amount` at every noise level, with noise of just the right size.
    #[must_use]
    pub fn everywhere(amount: f64) -> Self {
        Self { amount, sigma_min: 0.0, sigma_max: f64::INFINITY, noise: 1.0 }
    }

    /// The share by which the noise is raised at relative noise `sigma`, in a run of `steps` steps.
    /// Pure noise, of infinite `sigma`, cannot be raised.
    #[must_use]
    pub fn share(&self, sigma: f64, steps: usize) -> f64 {
        // Karras et al. 2022, algorithm 2, line 4
        if sigma.is_finite() && (self.sigma_min..=self.sigma_max).contains(&sigma) {
            (self.amount / steps as f64).min(std::f64::consts::SQRT_2 - 1.0)
        } else {
            0.0
        }
    }
}

/// Noise renewed after a step that went below its target.
///
/// With `eta = 1` and Euler's rule in sigma, this is ancestral sampling with the posterior's variance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AncestralNoise {
    /// Share of the posterior's noise: 0 for none.
    pub eta: f64,
    /// Factor on the noise added.
    pub noise: f64,
}

impl AncestralNoise {
    /// `(down, up)`: the relative noise that the flow steps to, and the one added after it, for a
    /// step between relative noises `from` and `to`. Their squares add up to that of `to`. `from` may
    /// be infinite: pure noise. No noise is added where the step leads to as much or more.
    #[must_use]
    pub fn split(&self, from: f64, to: f64) -> (f64, f64) {
        if to >= from {
            return (to, 0.0);
        }
        let share =
            if from.is_infinite() { 1.0 } else { ((from - to) * (from + to)).sqrt() / from };
        // Song et al. 2021, eq. 47 (app. F), times eta
        let up = (self.eta * to * share).min(to);
        (((to - up) * (to + up)).sqrt(), up)
    }
}

impl Stochastic {
    pub(super) fn check(&self) -> Result<(), SampleError> {
        let values = match self {
            Self::Never => vec![],
            Self::Churn(churn) => {
                vec![("churn amount", churn.amount), ("churn noise", churn.noise)]
            }
            Self::Ancestral(noise) => vec![("eta", noise.eta), ("noise factor", noise.noise)],
        };
        match values.into_iter().find(|(_, value)| !(*value >= 0.0 && value.is_finite())) {
            Some((name, value)) => {
                let allowed = "a finite value >= 0";
                Err(SampleError::ParameterOutOfRange { name, value, allowed })
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn down_and_up_make_the_target(from in 1e-2..1e2_f64, share in 0.0..1.0, eta in 0.0..2.0) {
            let to = from * share;
            let (down, up) = AncestralNoise { eta, noise: 1.0 }.split(from, to);
            prop_assert!((down.hypot(up) - to).abs() <= 1e-12 * from);
            prop_assert!(down <= to && up <= to);
        }
    }

    #[test]
    fn churn_is_capped_and_kept_to_its_range() {
        let churn = Churn { amount: 40.0, sigma_min: 0.05, sigma_max: 50.0, noise: 1.003 };
        assert_eq!(churn.share(1.0, 400), 0.1);
        assert_eq!(churn.share(1.0, 10), std::f64::consts::SQRT_2 - 1.0);
        assert_eq!([churn.share(0.01, 400), churn.share(80.0, 400)], [0.0, 0.0]);
    }
}
