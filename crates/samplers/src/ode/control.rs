//! The two published rules of step control.

use crate::{Decision, StepController};

/// How steps are chosen, and how the last one meets the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stepping {
    /// As scipy's `solve_ivp`: the last step is shortened to land on the end, and a step does not
    /// grow right after a rejection.
    #[default]
    Scipy,
    /// As torchdiffeq's `odeint`: the last step runs past the end, where the field must be defined,
    /// and the state at the end is interpolated; an accepted step never shrinks. It goes with
    /// [`Tableau::DORMAND_PRINCE_SHAMPINE`](crate::Tableau::DORMAND_PRINCE_SHAMPINE) and
    /// [`Tableau::BOGACKI_SHAMPINE_HALFWAY`](crate::Tableau::BOGACKI_SHAMPINE_HALFWAY).
    Torchdiffeq,
}

const SAFETY: f64 = 0.9;
const SMALLEST_FACTOR: f64 = 0.2;
const LARGEST_FACTOR: f64 = 10.0;

/// `solve_ivp`'s rule: accept below 1. // Hairer et al. 1993, eq. II.4.13
#[derive(Debug)]
pub(super) struct ScipyControl {
    /// One over the order of the error in the size of the step.
    pub(super) exponent: f64,
    pub(super) rejected: bool,
}

impl StepController for ScipyControl {
    fn decide(&mut self, error: f64) -> Decision {
        let ideal = SAFETY * error.powf(-self.exponent); // infinite for an error of 0
        let accept = error < 1.0;
        let factor = if !accept {
            ideal.max(SMALLEST_FACTOR) // also where the error is not a number
        } else if self.rejected {
            ideal.min(1.0)
        } else {
            ideal.min(LARGEST_FACTOR)
        };
        self.rejected = !accept;
        Decision { accept, factor }
    }
}

/// `odeint`'s rule: accept up to 1.
#[derive(Debug)]
pub(super) struct TorchdiffeqControl {
    pub(super) exponent: f64,
}

impl StepController for TorchdiffeqControl {
    fn decide(&mut self, error: f64) -> Decision {
        let smallest = if error < 1.0 { 1.0 } else { SMALLEST_FACTOR };
        let ideal = SAFETY * error.powf(-self.exponent);
        Decision { accept: error <= 1.0, factor: ideal.max(smallest).min(LARGEST_FACTOR) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decide(control: &mut dyn StepController, error: f64) -> (bool, f64) {
        let Decision { accept, factor } = control.decide(error);
        (accept, factor)
    }

    #[test]
    fn a_step_does_not_grow_right_after_a_rejection() {
        let mut control = ScipyControl { exponent: 0.2, rejected: false };
        assert_eq!(decide(&mut control, 0.0), (true, 10.0));
        assert_eq!(decide(&mut control, 1e9), (false, 0.2));
        assert_eq!(decide(&mut control, 1e-9), (true, 1.0));
        assert_eq!(decide(&mut control, 1e-9), (true, 10.0));
    }

    #[test]
    fn an_error_that_is_not_a_number_shrinks_the_step() {
        let mut control = ScipyControl { exponent: 0.2, rejected: false };
        assert_eq!(decide(&mut control, f64::NAN), (false, 0.2));
        let mut control = TorchdiffeqControl { exponent: 0.2 };
        assert_eq!(decide(&mut control, f64::NAN), (false, 0.2));
    }

    #[test]
    fn torchdiffeq_accepts_an_error_of_exactly_what_is_allowed() {
        let mut control = TorchdiffeqControl { exponent: 0.2 };
        assert_eq!(decide(&mut control, 1.0), (true, 0.9));
        assert_eq!(decide(&mut control, 0.99), (true, 1.0));
    }

    proptest! {
        #[test]
        fn factors_stay_in_bounds(errors in prop::collection::vec(0.0..1e6, 1..20)) {
            let mut scipy = ScipyControl { exponent: 0.2, rejected: false };
            let mut torch = TorchdiffeqControl { exponent: 0.2 };
            for error in errors {
                for (accept, factor) in [decide(&mut scipy, error), decide(&mut torch, error)] {
                    prop_assert!((SMALLEST_FACTOR..=LARGEST_FACTOR).contains(&factor));
                    prop_assert!(accept || factor < 1.0);
                }
            }
        }
    }
}
