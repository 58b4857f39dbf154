//! The part of a schedule over which a grid is laid.

use anyhow::{Result, bail};
use tweedie_schedules::NoiseSchedule;
use tweedie_training::RunSchedule;

/// Where walks over VP and sub-VP end. // Song et al. 2021, appendix C
const VP_END: f64 = 1e-3;

/// The part of the schedule that is walked: down to `eps`, or to where its networks are good.
///
/// # Errors
/// When that was not trained, or the model has steps of its own.
pub(crate) fn span(schedule: &RunSchedule, eps: Option<f64>) -> Result<RunSchedule> {
    let (clean, noisy) = schedule.time_range();
    if let Some(eps) = eps {
        if schedule.table().is_some() {
            bail!("--eps is for models in continuous time, this one has steps: --steps");
        }
        if !(clean <= eps && eps < noisy) {
            bail!("--eps is {eps}, expected {clean} to less than {noisy}: what was trained");
        }
    }
    let end = eps.unwrap_or(match schedule {
        RunSchedule::VpLinear(_) | RunSchedule::VpCosine(_) | RunSchedule::SubVp(_) => {
            clean.max(VP_END)
        }
        _ => clean,
    });
    Ok(schedule.clone().with_cleanest(end)?)
}
