//! Tables of the terms of the variational bound.

use std::f64::consts::LN_2;

use anyhow::Result;
use ndarray::Array1;
use tweedie_losses::{
    Normal, NormalCdf, discretized_normal_log_likelihood, normal_kl, prior_kl_each,
};
use tweedie_score::Batch;

use super::super::visited;
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
    let (data, end) = (case.inputs.tensor("x_start")?, visited::chain(case)?.start().level);
    let bits_per_nat = 1.0 / (data.item_len() as f64 * LN_2);
    let bits = prior_kl_each(&data, end, 1.0).into_iter().map(|nats| nats * bits_per_nat);
    Ok(Produced::new().tensor("prior_bpd", bits.collect::<Array1<f64>>().into_dyn()))
}
