//! Inpainting and colorization of `score_sde_pytorch`.

use anyhow::Result;
use ndarray::{Axis, Slice};
use tweedie_guidance::{ColourBasis, ImposedLevel, KnownEnd, Mask, Measurement, Reimposed};
use tweedie_samplers::{PredictorCorrector, sample};
use tweedie_schedules::NoiseLevel;
use tweedie_score::{Replay, ScoreFn, Silent, VectorSpace};

use super::{Run, State};
use crate::parity::{Case, Produced};

/// Runs a case.
pub(super) fn run(case: &Case) -> Result<Produced> {
    let run = Run::of(case, 1e-5)?;
    let problem = Problem::of(case)?;
    let model = case.model()?;
    let x = run.with_score(&model, |score| restored(&run, &problem, score))?;
    Ok(Produced::new().tensor("x_0", x).evaluations(model.evaluations()))
}

/// What is known, and the state that the peer starts from: the known part is clean data.
struct Problem {
    measurement: Measurement<State>,
    start: State,
}

impl Problem {
    fn of(case: &Case) -> Result<Self> {
        let prior = case.inputs.tensor("prior_sample")?;
        if case.sampler.name == "pc_inpaint" {
            let mask = Mask::new(case.inputs.tensor("mask")?)?;
            let measurement = Measurement::new(mask, &case.inputs.tensor("data")?, 0.0)?;
            let start = measurement.impose(&prior, NoiseLevel::CLEAN, &mut Silent)?;
            return Ok(Self { measurement, start });
        }
        let basis = ColourBasis::published_grey()?;
        let measurement = Measurement::new(basis, &case.inputs.tensor("gray")?, 0.0)?;
        // the peer masks the prior by channel instead of by coordinate
        let mut masked = prior;
        masked.slice_axis_mut(Axis(1), Slice::from(..1)).fill(0.0);
        let start = State::combine(&[(1.0, &masked), (1.0, &measurement.pseudo_inverse())]);
        Ok(Self { measurement, start })
    }
}

fn restored(run: &Run<'_>, problem: &Problem, score: &dyn ScoreFn<State>) -> Result<State> {
    let known = &problem.measurement;
    let end = if run.denoise { KnownEnd::Mean } else { KnownEnd::Noisy };
    let predictor = Reimposed::new(run.solver()?, known).at_level(ImposedLevel::Left).ending(end);
    let solver = PredictorCorrector::new(predictor, Reimposed::new(run.corrector()?, known));
    let (start, noise) = (problem.start.clone(), &mut noise(run)?);
    Ok(sample(&solver, score, &run.grid, start, noise)?)
}

/// The draws that count, of each step's: its corrections, the known part, the predictor, the known part
/// once more.
fn noise(run: &Run<'_>) -> Result<Replay> {
    let kicks = run.kicks()?;
    let predictions = usize::from(!kicks.is_empty());
    let draws = run.corrections + 1 + predictions + 1;
    let idle =
        |k: usize| predictions == 1 && k % draws == run.corrections + 1 && kicks[k / draws] == 0.0;
    let noises = run.case.noises.iter().enumerate().filter(|(k, _)| !idle(*k));
    Ok(Replay::new(noises.map(|(_, draw)| draw.values.iter().copied().collect())))
}
