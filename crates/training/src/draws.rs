//! Everything random in a training step, as a pure function of the seed and the step.

use rand::Rng;
use tch::Tensor;
use tweedie_schedules::TimePoint;
use tweedie_score::{NoiseSource, Seeded, stream_rng};

use crate::TrainError;
use crate::config::TimeSampling;
use crate::times::TrainedTimes;

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
    /// Whether an image's label is replaced by the null class.
    pub(crate) hidden: Vec<bool>,
}

/// How a batch's draws are made.
#[derive(Clone, Debug)]
pub(crate) struct DrawPlan {
    /// The run's seed.
    pub(crate) seed: u64,
    /// The times there are.
    pub(crate) times: TrainedTimes,
    /// How they are drawn.
    pub(crate) time_sampling: TimeSampling,
    /// Probability with which a label is hidden.
    pub(crate) label_dropout: f64,
}

impl DrawPlan {
    /// The draws of a training step for images like `x0`.
    pub(crate) fn training(&self, step: u64, x0: &Tensor) -> Result<Draws, TrainError> {
        self.draw(&mut Seeded::stream(self.seed ^ TRAINING, step), self.time_sampling, x0)
    }

    /// The draws for held-out batch number `index`: the same at every measurement, no label hidden.
    pub(crate) fn held_out(&self, index: u64, x0: &Tensor) -> Result<Draws, TrainError> {
        let source = &mut Seeded::stream(self.seed ^ HELD_OUT, index);
        let draws = self.draw(source, TimeSampling::Stratified, x0)?;
        Ok(Draws { hidden: vec![false; draws.hidden.len()], ..draws })
    }

    /// The seed that libtorch's own generator gets for the dropout of a step.
    pub(crate) fn dropout_seed(&self, step: u64) -> i64 {
        stream_rng(self.seed ^ DROPOUT, step).next_u64() as i64
    }

    fn draw(
        &self,
        source: &mut dyn NoiseSource<Tensor>,
        sampling: TimeSampling,
        x0: &Tensor,
    ) -> Result<Draws, TrainError> {
        let count = x0.size()[0] as usize;
        let times = self.times.draw(sampling, count, source)?;
        let hidden = source.uniform(count)?.into_iter().map(|u| u < self.label_dropout).collect();
        Ok(Draws { eps: source.normal_like(x0)?, times, hidden })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RunConfig;
    use tch::{Device, Kind};

    fn plan(time_sampling: TimeSampling) -> DrawPlan {
        let schedule = RunConfig::default().noise_schedule().unwrap();
        let times = TrainedTimes::new(&schedule);
        DrawPlan { seed: 3, times, time_sampling, label_dropout: 0.25 }
    }

    fn images(count: i64) -> Tensor {
        Tensor::zeros([count, 1, 2, 2], (Kind::Float, Device::Cpu))
    }

    #[test]
    fn draws_depend_on_seed_and_step_alone() {
        let plan = plan(TimeSampling::Uniform);
        let first = plan.training(7, &images(8)).unwrap();
        plan.training(8, &images(3)).unwrap();
        tch::manual_seed(99);
        let again = plan.training(7, &images(8)).unwrap();
        assert_eq!((&first.times, &first.hidden), (&again.times, &again.hidden));
        assert!(first.eps.equal(&again.eps));
        let other = plan.training(8, &images(8)).unwrap();
        assert_ne!(first.times, other.times);
        assert_ne!(plan.dropout_seed(7), plan.dropout_seed(8));
    }

    #[test]
    fn labels_are_hidden_at_the_rate_asked_for() {
        let draws = plan(TimeSampling::Uniform).training(1, &images(10_000)).unwrap();
        let hidden = draws.hidden.iter().filter(|hidden| **hidden).count() as f64;
        // Binomial(10^4, 1/4) has a standard deviation of 43.3; five of them.
        assert!((hidden - 2500.0).abs() < 5.0 * 43.3, "{hidden}");
        let held_out = plan(TimeSampling::Uniform).held_out(0, &images(1000)).unwrap();
        assert!(held_out.hidden.iter().all(|hidden| !hidden));
    }
}
