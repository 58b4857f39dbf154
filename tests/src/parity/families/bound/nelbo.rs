//! Analytic-DPM's NELBO of its samplers, in nats.

use anyhow::{Result, bail, ensure};
use tweedie_likelihood::VariationalBound;
use tweedie_losses::Decoder;
use tweedie_schedules::{Interval, TimeGrid, Variance};
use tweedie_score::{MapData, ReverseNoise};

use super::super::analytic::{self, IMAGES};
use super::super::estimate::Estimate;
use super::{stacked, tensor};
use crate::parity::{Case, Produced};

/// Runs a case.
pub(super) fn run(case: &Case) -> Result<Produced> {
    let nodes = analytic::nodes(case)?;
    let name = case.sampler.name.as_str();
    let (noise, clips): (Box<dyn ReverseNoise>, bool) = match name.trim_end_matches("_ddpm") {
        "nelbo_ms_eps" => (Box::new(analytic::analytic(case, &nodes, 1.0)?), true),
        "nelbo_naive" => {
            let small = case.options().bool_or("small_sigma", false)?;
            let variance = if small { Variance::FixedSmall } else { Variance::FixedLarge };
            (Box::new(variance), case.options().bool_or("clip_denoise", false)?)
        }
        _ => bail!("no bound {name}"),
    };
    let grid = TimeGrid::through(&nodes)?.ending_clean();
    let decoder = Decoder { variance: Some(decoder_variance(case)?), ..super::decoder() };
    let bound = VariationalBound::new(&grid, &*noise, decoder)?;
    let model = case.model()?;
    let map = if clips { Estimate::Clipped(IMAGES) } else { Estimate::AsItIs };
    let score = MapData { inner: &model, map };
    let terms = bound.evaluate(&case.inputs.tensor("x_0")?, &score, &mut case.noise())?;
    // the peer lists the decoder first and the prior last
    let rows = terms.steps.iter().rev().map(|step| &step.nats).chain([&terms.prior]);
    Ok(Produced::new()
        .tensor("nelbo", tensor(terms.total()))
        .tensor("terms", stacked(0, rows.cloned())?)
        .evaluations(model.evaluations()))
}

/// The peer's decoder has the small variance of the second step of the whole chain.
fn decoder_variance(case: &Case) -> Result<f64> {
    let table = case.schedule.table()?;
    ensure!(table.len() > 1, "a chain of one step");
    let step = Interval { from: table.node(1)?, to: table.node(0)? };
    Ok(Variance::FixedSmall.of(step))
}
