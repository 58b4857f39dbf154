//! One time in each of as many equal parts of a law as there are samples.

use super::{DrawnTime, SamplerState, TimeSampler};
use crate::LossError;

/// Any sampler, its times spread over its law: sample `k` of `n` is drawn from the `k`-th part of
/// probability `1/n`. The mean of a loss stays, its variance over a batch falls.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stratified<T> {
    /// The law.
    pub inner: T,
}

impl<T: TimeSampler> TimeSampler for Stratified<T> {
    fn draw(&self, uniform: &[f64]) -> Vec<DrawnTime> {
        let count = uniform.len() as f64;
        let below_one = 1.0 - f64::EPSILON / 2.0; // the sum may round up to the next part
        let spread = |(k, u): (usize, &f64)| ((k as f64 + u) / count).min(below_one);
        self.inner.draw(&uniform.iter().enumerate().map(spread).collect::<Vec<_>>())
    }

    fn observe(&mut self, times: &[f64], losses: &[f64]) -> Result<(), LossError> {
        self.inner.observe(times, losses)
    }

    fn state(&self) -> SamplerState {
        self.inner.state()
    }

    fn resume(&mut self, state: &SamplerState) -> Result<(), LossError> {
        self.inner.resume(state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DiscreteTime, UniformTime};

    #[test]
    fn each_part_has_its_time() {
        let sampler = Stratified { inner: UniformTime::new(0.0, 4.0).unwrap() };
        let times: Vec<_> = sampler.draw(&[0.5, 0.0, 0.25, 0.75]).iter().map(|d| d.t).collect();
        assert_eq!(times, [0.5, 1.0, 2.25, 3.75]);
    }

    #[test]
    fn the_last_part_ends_within_the_law() {
        let sampler = Stratified { inner: DiscreteTime::new(vec![0.25, 0.5, 0.75]).unwrap() };
        let times: Vec<_> =
            sampler.draw(&[1.0 - f64::EPSILON / 2.0; 3]).iter().map(|d| d.t).collect();
        assert_eq!(times[2], 0.75);
    }
}
