//! guided-diffusion's sampler of steps by their losses.

use anyhow::{Result, ensure};
use ndarray::Array2;
use tweedie_losses::{LossSecondMoment, TimeSampler};

use crate::parity::{Case, Fields, Output, Produced};

/// Runs a case: losses observed one after the other.
pub(super) fn run(case: &Case) -> Result<Produced> {
    let options = case.options();
    check_names(options)?;
    let (count, length) =
        (options.usize("num_timesteps")?, options.usize_or("history_per_term", 10)?);
    let times: Vec<_> = (0..count).map(|step| step as f64).collect();
    let uniform = options.f64_or("uniform_prob", 0.001)?;
    let mut sampler = LossSecondMoment::new(times.clone(), length, uniform)?;
    sampler.observe(&case.inputs.numbers("ts")?, &case.inputs.numbers("losses")?)?;

    let shares = sampler.probabilities();
    // until it is warm the peer's weights are ones, which are no shares
    let weights = if sampler.is_warm() { shares.clone() } else { vec![1.0; count] };
    let factors = shares.iter().map(|share| 1.0 / (count as f64 * share)).collect();
    let histories = sampler.histories();
    let counts = histories.iter().map(|history| history.len() as f64).collect();
    let entry = |(step, place): (usize, usize)| histories[step].get(place).copied().unwrap_or(0.0);
    Ok(Produced::new()
        .numbers("weights", weights)
        .numbers("p", shares)
        .numbers("importance_weights", factors)
        .with("warmed_up", Output::Flag(sampler.is_warm()))
        .numbers("loss_counts", counts)
        .tensor("loss_history", Array2::from_shape_fn((count, length), entry).into_dyn()))
}

fn check_names(options: &Fields) -> Result<()> {
    let known = ["num_timesteps", "history_per_term", "uniform_prob"];
    for name in options.0.keys() {
        ensure!(known.contains(&name.as_str()), "no option {name} is mapped");
    }
    Ok(())
}
