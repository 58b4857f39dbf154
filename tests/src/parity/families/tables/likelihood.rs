//! Tables of the terms of the variational bound.

use std::f64::consts::LN_2;

use anyhow::{Context, Result};
use ndarray::{Array1, ArrayD};
use tweedie_losses::{Normal, NormalCdf, discretized_normal_log_likelihood, normal_kl, prior_kl};

use crate::parity::{Case, Produced};

/// Runs a case; which term it holds shows in its inputs.
pub(super) fn run(case: &Case) -> Result<Produced> {
    if case.inputs.get("x_start").is_some() {
        return prior(case);
    }
    let list = |name: &str| case.inputs.numbers(name);
    let tensor = |values: Vec<f64>| Array1::from(values).into_dyn();
    if case.inputs.get("mean1").is_some() {
        let (from, to) =
            (normals(list("mean1")?, list("logvar1")?), normals(list("mean2")?, list("logvar2")?));
        let kl = from.into_iter().zip(to).map(|(from, to)| normal_kl(from, to));
        return Ok(Produced::new().tensor("kl", tensor(kl.collect())));
    }
    let log_variances = list("log_scales")?.into_iter().map(|log| 2.0 * log).collect();
    let decoders = normals(list("means")?, log_variances);
    let log = |(x, normal)| discretized_normal_log_likelihood(x, normal, NormalCdf::Tanh);
    let logs = list("x")?.into_iter().zip(decoders).map(log).collect();
    Ok(Produced::new().tensor("log_probs", tensor(logs)))
}

fn normals(means: Vec<f64>, log_variances: Vec<f64>) -> Vec<Normal> {
    let pairs = means.into_iter().zip(log_variances);
    pairs.map(|(mean, log_variance)| Normal { mean, log_variance }).collect()
}

/// The term of the prior, in bits per dimension, of each item.
fn prior(case: &Case) -> Result<Produced> {
    let table = case.schedule.table()?;
    let end = table.node(table.len() - 1)?.level;
    let data = case.inputs.tensor("x_start")?;
    let mean = |item: ndarray::ArrayViewD<'_, f64>| item.mapv(|x0| prior_kl(x0, end)).mean();
    let nats: Option<Array1<f64>> = data.outer_iter().map(mean).collect();
    let bits: ArrayD<f64> = nats.context("an item without values")?.into_dyn() / LN_2;
    Ok(Produced::new().tensor("prior_bpd", bits))
}
