//! Keras-DDPM: DDPM, DDIM and Analytic-DPM on every `stride`-th step of its own table, from index 0.

use anyhow::{Result, bail};
use ndarray::ArrayD;
use tweedie_samplers::{
    AnalyticDpm, Ancestral, Ddim, NoiseMoments, OneStep, Predictor, StepCoefficients, Variance,
    sample,
};
use tweedie_schedules::{DiscreteTable, Interval, TimeGrid};
use tweedie_score::{Elementwise, Replay};

use super::visited;
use crate::parity::{Case, Produced};

/// Runs a case.
pub(super) fn run(case: &Case) -> Result<Produced> {
    let count = case.schedule.usize_or("N", 1000)?;
    let betas: Vec<f64> = (1..=count).map(|t| 0.02 * t as f64 / count as f64).collect();
    let table = DiscreteTable::from_betas(&betas)?;
    let ascending: Vec<usize> =
        (0..count).step_by(case.options().usize_or("stride", 1)?.max(1)).collect();
    let visited: Vec<usize> = ascending.iter().rev().copied().collect();
    let grid = visited::down_to_the_data(&table, &visited)?;
    let eta = case.options().f64_or("eta", 1.0)?;
    match case.sampler.name.as_str() {
        "ddpm.sample" => {
            follow(case, &grid, FinalNoise(Ancestral { variance: Variance::FixedLarge }))
        }
        "ddim.sample" => follow(case, &grid, Ddim::new(eta)?),
        "adpm.sample" => {
            let levels = ascending.iter().map(|index| Ok(table.node(*index)?.level));
            let factors = case.inputs.numbers("factors_at_timesteps")?;
            let moments: Vec<f64> = factors.iter().map(|factor| 1.0 - factor).collect();
            let moments = NoiseMoments::new(&levels.collect::<Result<Vec<_>>>()?, &moments)?;
            follow(case, &grid, AnalyticDpm::new(eta, moments)?.with_final_noise())
        }
        other => bail!("no sampler {other}"),
    }
}

/// The peer's DDPM adds the first step's beta to the finished picture, too.
struct FinalNoise(Ancestral);

impl Predictor for FinalNoise {
    fn coefficients(&self, interval: Interval) -> StepCoefficients {
        let noise = self.0.variance.of(interval).sqrt();
        StepCoefficients { noise, ..self.0.coefficients(interval) }
    }
}

/// Runs a method over a grid and clips what comes out.
fn follow(case: &Case, grid: &TimeGrid, method: impl Predictor) -> Result<Produced> {
    let model = case.model()?;
    let solver = OneStep(method);
    // noise is drawn in every step, also where it is multiplied by 0
    let steps = solver.coefficients(grid)?;
    let drawn = case.noises.iter().zip(&steps).filter(|(_, step)| step.noise != 0.0);
    let mut noise =
        Replay::new(drawn.map(|(draw, _)| draw.values.iter().copied().collect::<Vec<_>>()));
    let end: ArrayD<f64> = sample(&solver, &model, grid, case.start()?, &mut noise)?;
    Ok(Produced::new().tensor("x_0", end.clamp(-1.0, 1.0)).evaluations(model.evaluations()))
}
