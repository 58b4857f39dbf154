//! What a method takes from the scheduler of a model of diffusers, where nothing else is asked for.

use super::{Method, learned_ancestral};
use crate::registry::sampler::{Sampler, VarianceName};
use crate::registry::walk;
use anyhow::Result;
use tweedie_checkpoints::DiffusersSampling;
use tweedie_samplers::LearnedAncestral;
use tweedie_schedules::{TimePoint, VeGeometric};
use tweedie_score::Learned;
use tweedie_sde::Sde;
use tweedie_training::RunSchedule;

/// What stands for the small variance of a step that ends clean, where diffusers takes its logarithm.
const LEAST_VARIANCE: f64 = 1e-20;

impl Method {
    /// The scheduler of the model where it comes from diffusers.
    pub(super) fn sampling(&self) -> Option<&DiffusersSampling> {
        self.own.as_ref()?.habits.sampling.as_ref()
    }

    /// That scheduler where it is for a chain of betas and says how this method walks it.
    pub(super) fn chain_sampling(&self, schedule: &RunSchedule) -> Option<&DiffusersSampling> {
        let sampler = self.sampler_for(schedule);
        self.sampling().filter(|sampling| walk::is_followed(sampling, sampler))
    }

    /// The table of the published chain whose steps this run takes, as the pipeline of diffusers for exploding
    /// noise does: with the sampler and the times of that pipeline.
    pub(super) fn exploding_chain<'a>(&self, schedule: &'a RunSchedule) -> Option<&'a VeGeometric> {
        let of_pipeline = self.sampler_for(schedule) == Sampler::ReverseDiffusion
            && self.spacing.is_none()
            && self.sampling().is_some_and(|sampling| sampling.corrector.is_some());
        match schedule {
            RunSchedule::Ve(exploding) if of_pipeline => Some(exploding),
            _ => None,
        }
    }

    /// The standard deviation of the noise that a run begins with.
    pub(crate) fn start_deviation(&self, schedule: &RunSchedule, start: TimePoint) -> f64 {
        let of_diffusers = self.sampling().is_some_and(DiffusersSampling::is_chain);
        match self.exploding_chain(schedule) {
            Some(_) => schedule.prior_std(),
            // whatever the variance at the level where it starts
            None if of_diffusers => 1.0,
            None => start.level.sigma,
        }
    }

    /// Whether the noise of a step stays as the network has it where its estimate of the data is held: the
    /// DDIM of diffusers.
    pub(super) fn keeps_noise(&self, schedule: &RunSchedule) -> bool {
        let ddim = self.sampler_for(schedule) == Sampler::Ddim;
        ddim && self.chain_sampling(schedule).is_some()
    }

    /// The range within which the program that the model comes from holds estimates of the data where this method
    /// draws.
    pub(super) fn own_clip(&self, schedule: &RunSchedule) -> Option<(f64, f64)> {
        match self.chain_sampling(schedule) {
            Some(sampling) => sampling.clip.map(|bound| (-bound, bound)),
            None => self.own.as_ref()?.habits.clip,
        }
    }

    /// Whether the last step adds its noise. The DDPM of diffusers does so wherever that step does not begin at the
    /// first entry of the chain; a spacing that is asked for is no longer that of its scheduler.
    pub(super) fn ends_noisy(&self, schedule: &RunSchedule) -> Result<bool> {
        let follows = self.spacing.is_none() && self.chain_sampling(schedule).is_some();
        let ancestral = self.sampler_for(schedule) == Sampler::Ddpm;
        let Some(table) = schedule.table().filter(|_| follows && ancestral) else {
            return Ok(false);
        };
        let first = table.node(0)?.t;
        Ok(self.grid(schedule)?.intervals().last().is_some_and(|step| step.from.t > first))
    }

    /// Ancestral steps with the variance that the network learned.
    pub(super) fn learned_steps(
        &self,
        schedule: &RunSchedule,
        learned: Option<Learned>,
    ) -> Result<LearnedAncestral> {
        let clean_floor = self.ends_noisy(schedule)?.then_some(LEAST_VARIANCE);
        Ok(LearnedAncestral { clean_floor, ..learned_ancestral(learned)? })
    }

    /// What is worth knowing of images that are drawn as diffusers would.
    ///
    /// # Errors
    /// When the steps cannot be placed.
    pub(crate) fn notes(&self, schedule: &RunSchedule) -> Result<Vec<String>> {
        let noise = self.ends_noisy(schedule)? && self.variance.is_some_and(VarianceName::lasts);
        let noise = noise.then(|| {
            let spacing = self.spacing_of(schedule).name();
            format!(
                "as in diffusers the last step adds noise, since it does not begin at the first entry of the \
                 chain; --spacing {spacing} draws the same steps without it"
            )
        });
        let still = self.corrector.filter(|_| self.corrector_steps() == 0).map(|_| {
            "the scheduler of the model says correct_steps 0, so there is no corrector; --corrector-steps says \
             otherwise"
                .to_owned()
        });
        let notes = [noise, self.note_of_clipping(schedule), still];
        Ok(notes.into_iter().flatten().collect())
    }

    /// Says that estimates of the data are held although the file of the model's scheduler says nothing of it.
    pub(crate) fn note_of_clipping(&self, schedule: &RunSchedule) -> Option<String> {
        let asked = self.clip || self.no_clip || self.threshold.is_some();
        let sampling = self.chain_sampling(schedule).filter(|_| !asked)?;
        let silent = sampling.threshold.is_none() && self.own.as_ref()?.habits.clip.is_none();
        let bound = sampling.clip.filter(|_| silent)?;
        let (class, sampler) = (&sampling.class_name, self.sampler_for(schedule).name());
        Some(format!(
            "{class} says nothing of clipping, so {sampler} holds estimates of the data within -{bound} to {bound}, \
             as that of diffusers does; --no-clip leaves them as they are"
        ))
    }
}
