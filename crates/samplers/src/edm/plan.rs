//! The coefficients of one step, before the network runs.

use super::{Rule, StepVariable, Stochastic};
use crate::{Ddim, Predictor, StepCoefficients};
use tweedie_schedules::{Interval, NoiseLevel, TimePoint};

/// `x * state + noise * z`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Renewal {
    pub(super) x: f64,
    pub(super) noise: f64,
}

/// An evaluation of the network, and what its data estimate leads to: `x * state + data * x0_hat`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Stage {
    pub(super) at: TimePoint,
    pub(super) x: f64,
    pub(super) data: f64,
}

/// The second evaluation, from the state that the first stage leads to. The result is
/// `start * first state + first_data * x0_hat + stage of the second`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Second {
    pub(super) stage: Stage,
    pub(super) start: f64,
    pub(super) first_data: f64,
}

/// One step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct StepPlan {
    /// Noise added before.
    pub(super) raise: Option<Renewal>,
    pub(super) first: Stage,
    pub(super) second: Option<Second>,
    /// Noise added after.
    pub(super) renew: Option<Renewal>,
}

impl StepPlan {
    /// The step over `interval`, one of `steps`.
    pub(super) fn new(
        variable: &dyn StepVariable,
        (rule, stochastic): (Rule, Stochastic),
        interval: Interval,
        steps: usize,
    ) -> Self {
        let (hat, raise) = raised(variable, stochastic, interval.from, steps);
        let (target, renew) = lowered(variable, stochastic, interval);
        let (first, second) = stages(variable, rule, hat, target);
        Self { raise, first, second, renew }
    }

    /// Network evaluations of the step.
    pub(super) fn evaluations(&self) -> usize {
        1 + usize::from(self.second.is_some())
    }

    /// Whether every coefficient is.
    pub(super) fn is_finite(&self) -> bool {
        let second = self.second.map_or([0.0; 4], |second| {
            [second.start, second.first_data, second.stage.x, second.stage.data]
        });
        let drawn = [self.raise, self.renew].map(|r| r.map_or([0.0; 2], |r| [r.x, r.noise]));
        let first = [self.first.x, self.first.data];
        let all = first.iter().chain(&second).chain(drawn.as_flattened());
        all.copied().all(f64::is_finite)
    }
}

/// Where a step really starts. // Karras et al. 2022, algorithm 2, lines 4 to 6
fn raised(
    variable: &dyn StepVariable,
    stochastic: Stochastic,
    from: TimePoint,
    steps: usize,
) -> (TimePoint, Option<Renewal>) {
    let Stochastic::Churn(churn) = stochastic else {
        return (from, None);
    };
    let sigma = from.level.noise_to_signal();
    let share = churn.share(sigma, steps);
    if share == 0.0 {
        return (from, None);
    }
    let hat = variable.point_at_sigma(sigma * (1.0 + share));
    let added = sigma * (share * (2.0 + share)).sqrt();
    let alpha = hat.level.alpha;
    (hat, Some(Renewal { x: alpha / from.level.alpha, noise: alpha * added * churn.noise }))
}

/// Where the flow steps to, and the noise that leads from there to the end of the interval.
fn lowered(
    variable: &dyn StepVariable,
    stochastic: Stochastic,
    Interval { from, to }: Interval,
) -> (TimePoint, Option<Renewal>) {
    let Stochastic::Ancestral(ancestral) = stochastic else {
        return (to, None);
    };
    let (down, up) = ancestral.split(from.level.noise_to_signal(), to.level.noise_to_signal());
    if up == 0.0 {
        return (to, None);
    }
    let target = match down {
        0.0 => TimePoint { t: 0.0, level: NoiseLevel::CLEAN },
        _ => variable.point_at_sigma(down),
    };
    let alpha = to.level.alpha;
    (target, Some(Renewal { x: alpha / target.level.alpha, noise: alpha * up * ancestral.noise }))
}

fn stages(
    variable: &dyn StepVariable,
    rule: Rule,
    hat: TimePoint,
    target: TimePoint,
) -> (Stage, Option<Second>) {
    let (from, to) = (variable.value(hat), variable.value(target));
    let scale = |at: TimePoint| variable.scale(at.level);
    let (a, b) = variable.slope(hat);
    let euler = |h: f64, end: TimePoint| Stage {
        at: hat,
        x: scale(end) / scale(hat) * (1.0 + h * a),
        data: scale(end) * h * b,
    };
    let h = to - from;
    if h.is_infinite() {
        return (from_or_to_pure_noise(hat, target), None);
    }
    // the slope is not defined without noise: the last step is Euler's, as in algorithm 2, line 9
    let second = rule.second(from, to).filter(|_| target.level.sigma > 0.0);
    let Some((middle, first_weight, weight)) = second else {
        return (euler(h, target), None);
    };
    let prime = variable.point(middle);
    let (a2, b2) = variable.slope(prime);
    let second = Second {
        start: scale(target) / scale(hat) * (1.0 + h * first_weight * a),
        first_data: scale(target) * h * first_weight * b,
        stage: Stage {
            at: prime,
            x: scale(target) / scale(prime) * h * weight * a2,
            data: scale(target) * h * weight * b2,
        },
    };
    (euler(middle - from, prime), Some(second))
}

/// The limit of Euler's step in sigma where one end has no signal: DDIM's. An infinite step has no
/// second slope to weigh.
fn from_or_to_pure_noise(from: TimePoint, to: TimePoint) -> Stage {
    let StepCoefficients { x, data, .. } = Ddim::DETERMINISTIC.coefficients(Interval { from, to });
    Stage { at: from, x, data }
}
