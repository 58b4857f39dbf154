//! Which integral is solved: over the noise or over the data prediction, of the flow or of the SDE.

use crate::phi;
use tweedie_schedules::{Interval, NoiseLevel, Prediction};

/// The form in which the diffusion ODE or SDE is written before it is discretized.
///
/// With `h` the growth of lambda over a step, `u` the way in from its start and `m` the prediction,
/// the solution from level `s` to level `t` is, for the share `eta` of the reverse SDE's noise,
/// - noise form: `alpha_t/alpha_s x - (1+eta) sigma_t integral e^(h-u) m(u) du + n z`,
///   `n^2 = eta sigma_t^2 (e^(2h) - 1)`;
/// - data form: `sigma_t/sigma_s e^(-eta h) x + (1+eta) alpha_t integral e^(-(1+eta)(h-u)) m(u) du + n z`,
///   `n^2 = sigma_t^2 (1 - e^(-2 eta h))`.
///
/// `eta = 0` is the probability flow, `eta = 1` the reverse SDE.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Algorithm {
    form: Form,
    eta: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    Noise,
    Data,
}

impl Algorithm {
    /// DPM-Solver: the flow, over the noise prediction.
    pub const DPM_SOLVER: Self = Self { form: Form::Noise, eta: 0.0 };
    /// DPM-Solver++: the flow, over the data prediction.
    pub const DPM_SOLVER_PP: Self = Self { form: Form::Data, eta: 0.0 };
    /// SDE-DPM-Solver: the reverse SDE, over the noise prediction.
    pub const SDE_DPM_SOLVER: Self = Self { form: Form::Noise, eta: 1.0 };
    /// SDE-DPM-Solver++: the reverse SDE, over the data prediction.
    pub const SDE_DPM_SOLVER_PP: Self = Self { form: Form::Data, eta: 1.0 };

    /// The prediction that is integrated: noise or data.
    #[must_use]
    pub fn prediction(self) -> Prediction {
        match self.form {
            Form::Noise => Prediction::Noise,
            Form::Data => Prediction::Data,
        }
    }

    /// Share of the reverse SDE's noise, as a share of its variance.
    #[must_use]
    pub fn eta(self) -> f64 {
        self.eta
    }

    pub(crate) fn with_eta(self, eta: f64) -> Self {
        Self { eta, ..self }
    }

    /// The same equation in a form that has finite coefficients over `interval`.
    ///
    /// Over an infinite step (from `alpha = 0`, to `sigma = 0`) both forms of the first order are DDIM,
    /// but the noise form writes it as a difference of infinite terms.
    pub(crate) fn over(self, interval: Interval) -> Self {
        let noise_is_finite = self.eta == 0.0 && interval.from.level.alpha > 0.0;
        if is_finite(interval) || noise_is_finite {
            self
        } else {
            Self { form: Form::Data, ..self }
        }
    }

    /// The solution over `interval`, but for the values of the prediction along it.
    pub(crate) fn integral(self, interval: Interval) -> Integral {
        let (from, to, h, eta) = (interval.from.level, interval.to.level, interval.h(), self.eta);
        let grown = |rate: f64| if rate == 0.0 { 0.0 } else { (rate * h).exp_m1() };
        match self.form {
            Form::Noise => Integral {
                // Lu et al. 2022, eq. 3.4; with noise Lu et al. 2022a
                x: to.alpha / from.alpha,
                noise: to.sigma * (eta * grown(2.0)).max(0.0).sqrt(),
                scale: -(1.0 + eta) * to.sigma,
                // sigma_t (e^h - 1), which has a limit at sigma_t = 0
                whole: if h.is_finite() {
                    -(1.0 + eta) * to.sigma * grown(1.0)
                } else {
                    to.sigma - to.alpha / from.alpha * from.sigma
                },
                rate: 1.0,
                h,
            },
            Form::Data => Integral {
                // Lu et al. 2022a, the data form of the flow and of the SDE, for any share eta
                x: to.sigma / from.sigma * (1.0 + grown(-eta)),
                noise: to.sigma * (-grown(-2.0 * eta)).max(0.0).sqrt(),
                scale: (1.0 + eta) * to.alpha,
                whole: -to.alpha * grown(-(1.0 + eta)),
                rate: -(1.0 + eta),
                h,
            },
        }
    }
}

/// Whether lambda is finite at both ends.
pub(crate) fn is_finite(interval: Interval) -> bool {
    has_lambda(interval.from.level) && has_lambda(interval.to.level)
}

/// Whether lambda is finite: there is both data and noise.
pub(crate) fn has_lambda(level: NoiseLevel) -> bool {
    level.alpha > 0.0 && level.sigma > 0.0
}

/// The solution over a step, `x x_from + scale integral over [0, h] of e^(rate (h-u)) m(u) du + noise z`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Integral {
    /// Coefficient of the state.
    pub(crate) x: f64,
    /// Standard deviation of the noise.
    pub(crate) noise: f64,
    scale: f64,
    whole: f64,
    rate: f64,
    h: f64,
}

impl Integral {
    /// The integral for `m(u) = u^k / k!`: the weight of the k-th derivative of the prediction.
    pub(crate) fn moment(&self, k: usize) -> f64 {
        if k == 0 {
            return self.whole;
        }
        // Lu et al. 2022, app. B
        self.scale * self.h.powi(k as i32 + 1) * phi(k + 1, self.rate * self.h)
    }

    /// The integral for `m = 1`, as if its kernel were the one at the end of the step.
    pub(crate) fn flat(&self) -> f64 {
        self.scale * self.h
    }

    /// The growth of lambda.
    pub(crate) fn h(&self) -> f64 {
        self.h
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tweedie_schedules::TimePoint;

    fn point(level: NoiseLevel) -> TimePoint {
        TimePoint { t: level.sigma, level }
    }

    fn interval(noisy: f64, clean: f64) -> Interval {
        let [from, to] = [noisy, clean].map(|log| point(NoiseLevel::variance_preserving(-log)));
        Interval { from, to }
    }

    proptest! {
        #[test]
        fn the_data_form_keeps_the_marginal_of_known_data(
            noisy in 1e-4..6.0, share in 0.0..0.999, eta in 0.0..3.0,
        ) {
            let interval = interval(noisy, noisy * share);
            let (from, to) = (interval.from.level, interval.to.level);
            let integral = Algorithm::DPM_SOLVER_PP.with_eta(eta).integral(interval);
            let mean = integral.x * from.alpha + integral.moment(0) - to.alpha;
            let variance = (integral.x * from.sigma).hypot(integral.noise) - to.sigma;
            prop_assert!(mean.abs() < 1e-12 && variance.abs() < 1e-12, "{mean} {variance}");
        }

        #[test]
        fn both_forms_of_the_flow_are_ddim_at_first_order(
            noisy in 1e-4..6.0, share in 0.0..0.999, x in -2.0..2.0_f64, data in -1.0..1.0_f64,
        ) {
            let interval = interval(noisy, noisy * share);
            let from = interval.from.level;
            let noise = (x - from.alpha * data) / from.sigma;
            let step = |algorithm: Algorithm, prediction: f64| {
                let integral = algorithm.integral(interval);
                integral.x * x + integral.moment(0) * prediction
            };
            let (a, b) = (step(Algorithm::DPM_SOLVER, noise), step(Algorithm::DPM_SOLVER_PP, data));
            prop_assert!((a - b).abs() < 1e-10 * (1.0 + noise.abs()) / from.alpha, "{a} {b}");
        }

        #[test]
        fn moments_of_long_steps_are_those_of_the_integral(h in 0.1..8.0, eta in 0.0..=1.0) {
            let level = |lambda: f64| point(NoiseLevel { alpha: 1.0, sigma: f64::exp(-lambda) });
            let interval = Interval { from: level(0.0), to: level(h) };
            for algorithm in [Algorithm::DPM_SOLVER, Algorithm::DPM_SOLVER_PP] {
                let integral = algorithm.with_eta(eta).integral(interval);
                for (k, factorial) in [(0, 1.0), (1, 1.0), (2, 2.0)] {
                    let cells = 4000;
                    let term = |cell: i32| {
                        let u = h * (f64::from(cell) + 0.5) / f64::from(cells);
                        (integral.rate * (h - u)).exp() * u.powi(k) / factorial
                    };
                    let sum: f64 = (0..cells).map(term).sum();
                    let expected = integral.scale * sum * h / f64::from(cells);
                    let got = integral.moment(k as usize);
                    prop_assert!((got / expected - 1.0).abs() < 1e-4, "{k}: {got} {expected}");
                }
            }
        }
    }

    #[test]
    fn infinite_steps_have_finite_solutions() {
        let noise = NoiseLevel { alpha: 0.0, sigma: 1.0 };
        let middle = NoiseLevel::variance_preserving(-0.3);
        for algorithm in [
            Algorithm::DPM_SOLVER,
            Algorithm::DPM_SOLVER_PP,
            Algorithm::SDE_DPM_SOLVER,
            Algorithm::SDE_DPM_SOLVER_PP,
        ] {
            let at_start = Interval { from: point(noise), to: point(middle) };
            let start = algorithm.over(at_start);
            assert_eq!(start.prediction(), Prediction::Data);
            let start = start.integral(at_start);
            assert_eq!(start.moment(0), middle.alpha);
            assert!((start.x.hypot(start.noise) - middle.sigma).abs() < 1e-15);
            let at_end = Interval { from: point(middle), to: point(NoiseLevel::CLEAN) };
            let end = algorithm.over(at_end);
            let (of_x, of_prediction) = end.prediction().convert(Prediction::Data, middle);
            let end = end.integral(at_end);
            // the data estimate, in terms of the state and of the prediction
            assert!((end.x - of_x).abs() < 1e-15 && end.noise == 0.0, "{end:?}");
            assert!((end.moment(0) - of_prediction).abs() < 1e-15, "{end:?}");
        }
    }
}
