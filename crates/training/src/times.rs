//! The law by which a run draws the times of a batch.

use tweedie_losses::{
    DiscreteTime, ImportanceTime, LogNormalTime, LossError, LossSecondMoment, Stratified,
    TimeSampler, UniformTime,
};
use tweedie_schedules::NoiseSchedule;

use crate::config::{TimeSampling, TrainingConfig};
use crate::{ConfigError, RunConfig, RunSchedule};

/// The law of training.
pub(crate) fn of_training(
    config: &RunConfig,
    schedule: &RunSchedule,
) -> Result<Box<dyn TimeSampler>, ConfigError> {
    law(&config.training, schedule).map_err(|source| ConfigError::Loss { source })
}

/// The law of measurements on held-out images: one with the same mean that learns nothing, spread.
pub(crate) fn of_held_out(
    config: &RunConfig,
    schedule: &RunSchedule,
) -> Result<Box<dyn TimeSampler>, ConfigError> {
    let time_sampling = match config.training.time_sampling {
        TimeSampling::Uniform | TimeSampling::LossSecondMoment => TimeSampling::Stratified,
        spread => spread,
    };
    let training = TrainingConfig { time_sampling, ..config.training.clone() };
    law(&training, schedule).map_err(|source| ConfigError::Loss { source })
}

fn law(
    training: &TrainingConfig,
    schedule: &RunSchedule,
) -> Result<Box<dyn TimeSampler>, LossError> {
    let (clean, noisy) = schedule.time_range();
    Ok(match (training.time_sampling, schedule.table()) {
        (TimeSampling::LossSecondMoment, Some(table)) => {
            Box::new(LossSecondMoment::of_table(table))
        }
        (TimeSampling::Stratified, Some(table)) => {
            Box::new(Stratified { inner: DiscreteTime::of_table(table) })
        }
        (_, Some(table)) => Box::new(DiscreteTime::of_table(table)),
        (TimeSampling::Uniform | TimeSampling::LossSecondMoment, None) => {
            Box::new(UniformTime::new(clean, noisy)?)
        }
        (TimeSampling::Stratified, None) => {
            Box::new(Stratified { inner: UniformTime::new(clean, noisy)? })
        }
        (TimeSampling::Importance, None) => {
            Box::new(Stratified { inner: ImportanceTime::new(schedule.clone(), clean, noisy)? })
        }
        (TimeSampling::LogNormal, None) => {
            let mean = training.log_normal_mean.unwrap_or(f64::NAN);
            let deviation = training.log_normal_deviation.unwrap_or(f64::NAN);
            Box::new(Stratified { inner: LogNormalTime::new(schedule.clone(), mean, deviation)? })
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(overrides: &[&str], count: usize) -> Vec<(f64, f64)> {
        let overrides: Vec<_> = overrides.iter().map(ToString::to_string).collect();
        let config = RunConfig::parse("", &overrides).unwrap();
        let law = of_training(&config, &config.noise_schedule().unwrap()).unwrap();
        let uniform: Vec<_> = (0..count).map(|_| 0.5).collect();
        law.draw(&uniform).into_iter().map(|drawn| (drawn.t, drawn.weight)).collect()
    }

    #[test]
    fn every_law_draws_from_the_times_of_its_schedule() {
        let steps = drawn(&["training.time_sampling=stratified"], 10);
        let expected = (0..10).map(|k| ((f64::from(k) * 100.0 + 51.0) / 1000.0, 1.0));
        for ((t, weight), expected) in steps.into_iter().zip(expected) {
            assert!((t - expected.0).abs() < 1e-12 && weight == expected.1, "{t}");
        }
        let vp = "schedule.kind=vp_linear";
        assert_eq!(drawn(&[vp], 1), [(0.5 * (1.0 + 1e-5), 1.0)]);
        let importance = drawn(&[vp, "training.time_sampling=importance"], 100);
        assert!(importance[0].0 < 2e-5 && importance[0].1 < 1e-3, "{:?}", importance[0]);
        let edm = ["schedule.kind=edm", "training.time_sampling=log_normal"];
        assert!((drawn(&edm, 1)[0].0.ln() + 1.2).abs() < 1e-12);
        let learning = drawn(&["training.time_sampling=loss_second_moment"], 1);
        assert!((learning[0].0 - 0.5).abs() < 0.0011 && (learning[0].1 - 1.0).abs() < 1e-12);
    }

    #[test]
    fn held_out_images_are_spread_over_the_same_law() {
        let config = RunConfig::parse("", &[]).unwrap();
        let law = of_held_out(&config, &config.noise_schedule().unwrap()).unwrap();
        let times: Vec<_> = law.draw(&[0.0; 4]).into_iter().map(|drawn| drawn.t).collect();
        assert_eq!(times, [0.001, 0.251, 0.501, 0.751]);
    }
}
