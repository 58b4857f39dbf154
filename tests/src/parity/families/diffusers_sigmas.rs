//! The noise levels that diffusers' DPM-type schedulers visit, from their options.

use anyhow::{Result, bail, ensure};
use tweedie_schedules::{
    Edm, Interval, NoiseLevel, Prediction, Spacing, TimeGrid, TimePoint, beta_quantile,
};

use crate::parity::Case;

/// `sigma / alpha` of a discrete model at each of its steps, the cleanest first.
pub(super) fn table_sigmas(case: &Case) -> Result<Vec<f64>> {
    let rescaled = case.schedule.bool_or("rescale_betas_zero_snr", false)?;
    let mut bars = case.schedule.table()?.alpha_bars();
    if let Some(last) = bars.last_mut().filter(|_| rescaled) {
        *last = 2_f64.powi(-24); // the peer's stand-in for 0
    }
    Ok(bars.into_iter().map(|bar| ((1.0 - bar) / bar).sqrt()).collect())
}

/// The sigmas of a run in k space, the noisiest first, with the one it ends at.
pub(super) fn sigmas(case: &Case) -> Result<Vec<f64>> {
    let (table, options, steps) = (table_sigmas(case)?, case.options(), case.steps()?);
    let on = |name: &str| options.bool_or(name, false);
    let (smallest, largest) = (table[0], table[table.len() - 1]);
    let (smallest, largest) =
        (options.f64_or("sigma_min", smallest)?, options.f64_or("sigma_max", largest)?);
    let mut sigmas: Vec<f64> = if let Some(spread) = Spread::of(case)? {
        spread.sigmas((smallest, largest), steps)?
    } else if on("use_flow_sigmas")? {
        flow_times(case)?
    } else {
        let indices = timesteps(case, &table)?;
        let mut sigmas: Vec<f64> =
            indices.into_iter().map(|index| table[index.min(table.len() - 1)]).collect();
        sigmas.push(last(case, table[0])?);
        return Ok(sigmas);
    };
    // UniPC and DEIS end where the list ends, DPM-Solver where the table does
    let own_end = ["UniPCMultistepScheduler", "DEISMultistepScheduler"];
    let end =
        if own_end.contains(&case.sampler.name.as_str()) { sigmas[steps - 1] } else { table[0] };
    sigmas.push(last(case, end)?);
    Ok(sigmas)
}

/// How noise levels are spread between two ends.
pub(super) enum Spread {
    Karras { rho: f64 },
    Exponential,
    Beta,
}

impl Spread {
    /// The one that a scheduler is told to use, if it is.
    pub(super) fn of(case: &Case) -> Result<Option<Self>> {
        let on = |name: &str| case.options().bool_or(name, false);
        Ok(if on("use_karras_sigmas")? {
            Some(Self::Karras { rho: 7.0 })
        } else if on("use_lu_lambdas")? || on("use_exponential_sigmas")? {
            Some(Self::Exponential)
        } else if on("use_beta_sigmas")? {
            Some(Self::Beta)
        } else {
            None
        })
    }

    /// `count` sigmas in k space from the upper end to the lower.
    pub(super) fn sigmas(&self, (low, high): (f64, f64), count: usize) -> Result<Vec<f64>> {
        if count == 1 {
            return Ok(vec![high]);
        }
        let edm = Edm::new(low, high)?;
        // the peer reaches the lower end by rounding, and may step on to the exact one
        let reached = |high: f64, low: f64| high + (low - high);
        let (grid, last) = match *self {
            Self::Karras { rho } => {
                let grid = TimeGrid::karras(&edm, count - 1, rho)?;
                (grid, reached(high.powf(1.0 / rho), low.powf(1.0 / rho)).powf(rho))
            }
            Self::Exponential => {
                let grid = TimeGrid::uniform_lambda(&edm, count - 1)?;
                (grid, reached(high.ln(), low.ln()).exp())
            }
            Self::Beta => {
                let sigma = |share| low + beta_quantile(1.0 - share, 0.6, 0.6) * (high - low);
                return Ok(linspace(0.0, 1.0, count).into_iter().map(sigma).collect());
            }
        };
        let starts = grid.intervals().iter().map(|interval| interval.from.level.sigma);
        Ok(starts.chain([last]).collect())
    }
}

/// The shares of noise in straight-line mixing that a run visits, the noisiest first.
fn flow_times(case: &Case) -> Result<Vec<f64>> {
    let (options, steps) = (case.options(), case.steps()?);
    let unipc = case.sampler.name == "UniPCMultistepScheduler";
    let last = 1.0 / case.schedule.f64("N")?;
    let times: Vec<f64> = if unipc {
        linspace(1.0, last, steps + 1).into_iter().take(steps).collect()
    } else {
        linspace(1.0, last, steps + 1).into_iter().map(|kept| 1.0 - kept).skip(1).rev().collect()
    };
    let shift = options.f64_or("flow_shift", 1.0)?;
    let shifted = |time: f64| shift * time / (1.0 + (shift - 1.0) * time);
    let mut times: Vec<f64> = times.into_iter().map(shifted).collect();
    let terminal = options.f64_or("shift_terminal", 0.0)?;
    if terminal != 0.0 {
        let stretch = (1.0 - times[steps - 1]) / (1.0 - terminal);
        times.iter_mut().for_each(|time| *time = 1.0 - (1.0 - *time) / stretch);
    }
    if unipc && (times[0] - 1.0).abs() < 1e-6 {
        times[0] -= 1e-6; // the peer keeps a trace of signal
    }
    Ok(times)
}

/// Where the last step lands.
fn last(case: &Case, smallest: f64) -> Result<f64> {
    if case.sampler.name == "DEISMultistepScheduler" {
        return Ok(smallest);
    }
    match case.options().str_or("final_sigmas_type", "zero")? {
        "zero" => Ok(0.0),
        "sigma_min" => Ok(smallest),
        other => bail!("final_sigmas_type {other}"),
    }
}

/// Indices of the steps visited, the noisiest first.
fn timesteps(case: &Case, table: &[f64]) -> Result<Vec<usize>> {
    let (options, steps, count) = (case.options(), case.steps()?, table.len());
    let bound = options.f64_or("lambda_min_clipped", f64::NEG_INFINITY)?;
    let kept = table.iter().filter(|sigma| -sigma.ln() >= bound).count();
    Ok(match options.str_or("timestep_spacing", "linspace")? {
        // one step more is chosen, and the last left out: the data's
        "linspace" => Spacing::Linspace.indices(kept, steps + 1)?[..steps].to_vec(),
        "leading" => {
            let offset = options.usize_or("steps_offset", 0)?;
            let indices = Spacing::Leading.indices(kept, steps + 1)?;
            indices[..steps].iter().map(|index| index + offset).collect()
        }
        "trailing" if kept == count => Spacing::Trailing.indices(count, steps)?,
        "trailing" => {
            // the stride of the whole table, from where it is cut
            let stride = count as f64 / steps as f64;
            let points = (kept as f64 / stride).ceil() as usize;
            let index = |k: usize| (kept as f64 - k as f64 * stride).round_ties_even() as usize - 1;
            (0..points).map(index).collect()
        }
        other => bail!("timestep_spacing {other}"),
    })
}

/// `count` numbers in equal steps, both ends exact.
pub(super) fn linspace(first: f64, last: f64, count: usize) -> Vec<f64> {
    let step = (last - first) / (count.max(2) - 1) as f64;
    let number = |k: usize| if k > 0 && k == count - 1 { last } else { first + k as f64 * step };
    (0..count).map(number).collect()
}

/// The variance-preserving point of a sigma in k space, which serves as its time.
pub(super) fn point(sigma: f64) -> TimePoint {
    let alpha = 1.0 / (sigma * sigma + 1.0).sqrt();
    TimePoint { t: sigma, level: NoiseLevel { alpha, sigma: sigma * alpha } }
}

/// The point of a sigma in k space itself, where `alpha` is 1.
pub(super) fn k_point(sigma: f64) -> TimePoint {
    TimePoint { t: sigma, level: NoiseLevel { alpha: 1.0, sigma } }
}

/// The grid through points that may repeat or run either way.
///
/// A point that lies behind the one before by rounding alone counts as the same: some published grids
/// end in a step of no length.
pub(super) fn grid_through(points: &[TimePoint]) -> Result<TimeGrid> {
    let lambda = |point: Option<&TimePoint>| point.map_or(0.0, |point| point.level.lambda());
    let direction = (lambda(points.last()) - lambda(points.first())).signum();
    let join = |pair: &[TimePoint]| {
        let (from, to) = (pair[0], pair[1]);
        let h = to.level.lambda() - from.level.lambda();
        let same = h * direction < 0.0 && h.abs() < 1e-13;
        Interval { from, to: if same { from } else { to } }
    };
    Ok(TimeGrid::from_intervals(points.windows(2).map(join).collect())?)
}

/// The point where data and noise are mixed along a straight line.
fn flow_point(time: f64) -> TimePoint {
    TimePoint { t: time, level: NoiseLevel { alpha: 1.0 - time, sigma: time } }
}

/// The grid of a case.
pub(super) fn grid(case: &Case) -> Result<TimeGrid> {
    let on = |name: &str| case.options().bool_or(name, false);
    let flow = on("use_flow_sigmas")?;
    if flow {
        let other =
            ["use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas", "use_lu_lambdas"];
        ensure!(!other.iter().any(|name| on(name).unwrap_or(true)), "two kinds of sigmas");
        let understood = matches!(case.prediction()?, Prediction::Noise | Prediction::Data);
        ensure!(understood, "the peer's velocity is that of a variance-preserving process");
    }
    let at = if flow { flow_point } else { point };
    let points: Vec<TimePoint> = sigmas(case)?.into_iter().map(at).collect();
    grid_through(&points)
}
