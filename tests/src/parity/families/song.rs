//! Predictor-corrector sampling: `score_sde_pytorch`, and the two schedulers of diffusers after it.

mod inverse;
mod losses;
mod on_table;
mod process;
mod tables;

use std::cell::RefCell;

use anyhow::{Context, Result, bail};
use ndarray::ArrayD;
use tweedie_samplers::{
    AnnealedLangevin, Corrector, Langevin, MeanAtEnd, NoCorrector, NoPredictor, OneStep, Predictor,
    PredictorCorrector, Solver, WatchCorrector, sample, sample_observed,
};
use tweedie_schedules::TimeGrid;
use tweedie_score::{Replay, ScoreFn, VectorSpace};

use crate::parity::{Case, Exact, Produced};
use on_table::OnTable;
use process::Process;

type State = ArrayD<f64>;

/// Runs a case.
pub(super) fn run(case: &Case) -> Result<Produced> {
    match case.sampler.name.as_str() {
        "pc" => run_pc(case),
        "pc_inpaint" | "pc_colorize" => inverse::run(case),
        "sde_loss" | "ddpm_loss" | "smld_loss" => losses::run(case),
        "ScoreSdeVeScheduler" => run_diffusers_ve(case),
        "ScoreSdeVpScheduler" => run_diffusers_vp(case),
        _ => tables::run(case),
    }
}

/// A run's options, whichever peer they come from.
struct Run<'a> {
    case: &'a Case,
    process: Process,
    grid: TimeGrid,
    predictor: &'a str,
    corrector: &'a str,
    corrections: usize,
    snr: f64,
    eta: f64,
    denoise: bool,
}

/// `get_pc_sampler` of `score_sde_pytorch`.
fn run_pc(case: &Case) -> Result<Produced> {
    let run = Run::of(case, 1e-3)?;
    let model = case.model()?;
    run.with_score(&model, |score| run.produce(&model, score))
}

/// `ScoreSdeVeScheduler`, looped over as its pipeline does.
fn run_diffusers_ve(case: &Case) -> Result<Produced> {
    let process = Process::read(&case.schedule, case.steps()?)?;
    let corrections = case.options().usize_or("correct_steps", 1)?;
    let run = Run {
        case,
        grid: process.grid(sampling_eps(case, 1e-5)?)?,
        predictor: "reverse_diffusion",
        corrector: if corrections == 0 { "none" } else { "langevin" },
        corrections,
        snr: case.options().f64_or("snr", 0.15)?,
        eta: 1.0,
        denoise: false,
        process,
    };
    let model = case.model()?;
    run.produce(&model, &model)
}

/// `ScoreSdeVpScheduler`.
fn run_diffusers_vp(case: &Case) -> Result<Produced> {
    let process = Process::read(&case.schedule, case.steps()?)?;
    let run = Run {
        case,
        grid: process.grid(sampling_eps(case, 1e-3)?)?,
        predictor: "euler_maruyama",
        corrector: "none",
        corrections: 0,
        snr: 0.0,
        eta: 1.0,
        denoise: false,
        process,
    };
    let model = case.model()?;
    run.produce(&model, &model)
}

/// Where the schedulers' times end.
fn sampling_eps(case: &Case, default: f64) -> Result<f64> {
    let own =
        case.options().f64_or("sampling_eps", case.schedule.f64_or("sampling_eps", default)?)?;
    case.sampler.step_options.f64_or("sampling_eps", own)
}

impl<'a> Run<'a> {
    /// The options that the samplers of `score_sde_pytorch` share.
    fn of(case: &'a Case, default_eps: f64) -> Result<Self> {
        let options = case.options();
        let steps = options.usize("N").or_else(|_| case.steps())?;
        let process = Process::read(&case.schedule, steps)?;
        let corrector = options.str_or("corrector", "none")?;
        Ok(Run {
            case,
            grid: process.grid(options.f64_or("eps", default_eps)?)?,
            predictor: options.str_or("predictor", "none")?,
            corrector,
            corrections: if corrector == "none" { 0 } else { options.usize_or("n_steps", 1)? },
            snr: options.f64_or("snr", 0.16)?,
            eta: if options.bool_or("probability_flow", false)? { 0.0 } else { 1.0 },
            denoise: options.bool_or("denoise", true)?,
            process,
        })
    }

    /// Hands over the model, as a network that knows all times or those of the chain alone.
    fn with_score<T>(
        &self,
        model: &Exact<'_>,
        use_it: impl FnOnce(&dyn ScoreFn<State>) -> Result<T>,
    ) -> Result<T> {
        if self.case.options().bool_or("continuous", false)? {
            return use_it(model);
        }
        match self.process.table()? {
            Some(table) => use_it(&OnTable { inner: model, table, rounds: self.process.rounds() }),
            // the networks of sub-VP are continuous whatever the option says
            None => use_it(model),
        }
    }

    fn predictor(&self) -> Result<Option<Box<dyn Predictor + '_>>> {
        self.process.predictor(self.predictor, self.eta)
    }

    fn corrector(&self) -> Result<Box<dyn Corrector<State> + '_>> {
        Ok(match self.corrector {
            "none" => Box::new(NoCorrector),
            "langevin" => {
                let langevin = Langevin::new(self.snr, self.corrections)?;
                Box::new(langevin.with_chain(self.process.chain()?))
            }
            "ald" => {
                let annealed = AnnealedLangevin::new(self.snr, self.corrections)?;
                Box::new(annealed.with_chain(self.process.chain()?))
            }
            other => bail!("no corrector {other}"),
        })
    }

    /// The standard deviation of the noise that the predictor adds in each step; empty without one.
    fn kicks(&self) -> Result<Vec<f64>> {
        let Some(predictor) = self.predictor()? else { return Ok(Vec::new()) };
        let steps = self.grid.intervals().iter();
        Ok(steps.map(|interval| predictor.coefficients(*interval).noise).collect())
    }

    /// The draws that count: the peers also draw noise that they multiply by 0.
    fn noise(&self, kicks: &[f64]) -> Replay {
        let draws = self.corrections + usize::from(!kicks.is_empty());
        let counts = |k: usize| k % draws < self.corrections || kicks[k / draws] != 0.0;
        let noises = self.case.noises.iter().enumerate().filter(|(k, _)| counts(*k));
        Replay::new(noises.map(|(_, draw)| draw.values.iter().copied().collect()))
    }

    /// Runs once with all states watched, and once as a user would for the result alone.
    fn produce(&self, model: &Exact<'_>, score: &dyn ScoreFn<State>) -> Result<Produced> {
        let kicks = self.kicks()?;
        let (mut states, corrected) = (Vec::new(), RefCell::new(Vec::new()));
        let watch = |x: &State| corrected.borrow_mut().push(x.clone());
        let inner = self.corrector()?;
        let solver = PredictorCorrector::new(self.solver()?, WatchCorrector { inner, watch });
        let (start, noise) = (self.case.start()?, &mut self.noise(&kicks));
        let observe = &mut |_: usize, x: &State| states.push(x.clone());
        let x = sample_observed(&solver, score, &self.grid, start, noise, observe)?;
        let evaluations = model.evaluations();
        let mean = self.last_mean(&x, &kicks)?;
        let corrected = if self.corrections == 0 { Vec::new() } else { corrected.take() };
        Ok(Produced::new()
            .tensor("x_0", self.result(score, &kicks)?)
            .tensor("x_0_mean", mean.clone())
            .states("states", states)
            .states("state_means", vec![mean])
            .states("corrector_states", corrected)
            .evaluations(evaluations))
    }

    fn solver(&self) -> Result<Box<dyn Solver<State> + '_>> {
        Ok(match self.predictor()? {
            Some(predictor) => Box::new(OneStep(predictor)),
            None => Box::new(NoPredictor),
        })
    }

    fn result(&self, score: &dyn ScoreFn<State>, kicks: &[f64]) -> Result<State> {
        let (start, noise) = (self.case.start()?, &mut self.noise(kicks));
        let (predictor, corrector) = (self.solver()?, self.corrector()?);
        Ok(if self.denoise {
            let solver = PredictorCorrector::new(MeanAtEnd(predictor), corrector);
            sample(&solver, score, &self.grid, start, noise)?
        } else {
            let solver = PredictorCorrector::new(predictor, corrector);
            sample(&solver, score, &self.grid, start, noise)?
        })
    }

    /// The last state less the noise of the last step.
    fn last_mean(&self, x: &State, kicks: &[f64]) -> Result<State> {
        match kicks.last() {
            None | Some(0.0) => Ok(x.clone()),
            Some(kick) => {
                let last = self.case.noises.last().context("no noise")?;
                Ok(State::combine(&[(1.0, x), (-kick, &last.values)]))
            }
        }
    }
}
