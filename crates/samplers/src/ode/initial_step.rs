//! The size of the first step, from the sizes of the state and of its first two derivatives.

use super::field::Field;
use super::norm::Norm;
use crate::SampleError;
use tweedie_score::ErrorNorm;

/// Where a run starts.
pub(super) struct Start<'a, S> {
    pub(super) t: f64,
    pub(super) x: &'a S,
    pub(super) slope: &'a S,
    /// 1 forward in time, -1 backward.
    pub(super) direction: f64,
    /// Longest step that stays inside the span; infinite where it need not.
    pub(super) longest: f64,
}

/// The first step: about 1 % of the state's change, less where the slope changes fast.
///
/// Hairer et al. 1993, sec. II.4, the algorithm "starting step size". One evaluation.
pub(super) fn initial_step<S: ErrorNorm>(
    start: &Start<'_, S>,
    field: &mut Field<'_, S>,
    norm: Norm,
    error_order: u32,
) -> Result<f64, SampleError> {
    let Start { t, x, slope, direction, longest } = *start;
    let size = norm.of(x, x, x);
    let first = norm.of(slope, x, x);
    let tiny = size < 1e-5 || first < 1e-5;
    let trial = (if tiny { 1e-6 } else { 0.01 * size / first }).min(longest);
    let moved = S::combine(&[(1.0, x), (trial * direction, slope)]);
    let there = field.at(t + trial * direction, &moved)?;
    let change = S::combine(&[(1.0, &there), (-1.0, slope)]);
    let second = norm.of(&change, x, x) / trial;
    let step = if first <= 1e-15 && second <= 1e-15 {
        (trial * 1e-3).max(1e-6)
    } else {
        (0.01 / first.max(second)).powf(1.0 / f64::from(error_order + 1))
    };
    Ok((100.0 * trial).min(step).min(longest))
}
