//! Multistep DPM-Solver and DPM-Solver++, for the flow and for the SDE, and DEIS.
//!
//! Lambda is the clock. Over a step the prediction `m` is expanded at the start of the step, with
//! derivatives in lambda estimated from the predictions of the steps before, and each term is
//! integrated exactly. One evaluation a step; the first steps of a run are of lower order, for want of
//! earlier predictions. Lu et al. 2022a, Alg. 2; Lu et al. 2022, app. B.
//!
//! # Order of convergence
//! The local error is the first term left out, one power of `h` above the order by name. Many steps of
//! one kind add up to one power less, with two exceptions.
//!
//! The first is the start of a run, which is DDIM for want of a second prediction. It leaves `h^2` once,
//! so no run is of an order above 2 in the strict sense. The factor of this `h^2` is how fast the
//! prediction changes at the start, and in nearly pure noise it hardly does (4e-5 for the usual linear
//! schedule): from there the other steps' errors are all that is seen. Hence two orders,
//! [`Multistep::convergence_order`] of runs from noise and [`Multistep::convergence_order_from_any_start`].
//!
//! The second is the third-order form. All published code weighs the second derivative with the
//! divided difference `(D - D') / (lambda_0 - lambda_2)`, where `D`, `D'` are the two newest slopes.
//! The second derivative is *twice* that. So half of the term `h^3 phi_3 m''` is left out at each step, and
//! the method converges with order 2 from noise, too. [`ThirdOrder::Corrected`] takes the whole.
//!
//! # Ends
//! A step from `alpha = 0` or to `sigma = 0` has infinite `h`. No polynomial in lambda spans it: it is
//! of the first order, which is DDIM and finite. `grid.ending_clean()` so denoises to zero.

use crate::algorithm::{Algorithm, Integral, has_lambda, is_finite};
use crate::interpolation::polynomial_weights;
use crate::linear::{LinearRun, LinearStep};
use crate::order::{FinalOrders, Order, SolverType};
use tweedie_samplers::{SampleError, Solver, Stepper};
use tweedie_schedules::{Interval, TimeGrid, TimePoint};
use tweedie_score::VectorSpace;

/// The weight of the second derivative in a step of the third order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ThirdOrder {
    /// Half of what the expansion asks for, as in all published code: converges with order 2.
    #[default]
    Published,
    /// The whole of it: the exact integral of the parabola through three predictions; order 3 for the flow
    /// when it starts in noise.
    Corrected,
    /// As `Published`, but in the data form of the SDE (`eta = 1`) with a constant of the wrong sign, as
    /// in diffusers: converges with order 1. It serves to reproduce samples made there.
    Diffusers,
}

/// A multistep solver of the diffusion ODE or SDE.
///
/// ```
/// use tweedie_solvers_dpm::{Multistep, Order, SolverType};
///
/// let guided = Multistep::dpmpp(Order::Two);
/// let stochastic = Multistep::sde_dpmpp(Order::Two).solver_type(SolverType::Taylor);
/// assert_eq!(guided.convergence_order(), 2);
/// let close = Multistep::deis(Order::Three);
/// assert_eq!(close.convergence_order(), 3);
/// assert_eq!(close.convergence_order_from_any_start(), 2);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Multistep {
    algorithm: Algorithm,
    order: Order,
    solver_type: SolverType,
    third_order: ThirdOrder,
    final_orders: FinalOrders,
    noise_scale: f64,
}

impl Multistep {
    /// A solver of `algorithm`; orders fall at the end of runs of fewer than 15 steps.
    #[must_use]
    pub fn new(algorithm: Algorithm, order: Order) -> Self {
        Self {
            algorithm,
            order,
            solver_type: SolverType::default(),
            third_order: ThirdOrder::default(),
            final_orders: FinalOrders::FallingBelow(15),
            noise_scale: 1.0,
        }
    }

    /// DPM-Solver: the flow by the noise prediction.
    #[must_use]
    pub fn dpm_solver(order: Order) -> Self {
        Self::new(Algorithm::DPM_SOLVER, order)
    }

    /// DPM-Solver++: the flow by the data prediction; the usual choice with guidance.
    #[must_use]
    pub fn dpmpp(order: Order) -> Self {
        Self::new(Algorithm::DPM_SOLVER_PP, order)
    }

    /// SDE-DPM-Solver: the reverse SDE by the noise prediction.
    #[must_use]
    pub fn sde_dpm_solver(order: Order) -> Self {
        Self::new(Algorithm::SDE_DPM_SOLVER, order)
    }

    /// SDE-DPM-Solver++: the reverse SDE by the data prediction.
    #[must_use]
    pub fn sde_dpmpp(order: Order) -> Self {
        Self::new(Algorithm::SDE_DPM_SOLVER_PP, order)
    }

    /// DEIS with polynomials in `log rho`, `rho = sigma / alpha`.
    ///
    /// Since `log rho` is minus lambda, it is DPM-Solver with every weight exact for the polynomial through
    /// the predictions (Zhang and Chen 2023, eq. 15).
    #[must_use]
    pub fn deis(order: Order) -> Self {
        Self::dpm_solver(order).solver_type(SolverType::Taylor).third_order(ThirdOrder::Corrected)
    }

    /// The same solver with another estimate of the slope in steps of the second order.
    #[must_use]
    pub fn solver_type(self, solver_type: SolverType) -> Self {
        Self { solver_type, ..self }
    }

    /// The same solver with another weight of the second derivative.
    #[must_use]
    pub fn third_order(self, third_order: ThirdOrder) -> Self {
        Self { third_order, ..self }
    }

    /// The same solver with other orders at the end of a run.
    #[must_use]
    pub fn final_orders(self, final_orders: FinalOrders) -> Self {
        Self { final_orders, ..self }
    }

    /// The same solver with a share `eta` of the reverse SDE's noise: 0 for the flow, 1 for the SDE.
    ///
    /// It is a share of the noise's variance, as the equations of [`Algorithm`] have it; in `ReverseSde`,
    /// `Ddim` and [`FreshNoise`](crate::FreshNoise) `eta` is one of its standard deviation.
    ///
    /// # Errors
    /// When `eta` is negative or not finite.
    pub fn with_eta(self, eta: f64) -> Result<Self, SampleError> {
        check_not_negative("eta", eta)?;
        Ok(Self { algorithm: self.algorithm.with_eta(eta), ..self })
    }

    /// The same solver with its noise made larger or smaller by a factor, `s_noise` elsewhere.
    ///
    /// # Errors
    /// When the factor is negative or not finite.
    pub fn noise_scale(self, noise_scale: f64) -> Result<Self, SampleError> {
        check_not_negative("noise_scale", noise_scale)?;
        Ok(Self { noise_scale, ..self })
    }

    /// The order of convergence of runs that start in nearly pure noise, as sampling does: of the state
    /// for the flow, in the weak sense with noise.
    ///
    /// It is the order of many steps to a level that still has noise in it. Runs that end with a step of
    /// the first order by their [`FinalOrders`] are of order 2 at most. With noise it is 2 at most,
    /// too: the noise of a step reaches the prediction within the step, which no polynomial through the
    /// steps' starts can know.
    #[must_use]
    pub fn convergence_order(&self) -> usize {
        let of_many_steps = match (self.order, self.third_order) {
            (Order::Three, ThirdOrder::Diffusers) if self.has_wrong_sign() => 1,
            (Order::Three, ThirdOrder::Corrected) if self.algorithm.eta() == 0.0 => 3,
            (Order::Three, _) => 2,
            (order, _) => order.get(),
        };
        of_many_steps.min(self.final_orders.highest_convergence())
    }

    /// The order of convergence of runs that start anywhere, for instance from an encoded or half noised
    /// image: 2 at most, since the first step is of the first order.
    #[must_use]
    pub fn convergence_order_from_any_start(&self) -> usize {
        self.convergence_order().min(2)
    }

    fn has_wrong_sign(&self) -> bool {
        self.algorithm == Algorithm::SDE_DPM_SOLVER_PP
    }

    /// The steps of a run over `grid`, with all their coefficients.
    ///
    /// # Errors
    /// When the grid is empty, a stochastic form is to run from data to noise, or a step has no finite
    /// coefficients.
    pub fn steps(&self, grid: &TimeGrid) -> Result<Vec<LinearStep>, SampleError> {
        if grid.is_empty() {
            return Err(SampleError::EmptyGrid);
        }
        let orders = StepOrders { highest: self.order.get(), at_end: self.final_orders };
        let intervals = grid.intervals();
        (0..intervals.len()).map(|index| self.planned(index, intervals, &orders)).collect()
    }

    fn planned(
        &self,
        index: usize,
        intervals: &[Interval],
        orders: &StepOrders,
    ) -> Result<LinearStep, SampleError> {
        let interval = intervals[index];
        let (at, to) = (interval.from, interval.to);
        if self.algorithm.eta() > 0.0 && interval.h() < -1e-9 {
            let reason = "noise is added from noise to data alone; encode with the flow";
            return Err(SampleError::ImpossibleStep { step: index, from: at.t, to: to.t, reason });
        }
        let algorithm = self.algorithm.over(interval);
        let integral = algorithm.integral(interval);
        let points = orders.points(index, intervals);
        LinearStep {
            at,
            prediction: algorithm.prediction(),
            x: integral.x,
            outputs: self.outputs(&points, &integral),
            noise: self.noise_scale * integral.noise,
        }
        .checked(index, interval)
    }

    /// What diffusers' constant of the wrong sign, -1/2 for 1/2, takes off the weight of `h^2 m''`.
    fn third_order_error(&self, integral: &Integral) -> f64 {
        let concerned = self.third_order == ThirdOrder::Diffusers && self.has_wrong_sign();
        if concerned { 0.5 * integral.flat() * integral.h() } else { 0.0 }
    }

    /// Weights of the predictions made at `points`, newest first.
    fn outputs(&self, points: &[TimePoint], integral: &Integral) -> Vec<f64> {
        let newest = points[0].level.lambda();
        let offset = |point: &TimePoint| point.level.lambda() - newest;
        let offsets: Vec<f64> = points.iter().map(offset).collect();
        match (offsets.as_slice(), self.solver_type, self.third_order) {
            ([_, earlier], SolverType::Midpoint, _) => {
                // Lu et al. 2022a, Alg. 2: half the step's weight on the slope times h
                let slope = 0.5 * integral.moment(0) * integral.h() / -earlier;
                vec![integral.moment(0) + slope, -slope]
            }
            ([_, one, two], _, ThirdOrder::Published | ThirdOrder::Diffusers) => {
                published((-one, one - two), integral, self.third_order_error(integral))
            }
            // an infinite step: no powers of lambda
            ([_], ..) => vec![integral.moment(0)],
            (offsets, ..) => polynomial_weights(offsets, integral),
        }
    }
}

/// Weights of three predictions, `h0` and `h1` apart, in the third-order form as published, with `error`
/// taken off the weight of the second derivative.
fn published((h0, h1): (f64, f64), integral: &Integral, error: f64) -> Vec<f64> {
    // with D = (m0 - m1) / h0 and D' = (m1 - m2) / h1 the derivative at the start of the step is
    // D + h0 / (h0 + h1) (D - D'); (D - D') / (h0 + h1) stands for the second one, which is twice that
    let slope = integral.moment(1);
    let bend = (slope * h0 + integral.moment(2) - error) / (h0 + h1);
    let (newer, older) = ((slope + bend) / h0, -bend / h1);
    vec![integral.moment(0) + newer, older - newer, -older]
}

pub(crate) fn check_not_negative(name: &'static str, value: f64) -> Result<(), SampleError> {
    if value >= 0.0 && value.is_finite() {
        return Ok(());
    }
    let allowed = "a finite value of at least 0";
    Err(SampleError::ParameterOutOfRange { name, value, allowed })
}

/// Which predictions each step may draw on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StepOrders {
    pub(crate) highest: usize,
    pub(crate) at_end: FinalOrders,
}

impl StepOrders {
    /// Where the predictions of step `index` are made, newest first.
    ///
    /// Only those at finite lambda can be interpolated, and only over a finite step.
    pub(crate) fn points(&self, index: usize, intervals: &[Interval]) -> Vec<TimePoint> {
        let interval = intervals[index];
        if !is_finite(interval) {
            return vec![interval.from];
        }
        let remaining = intervals.len() - 1 - index;
        let order = self.highest.min(self.at_end.highest(remaining, intervals.len()));
        let earlier = intervals[..=index].iter().rev().map(|interval| interval.from);
        earlier.take(order).take_while(|point| has_lambda(point.level)).collect()
    }
}

impl<S: VectorSpace> Solver<S> for Multistep {
    fn plan<'a>(&'a self, grid: &'a TimeGrid) -> Result<Box<dyn Stepper<S> + 'a>, SampleError> {
        Ok(Box::new(LinearRun::new(self.steps(grid)?)))
    }

    fn evaluations(&self, grid: &TimeGrid) -> Result<usize, SampleError> {
        Ok(self.steps(grid)?.len())
    }
}
