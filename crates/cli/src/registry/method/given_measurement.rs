//! The method for data of which a measurement is known.

use super::Method;
use super::corrector::CorrectorName;
use crate::registry::hold::Hold;
use crate::registry::sampler::Sampler;
use crate::run::Run;
use anyhow::{Result, bail};
use tch::Tensor;
use tweedie_guidance::{Ddrm, Measurement, Reimposed, Resampled};
use tweedie_samplers::{MeanAtEnd, PredictorCorrector, Repeated, Solver};
use tweedie_score::{MapData, ScoreFn};
use tweedie_training::RunSchedule;

/// Stretches of so many steps, walked so often.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Resampling<'w> {
    pub(crate) jump: usize,
    /// One number for all stretches, or one for each.
    pub(crate) walks: &'w [usize],
    /// Of the noise added back.
    pub(crate) share: f64,
}

impl Resampling<'_> {
    /// A solver that walks so, down to the noise of the measurement.
    fn of<V: Solver<Tensor>>(
        self,
        solver: V,
        measurement: &Measurement<Tensor>,
    ) -> Result<Resampled<V>> {
        let resampled = Resampled::new(solver, self.jump, 1)?
            .with_walks_of_each(self.walks.to_vec())?
            .with_noise_share(self.share)?
            .ending_at_mean();
        Ok(resampled.down_to(measurement.largest_deviation())?)
    }

    /// In words, for reports.
    pub(crate) fn describe(&self) -> String {
        let walks: Vec<String> = self.walks.iter().map(ToString::to_string).collect();
        let (jump, walks) = (self.jump, walks.join(", "));
        let all = format!("each {jump} steps walked {walks} times");
        if self.share == 1.0 { all } else { format!("{all} with {} of the noise", self.share) }
    }
}

impl Method {
    /// The method that puts what is known back into its states, where none is asked for: Song et al.'s
    /// predictor and corrector for models in continuous time, all steps of ancestral sampling for others.
    pub(crate) fn suited_to_reimposing(&self, run: &Run) -> Self {
        if self.sampler.is_some() {
            return self.suited_to(run);
        }
        if run.schedule().table().is_some() {
            return Self { sampler: Some(Sampler::Ddpm), ..self.clone() }.suited_to(run);
        }
        let corrector = self.corrector.or(Some(CorrectorName::Langevin));
        Self { sampler: Some(Sampler::ReverseDiffusion), corrector, ..self.clone() }.suited_to(run)
    }

    /// The method that looks at what is known through the estimate of the data, where none is asked for: few
    /// steps of DPM-Solver++.
    pub(crate) fn suited_to_estimates(&self, run: &Run) -> Self {
        let sampler = self.sampler.or(Some(Sampler::DpmSolverPp));
        Self { sampler, ..self.clone() }.suited_to(run)
    }

    /// The times that DDRM walks, those of DDIM.
    ///
    /// # Errors
    /// When a method is asked for beside it, or a share of fresh noise that is none.
    pub(crate) fn suited_to_ddrm(&self, run: &Run) -> Result<Self> {
        let given =
            [("--sampler", self.sampler.is_some()), ("--corrector", self.corrector.is_some())];
        if let Some((option, _)) = given.iter().find(|(_, given)| *given) {
            bail!("--by ddrm is a method of its own, it goes without {option}");
        }
        if let Some(eta) = self.eta.filter(|eta| !(0.0..=1.0).contains(eta)) {
            bail!("--eta is {eta}, expected a value in [0, 1] for --by ddrm");
        }
        Ok(Self { sampler: Some(Sampler::Ddim), ..self.clone() }.suited_to(run))
    }

    /// The method with what is known put back after each of its moves; it ends at its mean.
    ///
    /// # Errors
    /// When an option is out of range, or not meant for the method or the model.
    pub(crate) fn reimposed<'m>(
        &self,
        run: &Run,
        measurement: &'m Measurement<Tensor>,
        resampling: Option<Resampling<'_>>,
    ) -> Result<Box<dyn Solver<Tensor> + 'm>> {
        let predictor = self.steps_on_tensors(run.schedule(), run.learned_variance())?;
        let predictor = Reimposed::new(predictor, measurement);
        let after_each =
            |one| Repeated::new(Reimposed::new(one, measurement), self.corrector_steps());
        let corrector = self.corrector(self.corrector_steps().min(1))?.map(after_each);
        Ok(match (corrector, resampling) {
            (None, None) => Box::new(MeanAtEnd(predictor)),
            (Some(corrector), None) => {
                Box::new(PredictorCorrector::new(MeanAtEnd(predictor), corrector))
            }
            (None, Some(resampling)) => Box::new(resampling.of(predictor, measurement)?),
            (Some(corrector), Some(resampling)) => {
                Box::new(resampling.of(PredictorCorrector::new(predictor, corrector), measurement)?)
            }
        })
    }

    /// The network with its estimates of the data held as asked, for what takes them from it alone: see
    /// [`held_in_range`](Self::held_in_range).
    ///
    /// # Errors
    /// When the quantile is out of range.
    pub(crate) fn held_throughout<'a>(
        &self,
        run: &Run,
        score: &'a dyn ScoreFn<Tensor>,
    ) -> Result<Box<dyn ScoreFn<Tensor> + 'a>> {
        Ok(match self.hold(run.schedule())? {
            Hold::Free => Box::new(score),
            map => Box::new(MapData { inner: score, map }),
        })
    }

    /// DDRM, with the share of fresh noise that is asked for.
    ///
    /// # Errors
    /// When that is out of range.
    pub(crate) fn ddrm<'m>(
        &self,
        measurement: &'m Measurement<Tensor>,
    ) -> Result<Box<dyn Solver<Tensor> + 'm>> {
        Ok(Box::new(Ddrm::new(measurement).with_eta(self.eta_of_ddrm(), 1.0)?))
    }

    fn eta_of_ddrm(&self) -> f64 {
        self.eta.unwrap_or(Ddrm::<Tensor>::PUBLISHED_ETA)
    }

    /// DDRM, its times and the options that were given, for reports.
    pub(crate) fn describe_ddrm(&self, schedule: &RunSchedule) -> String {
        let mut words = vec![format!("ddrm of eta {}", self.eta_of_ddrm())];
        words.extend(self.times_in_words(schedule));
        words.extend(self.held_in_words());
        words.join(", ")
    }
}
