//! Stages of a single-step method: a network evaluation, and the state computed from what is known
//! then.
//!
//! A step of order `p` evaluates the network at its start and at `p - 1` inner points. The state at
//! each of them, and at the end, is a combination of the state at the start and of the estimates made
//! so far: a step of lower order to the inner point, as in an explicit Runge-Kutta method.

use crate::algorithm::Integral;
use crate::fresh_noise::Renoised;
use crate::{Algorithm, SolverType};
use tweedie_samplers::SampleError;
use tweedie_schedules::{Interval, NoiseSchedule, Prediction, TimePoint};
use tweedie_score::{NoiseSource, VectorSpace};

/// One evaluation of the network within a step, and the state that follows.
#[derive(Clone, Debug, PartialEq)]
pub struct Stage {
    /// Where the network is called; the first stage of a step stands at its start.
    pub at: TimePoint,
    /// The form in which the estimate enters: noise or data.
    pub estimate: Prediction,
    /// Coefficients of the state that follows.
    pub row: Row,
}

/// Coefficients of a state within a step.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Coefficient of the state at the start of the step.
    pub x: f64,
    /// Coefficients of the estimates made so far in the step, the first one first.
    pub estimates: Vec<f64>,
    /// Standard deviation of the noise added; none is drawn when it is 0.
    pub noise: f64,
}

impl Row {
    /// Whether every coefficient is finite.
    pub(crate) fn is_finite(&self) -> bool {
        let mut all = self.estimates.iter().chain([&self.x, &self.noise]);
        all.all(|value| value.is_finite())
    }

    /// The state that follows from the state at the start of the step and the estimates made so far.
    pub(crate) fn combine<S: VectorSpace>(&self, start: &S, estimates: &[S]) -> S {
        let terms = [(self.x, start)].into_iter();
        let mut terms: Vec<_> =
            terms.chain(self.estimates.iter().copied().zip(estimates)).collect();
        terms.retain(|(coefficient, _)| *coefficient != 0.0);
        if terms.is_empty() { S::combine(&[(0.0, start)]) } else { S::combine(&terms) }
    }

    /// The state with the row's noise added to it.
    pub(crate) fn renoise<S: VectorSpace>(
        &self,
        step: usize,
        x: S,
        noise: &mut dyn NoiseSource<S>,
    ) -> Result<S, SampleError> {
        if self.noise == 0.0 {
            return Ok(x);
        }
        let z = noise.normal_like(&x).map_err(|source| SampleError::Noise { step, source })?;
        Ok(S::combine(&[(1.0, &x), (self.noise, &z)]))
    }
}

/// The point of a schedule at a share of an interval's growth in lambda.
pub(crate) fn point_within(
    schedule: &dyn NoiseSchedule,
    interval: Interval,
    share: f64,
) -> TimePoint {
    let lambda = interval.from.level.lambda() + share * interval.h();
    schedule.point(schedule.time_at_lambda(lambda))
}

/// Where a row leads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    /// The point aimed at: its lambda is the abscissa of the estimate that is made there.
    pub(crate) point: TimePoint,
    /// How it is reached.
    pub(crate) by: Renoised,
}

impl Target {
    /// A point reached without fresh noise.
    pub(crate) fn plain(point: TimePoint) -> Self {
        Self { point, by: Renoised::without(point) }
    }
}

/// How a step is formed, apart from its points.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rule {
    /// Which integral is solved.
    pub(crate) algorithm: Algorithm,
    /// How the state at the end of a step is formed.
    pub(crate) solver_type: SolverType,
    /// How the second inner state of a step of order three is formed.
    pub(crate) second_inner: SolverType,
    /// Factor on all noise added.
    pub(crate) noise_scale: f64,
}

impl Rule {
    /// The stages of a step from `from` through inner targets to the last one, one to three in all.
    pub(crate) fn stages(self, from: TimePoint, targets: &[Target]) -> Vec<Stage> {
        let whole = Interval { from, to: targets[targets.len() - 1].by.down };
        let rule = Self { algorithm: self.algorithm.over(whole), ..self };
        let stage = |k: usize| {
            let inner = k == 1 && targets.len() == 3;
            let solver_type = if inner { rule.second_inner } else { rule.solver_type };
            Stage {
                at: if k == 0 { from } else { targets[k - 1].point },
                estimate: rule.algorithm.prediction(),
                row: Self { solver_type, ..rule }.row(from, &targets[..=k]),
            }
        };
        (0..targets.len()).map(stage).collect()
    }

    /// The row that leads to the last of one to three targets, the estimates at the others known.
    pub(crate) fn row(self, from: TimePoint, targets: &[Target]) -> Row {
        let end = targets[targets.len() - 1];
        let integral = self.algorithm.integral(Interval { from, to: end.by.down });
        let h = Interval { from, to: end.point }.h();
        let share = |k: usize| Interval { from, to: targets[k].point }.h() / h;
        let estimates = match targets.len() {
            1 => vec![integral.moment(0)],
            2 => second_order(&integral, self.solver_type, share(0)),
            _ => third_order(&integral, self.solver_type, share(0), share(1)),
        };
        Row { x: integral.x, estimates, noise: self.noise_scale * (integral.noise + end.by.up) }
    }
}

/// Weights of `m_0` and `m_1`: the slope over the step is `(m_1 - m_0) / r_1`.
fn second_order(integral: &Integral, solver_type: SolverType, r1: f64) -> Vec<f64> {
    let slope = match solver_type {
        SolverType::Midpoint => 0.5 * integral.moment(0), // Lu et al. 2022, algorithm 1
        SolverType::Taylor => integral.moment(1) / integral.h(), // Lu et al. 2022, eq. 3.6
    };
    vec![integral.moment(0) - slope / r1, slope / r1]
}

/// Weights of `m_0`, `m_1` and `m_2`: the slope of the chord to `m_2` alone, or slope and curvature of
/// the parabola through all three.
fn third_order(integral: &Integral, solver_type: SolverType, r1: f64, r2: f64) -> Vec<f64> {
    let (whole, slope) = (integral.moment(0), integral.moment(1) / integral.h());
    match solver_type {
        // Lu et al. 2022, algorithm 2
        SolverType::Midpoint => vec![whole - slope / r2, 0.0, slope / r2],
        SolverType::Taylor => {
            // Lu et al. 2022, eq. 3.6, with divided differences for the derivatives
            let curvature = 2.0 * integral.moment(2) / integral.h().powi(2);
            let of_first = (slope * r2 - curvature) / (r2 - r1) / r1;
            let of_second = (curvature - slope * r1) / (r2 - r1) / r2;
            vec![whole - of_first - of_second, of_first, of_second]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tweedie_schedules::NoiseLevel;

    fn at(lambda: f64) -> TimePoint {
        let log_alpha = -0.5 * (-2.0 * lambda).exp().ln_1p();
        TimePoint { t: -lambda, level: NoiseLevel::variance_preserving(log_alpha) }
    }

    fn rules() -> impl Iterator<Item = Rule> {
        let types = [SolverType::Midpoint, SolverType::Taylor];
        [Algorithm::DPM_SOLVER, Algorithm::DPM_SOLVER_PP].into_iter().flat_map(move |algorithm| {
            types.into_iter().map(move |solver_type| Rule {
                algorithm,
                solver_type,
                second_inner: SolverType::Taylor,
                noise_scale: 1.0,
            })
        })
    }

    proptest! {
        #[test]
        fn a_known_point_is_carried_exactly(
            start in -3.0..2.0_f64, h in 0.01..2.0_f64, data in -1.0..1.0_f64, eps in -2.0..2.0_f64,
        ) {
            // where data and noise do not change, x = alpha data + sigma eps at every level
            let from = at(start);
            let targets = [0.3, 0.7, 1.0].map(|r| Target::plain(at(start + r * h)));
            for rule in rules() {
                for (stage, target) in rule.stages(from, &targets).iter().zip(targets) {
                    let known: f64 = if stage.estimate == Prediction::Data { data } else { eps };
                    let x = from.level.alpha * data + from.level.sigma * eps;
                    let got = stage.row.x * x + stage.row.estimates.iter().sum::<f64>() * known;
                    let level = target.point.level;
                    let expected = level.alpha * data + level.sigma * eps;
                    prop_assert!((got - expected).abs() < 1e-12, "{got}, expected {expected}");
                }
            }
        }
    }

    #[test]
    fn taylor_of_order_three_integrates_a_parabola() {
        let (start, h) = (-0.4, 0.9);
        let (from, to) = (at(start), at(start + h));
        let targets = [0.2, 0.6, 1.0].map(|r| Target::plain(at(start + r * h)));
        for rule in rules().filter(|rule| rule.solver_type == SolverType::Taylor) {
            let estimate = |r: f64| 0.7 - 1.3 * r + 0.4 * r * r;
            let row = rule.row(from, &targets);
            let got: f64 =
                row.estimates.iter().zip([0.0, 0.2, 0.6]).map(|(c, r)| c * estimate(r)).sum();
            let integral = rule.algorithm.integral(Interval { from, to });
            let moment = |k: usize| integral.moment(k) / h.powi(k as i32);
            let expected = 0.7 * moment(0) - 1.3 * moment(1) + 0.4 * 2.0 * moment(2);
            assert!((got - expected).abs() < 1e-14, "{got}, expected {expected}");
        }
    }

    #[test]
    fn tiny_steps_have_the_weights_of_quadrature() {
        let h = 1e-7;
        let from = at(0.5);
        let targets = [1.0 / 3.0, 2.0 / 3.0, 1.0].map(|r| Target::plain(at(0.5 + r * h)));
        for rule in rules() {
            let row = rule.row(from, &targets);
            let total: f64 = row.estimates.iter().sum();
            // the parabola's integral; the slope of the chord has the same weights at these shares
            for (got, expected) in row.estimates.iter().zip([0.25, 0.0, 0.75]) {
                assert!((got / total - expected).abs() < 1e-7, "{:?}", row.estimates);
            }
            let factor = match rule.algorithm.prediction() {
                Prediction::Data => from.level.alpha,
                _ => -from.level.sigma,
            };
            assert!((total / (factor * h) - 1.0).abs() < 1e-6, "{total}");
        }
    }

    #[test]
    fn a_step_of_order_one_to_the_data_is_the_data_estimate() {
        let from = at(1.5);
        let clean = Target::plain(TimePoint { t: 0.0, level: NoiseLevel::CLEAN });
        for rule in rules() {
            let stage = &rule.stages(from, &[clean])[0];
            let (of_x, of_estimate) = stage.estimate.convert(Prediction::Data, from.level);
            assert!((stage.row.x - of_x).abs() < 1e-15);
            assert!((stage.row.estimates[0] - of_estimate).abs() < 1e-15);
        }
    }
}
