//! Adaptive DPM-Solver: steps as long as an estimate of their error allows.
//!
//! A pair of single-step methods that share their evaluations takes the same step: orders one and two
//! (DPM-Solver-12) or two and three (DPM-Solver-23). Their difference measures the error of the lower
//! one; the state of the higher one is kept. An attempt costs as many evaluations as the higher order.
//! Lu et al. 2022, app. C.
//!
//! Lambda is the clock: steps are sized in it, and in either direction (encoding too). Both ends of
//! the span need a finite lambda.

mod control;
mod run;

pub use control::StepControl;

use crate::multistep::check_not_negative;
use crate::stage::Rule;
use crate::{Algorithm, SolverType};
use run::Walk;
use std::fmt;
use tweedie_samplers::{AdaptiveRun, ErrorOver, SampleError};
use tweedie_schedules::{NoiseSchedule, TimePoint};
use tweedie_score::{ErrorNorm, NoiseSource, ScoreFn, Tolerance};

/// The two orders of an adaptive solver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderPair {
    /// DPM-Solver-12.
    OneTwo,
    /// DPM-Solver-23.
    TwoThree,
}

impl OrderPair {
    /// The higher order, which is the number of evaluations of an attempt.
    #[must_use]
    pub fn higher(self) -> usize {
        match self {
            Self::OneTwo => 2,
            Self::TwoThree => 3,
        }
    }

    /// Inner evaluations as shares of a step's growth in lambda. // Lu et al. 2022, app. C
    fn inner_shares(self) -> &'static [f64] {
        match self {
            Self::OneTwo => &[0.5],
            Self::TwoThree => &[1.0 / 3.0, 2.0 / 3.0],
        }
    }
}

/// An adaptive single-step solver over the whole time range of a schedule, unless told otherwise.
///
/// ```
/// use ndarray::arr2;
/// use tweedie_closed_form::{ExactScore, Mixture};
/// use tweedie_schedules::{Prediction, VpLinear};
/// use tweedie_score::Replay;
/// use tweedie_solvers_dpm::{Adaptive, OrderPair};
///
/// let schedule = VpLinear::new(0.1, 20.0)?;
/// let network = ExactScore::new(Mixture::gaussian(vec![0.4], 0.3)?, Prediction::Noise);
/// let solver = Adaptive::dpm_solver(&schedule, OrderPair::TwoThree);
/// let run = solver.run(&network, arr2(&[[0.7], [-1.3]]).into_dyn(), &mut Replay::new([]))?;
/// assert_eq!(run.times.len(), run.counters.accepted + 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Adaptive<'s> {
    schedule: &'s dyn NoiseSchedule,
    span: (f64, f64),
    pair: OrderPair,
    rule: Rule,
    tolerance: Tolerance,
    error_over: ErrorOver,
    control: StepControl,
    first_step: f64,
    time_tolerance: f64,
    eta: f64,
    repeats: bool,
}

impl fmt::Debug for Adaptive<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Adaptive");
        shown.field("span", &self.span).field("pair", &self.pair).field("rule", &self.rule);
        shown.field("tolerance", &self.tolerance).field("control", &self.control);
        shown.finish_non_exhaustive()
    }
}

impl<'s> Adaptive<'s> {
    /// The solver as published: tolerances 0.0078 and 0.05, the worst sample counts.
    fn new(schedule: &'s dyn NoiseSchedule, pair: OrderPair, algorithm: Algorithm) -> Self {
        let (clean, noisy) = schedule.time_range();
        let solver_type = SolverType::default();
        Self {
            schedule,
            span: (noisy, clean),
            pair,
            rule: Rule {
                algorithm,
                solver_type,
                second_inner: SolverType::Taylor,
                noise_scale: 1.0,
            },
            tolerance: Tolerance::Larger { absolute: 0.0078, relative: 0.05 },
            error_over: ErrorOver::WorstSample,
            control: StepControl::default(),
            first_step: 0.05,
            time_tolerance: 1e-5,
            eta: 0.0,
            repeats: false,
        }
    }

    /// DPM-Solver-12 or -23: the flow by the noise prediction.
    #[must_use]
    pub fn dpm_solver(schedule: &'s dyn NoiseSchedule, pair: OrderPair) -> Self {
        Self::new(schedule, pair, Algorithm::DPM_SOLVER)
    }

    /// The same pairs of DPM-Solver++: the flow by the data prediction.
    #[must_use]
    pub fn dpmpp(schedule: &'s dyn NoiseSchedule, pair: OrderPair) -> Self {
        Self::new(schedule, pair, Algorithm::DPM_SOLVER_PP)
    }

    /// The same solver with the states at the ends of steps formed in another way.
    #[must_use]
    pub fn solver_type(mut self, solver_type: SolverType) -> Self {
        self.rule.solver_type = solver_type;
        self
    }

    /// The same solver from one time to another; to a noisier one, it encodes.
    #[must_use]
    pub fn between(self, from: f64, to: f64) -> Self {
        Self { span: (from, to), ..self }
    }

    /// The same solver with another error allowed, and the error taken over each sample or all.
    #[must_use]
    pub fn tolerance(self, tolerance: Tolerance, error_over: ErrorOver) -> Self {
        Self { tolerance, error_over, ..self }
    }

    /// The same solver with another rule of step sizes, starting from a step of `first_step` in lambda.
    ///
    /// # Errors
    /// When `first_step` is not a finite value above 0.
    pub fn step_control(self, control: StepControl, first_step: f64) -> Result<Self, SampleError> {
        if !(first_step > 0.0 && first_step.is_finite()) {
            let (name, allowed) = ("first_step", "a finite value above 0");
            return Err(SampleError::ParameterOutOfRange { name, value: first_step, allowed });
        }
        Ok(Self { control, first_step, ..self })
    }

    /// The same solver, which ends as soon as it is within `time_tolerance` of the end; 1e-5 by default.
    ///
    /// # Errors
    /// When it is negative or not finite.
    pub fn time_tolerance(self, time_tolerance: f64) -> Result<Self, SampleError> {
        check_not_negative("time_tolerance", time_tolerance)?;
        Ok(Self { time_tolerance, ..self })
    }

    /// The same solver with ancestral noise at the end of each accepted step, `eta` times the
    /// posterior's deviation; each step first goes below its end, no further than the end of the span.
    ///
    /// # Errors
    /// When `eta` is negative or not finite.
    pub fn with_eta(self, eta: f64) -> Result<Self, SampleError> {
        check_not_negative("eta", eta)?;
        Ok(Self { eta, ..self })
    }

    /// The same solver with its noise made larger or smaller by a factor, `s_noise` elsewhere.
    ///
    /// # Errors
    /// When the factor is negative or not finite.
    pub fn noise_scale(mut self, noise_scale: f64) -> Result<Self, SampleError> {
        check_not_negative("noise_scale", noise_scale)?;
        self.rule.noise_scale = noise_scale;
        Ok(self)
    }

    /// Whether the network is called again at the start of a step that was rejected, as published code
    /// does; what it says there is known already, and by default it is kept.
    #[must_use]
    pub fn repeating(self, repeats: bool) -> Self {
        Self { repeats, ..self }
    }

    /// Runs from `x`, a state at the first time of the span.
    ///
    /// # Errors
    /// When the span is empty or lambda is infinite at one of its ends, noise is to be added on the
    /// way to more noise, the tolerance cannot be met, or the network or the noise source fails.
    pub fn run<S: ErrorNorm>(
        &self,
        score: &dyn ScoreFn<S>,
        x: S,
        noise: &mut dyn NoiseSource<S>,
    ) -> Result<AdaptiveRun<S>, SampleError> {
        Walk::start(self, self.ends()?, x).run(score, noise)
    }

    /// The two ends of the run, checked.
    fn ends(&self) -> Result<[TimePoint; 2], SampleError> {
        let (from, to) = self.span;
        let ends = [from, to].map(|t| self.schedule.point(t));
        let [first, last] = ends.map(|end| end.level.lambda());
        let refuse = |reason| Err(SampleError::ImpossibleStep { step: 0, from, to, reason });
        if from.is_nan() || to.is_nan() || from == to {
            return Err(SampleError::EmptySpan { from, to });
        }
        if !(first.is_finite() && last.is_finite()) {
            return refuse("lambda is not finite at one end; take a time range without it");
        }
        if self.eta > 0.0 && last < first {
            return refuse("noise is added from noise to data alone; encode with eta = 0");
        }
        Ok(ends)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{ArrayD, arr2};
    use tweedie_closed_form::{ExactScore, Mixture};
    use tweedie_samplers::Counters;
    use tweedie_schedules::{DiscreteTable, Prediction, VpLinear};
    use tweedie_score::Replay;

    fn schedule() -> VpLinear {
        VpLinear::new(0.1, 20.0).unwrap()
    }

    fn score() -> ExactScore {
        ExactScore::new(Mixture::gaussian(vec![0.4, -0.1], 0.3).unwrap(), Prediction::Noise)
    }

    fn start() -> ArrayD<f64> {
        arr2(&[[0.7, -1.3], [0.1, 2.0]]).into_dyn()
    }

    fn run(solver: &Adaptive<'_>) -> AdaptiveRun<ArrayD<f64>> {
        solver.run(&score(), start(), &mut Replay::new([])).unwrap()
    }

    fn solvers(schedule: &VpLinear) -> Vec<Adaptive<'_>> {
        let pairs = [OrderPair::OneTwo, OrderPair::TwoThree];
        let types = [SolverType::Midpoint, SolverType::Taylor];
        let kinds = pairs.into_iter().flat_map(|pair| types.map(|kind| (pair, kind)));
        kinds
            .flat_map(|(pair, kind)| {
                [Adaptive::dpm_solver(schedule, pair), Adaptive::dpmpp(schedule, pair)]
                    .map(|solver| solver.solver_type(kind))
            })
            .collect()
    }

    #[test]
    fn an_attempt_costs_its_higher_order_and_less_after_a_rejection() {
        let schedule = schedule();
        for solver in solvers(&schedule) {
            let size = 1e-3;
            let tolerance = Tolerance::Larger { absolute: size, relative: size };
            let solver = solver
                .tolerance(tolerance, ErrorOver::Batch)
                .step_control(StepControl::default(), 2.0)
                .unwrap();
            let Counters { accepted, rejected, evaluations } = run(&solver).counters;
            assert!(rejected > 0);
            assert_eq!(evaluations + rejected, solver.pair.higher() * (accepted + rejected));
            let repeating = run(&solver.clone().repeating(true)).counters;
            assert_eq!(repeating.evaluations, solver.pair.higher() * (accepted + rejected));
        }
    }

    #[test]
    fn times_fall_from_one_end_to_the_other() {
        let schedule = schedule();
        let AdaptiveRun { times, counters, .. } =
            run(&Adaptive::dpmpp(&schedule, OrderPair::TwoThree));
        assert_eq!(times.len(), counters.accepted + 1);
        assert!(times.windows(2).all(|pair| pair[1] < pair[0]));
        assert!(times[0] == 1.0 && (times[times.len() - 1] - 1e-3).abs() <= 1e-5);
    }

    #[test]
    fn what_has_no_finite_lambda_or_runs_against_the_noise_is_refused() {
        let schedule = schedule();
        let solver = Adaptive::dpm_solver(&schedule, OrderPair::OneTwo);
        let error = |solver: &Adaptive<'_>| {
            solver.run(&score(), start(), &mut Replay::new([])).unwrap_err().to_string()
        };
        assert!(error(&solver.clone().between(1.0, 0.0)).contains("lambda is not finite"));
        assert!(error(&solver.clone().between(0.5, 0.5)).contains("two different, finite times"));
        let noisy = solver.clone().between(0.1, 1.0).with_eta(1.0).unwrap();
        assert!(error(&noisy).contains("encode with eta = 0"));
        let table = DiscreteTable::linear(10, 0.1, 0.2).unwrap();
        let hopeless = Tolerance::Larger { absolute: 0.0, relative: 0.0 };
        let solver = Adaptive::dpm_solver(&table, OrderPair::OneTwo)
            .tolerance(hopeless, ErrorOver::WorstSample);
        assert!(error(&solver).contains("meets the tolerance"));
    }
}
