//! Everything random in a training step, as a pure function of the seed and the step.

use rand::Rng;
use tch::Tensor;
use tweedie_losses::{DrawnTime, TimeSampler};
use tweedie_schedules::{NoiseSchedule, TimePoint};
use tweedie_score::{NoiseSource, Seeded, stream_rng};

use crate::objective::Objective;
use crate::{RunSchedule, TrainError};

/// Keeps the streams of training apart from those that the same seed gives when sampling.
const TRAINING: u64 = 0x7477_6565_6469_6531;
/// And those of dropout apart from both.
const DROPOUT: u64 = 0x7477_6565_6469_6532;
/// And those of measurements on held-out images.
const HELD_OUT: u64 = 0x7477_6565_6469_6533;

/// What is drawn for a batch: noise, times, and which labels are hidden from the network.
#[derive(Debug)]
pub(crate) struct Draws {
    /// Standard normal, of the batch's shape.
    pub(crate) eps: Tensor,
    /// One time an image.
    pub(crate) times: Vec<TimePoint>,
    /// What the loss of each image is multiplied by, since times of some losses are drawn more often.
    pub(crate) weights: Vec<f64>,
    /// Directions for the objectives that look along some, of the batch's shape.
    pub(crate) directions: Vec<Tensor>,
    /// Whether an image's label is replaced by the null class.
    pub(crate) hidden: Vec<bool>,
}

/// How a batch's draws are made.
#[derive(Debug)]
pub(crate) struct DrawPlan {
    /// The run's seed.
    pub(crate) seed: u64,
    /// Tells the noise level of a time.
    pub(crate) schedule: RunSchedule,
    /// The law of the times at which held-out images are looked at.
    pub(crate) held_out_times: Box<dyn TimeSampler>,
    /// Probability with which a label is hidden.
    pub(crate) label_dropout: f64,
}

impl DrawPlan {
    /// The draws of a training step for images like `x0`, with times by the law `times`.
    pub(crate) fn training(
        &self,
        step: u64,
        x0: &Tensor,
        times: &dyn TimeSampler,
        objective: &dyn Objective,
    ) -> Result<Draws, TrainError> {
        self.draw(&mut Seeded::stream(self.seed ^ TRAINING, step), x0, times, objective)
    }

    /// The draws for held-out batch number `index`: the same at every measurement, no label hidden.
    pub(crate) fn held_out(
        &self,
        index: u64,
        x0: &Tensor,
        objective: &dyn Objective,
    ) -> Result<Draws, TrainError> {
        let source = &mut Seeded::stream(self.seed ^ HELD_OUT, index);
        let draws = self.draw(source, x0, &*self.held_out_times, objective)?;
        Ok(Draws { hidden: vec![false; draws.hidden.len()], ..draws })
    }

    /// The times at which every held-out image is looked at: so many, spread over the law of its times.
    pub(crate) fn levels(&self, count: usize) -> Vec<DrawnTime> {
        self.held_out_times.draw(&vec![0.5; count])
    }

    /// The draws for held-out batch number `index`, all of its images at one time.
    pub(crate) fn held_out_at(
        &self,
        index: u64,
        x0: &Tensor,
        level: DrawnTime,
        objective: &dyn Objective,
    ) -> Result<Draws, TrainError> {
        let draws = self.held_out(index, x0, objective)?;
        let (time, count) = (self.schedule.point(level.t), draws.times.len());
        Ok(Draws { times: vec![time; count], weights: vec![level.weight; count], ..draws })
    }

    /// The seed that libtorch's own generator gets for the dropout of a step.
    pub(crate) fn dropout_seed(&self, step: u64) -> i64 {
        stream_rng(self.seed ^ DROPOUT, step).next_u64() as i64
    }

    fn draw(
        &self,
        source: &mut dyn NoiseSource<Tensor>,
        x0: &Tensor,
        times: &dyn TimeSampler,
        objective: &dyn Objective,
    ) -> Result<Draws, TrainError> {
        let count = x0.size()[0] as usize;
        let drawn = times.draw(&source.uniform(count)?);
        let hidden = source.uniform(count)?.into_iter().map(|u| u < self.label_dropout).collect();
        let eps = source.normal_like(x0)?;
        let directions = objective.directions(x0, source)?;
        let times = drawn.iter().map(|drawn| self.schedule.point(drawn.t)).collect();
        let weights = drawn.iter().map(|drawn| drawn.weight).collect();
        Ok(Draws { eps, times, weights, directions, hidden })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{RunConfig, objective, times};
    use tch::{Device, Kind};

    /// The draws of a step, and of a held-out batch, for `count` images.
    fn draws(step: u64, count: i64) -> [Draws; 2] {
        let config = RunConfig::default();
        let schedule = config.noise_schedule().unwrap();
        let shape = [1, 2, 2];
        let images = crate::ImageForm { shape, unpadded: shape, levels: 17, classes: None };
        let objective = objective::build(&config, &schedule, &images).unwrap();
        let held_out_times = times::of_held_out(&config, &schedule).unwrap();
        let law = times::of_training(&config, &schedule).unwrap();
        let plan = DrawPlan { seed: 3, schedule, held_out_times, label_dropout: 0.25 };
        let x0 = Tensor::zeros([count, 1, 2, 2], (Kind::Float, Device::Cpu));
        [
            plan.training(step, &x0, &*law, &*objective).unwrap(),
            plan.held_out(0, &x0, &*objective).unwrap(),
        ]
    }

    #[test]
    fn draws_depend_on_seed_and_step_alone() {
        let [first, _] = draws(7, 8);
        draws(8, 3);
        tch::manual_seed(99);
        let [again, _] = draws(7, 8);
        assert_eq!((&first.times, &first.hidden), (&again.times, &again.hidden));
        assert!(first.eps.equal(&again.eps));
        assert_ne!(first.times, draws(8, 8)[0].times);
    }

    #[test]
    fn labels_are_hidden_at_the_rate_asked_for() {
        let [training, held_out] = draws(1, 10_000);
        let hidden = training.hidden.iter().filter(|hidden| **hidden).count() as f64;
        // Binomial(10^4, 1/4) has a standard deviation of 43.3; five of them.
        assert!((hidden - 2500.0).abs() < 5.0 * 43.3, "{hidden}");
        assert!(held_out.hidden.iter().all(|hidden| !hidden));
    }
}
