//! Rules that turn the error of an attempt into the size of the next.

use super::OrderPair;
use tweedie_samplers::{Decision, StepController};

/// How step sizes follow from errors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum StepControl {
    /// Aim at the error allowed, with a margin: the size is multiplied by
    /// `safety * error^(-1 / order)`. An attempt stands when its error is at most 1.
    Proportional {
        /// The margin, below 1.
        safety: f64,
    },
    /// A controller with memory of the last two accepted errors, gentler on changes. An attempt stands
    /// when the factor on its size is at least `accept_safety`.
    Pid {
        /// Weight of the error's change.
        proportional: f64,
        /// Weight of the error itself.
        integral: f64,
        /// Weight of the change's change.
        derivative: f64,
        /// Smallest factor on the size with which an attempt still stands.
        accept_safety: f64,
    },
}

impl Default for StepControl {
    /// As published with DPM-Solver. // Lu et al. 2022, app. C
    fn default() -> Self {
        Self::Proportional { safety: 0.9 }
    }
}

impl StepControl {
    /// A controller at the start of a run; with noise an error falls more slowly with the step.
    pub(super) fn start(self, pair: OrderPair, stochastic: bool) -> Box<dyn StepController> {
        let order = pair.higher() as f64;
        match self {
            Self::Proportional { safety } => Box::new(Proportional { safety, order }),
            Self::Pid { proportional, integral, derivative, accept_safety } => {
                let order = if stochastic { 1.5 } else { order };
                // Söderlind 2003, sec. 3
                let exponents = [
                    (proportional + integral + derivative) / order,
                    -(proportional + 2.0 * derivative) / order,
                    derivative / order,
                ];
                Box::new(Pid { exponents, accept_safety, inverse_errors: None })
            }
        }
    }

    /// Whether a step cut short at the end of the span counts as the size that was asked for.
    pub(super) fn forgets_cuts(self) -> bool {
        matches!(self, Self::Pid { .. })
    }
}

#[derive(Debug)]
struct Proportional {
    safety: f64,
    order: f64,
}

impl StepController for Proportional {
    fn decide(&mut self, error: f64) -> Decision {
        let factor = self.safety * error.powf(-1.0 / self.order);
        Decision { accept: error <= 1.0, factor }
    }
}

#[derive(Debug)]
struct Pid {
    exponents: [f64; 3],
    accept_safety: f64,
    /// Of this attempt and of the last two that stood.
    inverse_errors: Option<[f64; 3]>,
}

impl StepController for Pid {
    fn decide(&mut self, error: f64) -> Decision {
        let inverse = 1.0 / (error + 1e-8); // no division by an error of 0
        let [_, newer, older] = self.inverse_errors.unwrap_or([inverse; 3]);
        let raised = [inverse, newer, older].into_iter().zip(self.exponents);
        let product: f64 = raised.map(|(inverse, exponent)| inverse.powf(exponent)).product();
        let factor = 1.0 + (product - 1.0).atan(); // between 0.2 and 2.6
        let accept = factor >= self.accept_safety;
        let remembered = if accept { [inverse, inverse, newer] } else { [inverse, newer, older] };
        self.inverse_errors = Some(remembered);
        Decision { accept, factor }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_proportional_rule_aims_below_the_error_allowed() {
        let mut control = StepControl::default().start(OrderPair::OneTwo, false);
        let large = control.decide(4.0);
        assert!(!large.accept && (large.factor - 0.45).abs() < 1e-15);
        let small = control.decide(0.25);
        assert!(small.accept && (small.factor - 1.8).abs() < 1e-15);
        assert_eq!(control.decide(0.0).factor, f64::INFINITY);
        assert!(!control.decide(f64::NAN).accept);
    }

    #[test]
    fn the_memory_of_a_pid_rule_holds_accepted_errors_alone() {
        let rule = StepControl::Pid {
            proportional: 0.2,
            integral: 0.4,
            derivative: 0.1,
            accept_safety: 0.81,
        };
        let decide = |errors: &[f64]| {
            let mut control = rule.start(OrderPair::TwoThree, false);
            errors.iter().map(|error| control.decide(*error)).last().unwrap()
        };
        assert_eq!(decide(&[0.5, 0.2]), decide(&[0.5, 1e6, 0.2]));
        assert!(!decide(&[0.5, 1e6]).accept);
        assert!(decide(&[1e-12]).factor < 2.6);
    }

    #[test]
    fn without_memory_a_pid_rule_looks_at_the_error_alone() {
        let (proportional, integral, derivative) = (0.0, 1.0, 0.0);
        let rule = StepControl::Pid { proportional, integral, derivative, accept_safety: 0.81 };
        let mut control = rule.start(OrderPair::TwoThree, false);
        let first = control.decide(0.3);
        control.decide(0.9);
        assert_eq!(control.decide(0.3), first);
    }
}
