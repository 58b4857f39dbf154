//! `AdamW` with moments that are saved and read back.

use tch::Tensor;
use tweedie_checkpoints::TensorFile;
use tweedie_torch_ext::{AdamW, AdamWState, adamw_step};
use tweedie_unet::Parameters;

use crate::TrainError;
use crate::config::TrainingConfig;
use crate::network::{Stored, read_into};

/// Names of the saved moments begin so; the parameter's name follows.
const FIRST: &str = "exp_avg.";
const SECOND: &str = "exp_avg_sq.";
/// Name of the saved count of updates.
const STEP: &str = "step";

/// The optimizer's state beside the parameters.
#[derive(Debug)]
pub(crate) struct Optimizer {
    exp_avg: Vec<Tensor>,
    exp_avg_sq: Vec<Tensor>,
    updates: u64,
}

impl Optimizer {
    /// Moments of zero, each in its parameter's memory format: the fused kernel walks through all
    /// of them side by side.
    pub(crate) fn new(parameters: &Parameters) -> Self {
        let zeros = || parameters.iter().map(|(_, p)| p.detach().zeros_like()).collect();
        Self { exp_avg: zeros(), exp_avg_sq: zeros(), updates: 0 }
    }

    /// Updates done.
    pub(crate) fn updates(&self) -> u64 {
        self.updates
    }

    /// One update of all parameters. // Loshchilov & Hutter 2019, Alg. 2
    pub(crate) fn update(
        &mut self,
        parameters: &[&Tensor],
        gradients: &[Tensor],
        learning_rate: f64,
        config: &TrainingConfig,
    ) -> Result<(), TrainError> {
        let [beta1, beta2] = config.betas;
        let TrainingConfig { eps, weight_decay, .. } = *config;
        let options = AdamW { learning_rate, beta1, beta2, eps, weight_decay };
        self.updates += 1;
        let state =
            AdamWState { exp_avg: &self.exp_avg, exp_avg_sq: &self.exp_avg_sq, step: self.updates };
        Ok(adamw_step(parameters, gradients, state, &options)?)
    }

    /// What is saved: both moments of every parameter, and the count of updates.
    pub(crate) fn stored(&self, parameters: &Parameters) -> Vec<(String, Stored)> {
        let named = |prefix: &'static str, moments: &[Tensor]| {
            parameters
                .iter()
                .zip(moments)
                .map(|((name, _), moment)| (format!("{prefix}{name}"), Stored::new(moment)))
                .collect::<Vec<_>>()
        };
        let mut stored = named(FIRST, &self.exp_avg);
        stored.extend(named(SECOND, &self.exp_avg_sq));
        stored.push((STEP.to_owned(), Stored::count(self.updates)));
        stored
    }

    /// Reads back what [`stored`](Self::stored) gave.
    pub(crate) fn load(
        &mut self,
        parameters: &Parameters,
        file: &TensorFile,
    ) -> Result<(), TrainError> {
        let names = || parameters.iter().map(|(name, _)| name);
        read_into(file, FIRST, names().zip(&self.exp_avg))?;
        read_into(file, SECOND, names().zip(&self.exp_avg_sq))?;
        self.updates = file.read_i64(STEP)?.first().map_or(0, |updates| *updates as u64);
        Ok(())
    }
}
