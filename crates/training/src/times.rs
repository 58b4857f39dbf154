//! At which times a batch is trained.

use tweedie_schedules::{NoiseSchedule, TimePoint};
use tweedie_score::NoiseSource;

use crate::config::TimeSampling;
use crate::{RunSchedule, TrainError};

/// The times that a run trains: the steps of a table, or a range.
#[derive(Clone, Debug)]
pub(crate) struct TrainedTimes {
    schedule: RunSchedule,
    /// The steps of a table; none in continuous time.
    nodes: Vec<TimePoint>,
}

impl TrainedTimes {
    pub(crate) fn new(schedule: &RunSchedule) -> Self {
        let nodes = schedule.table().map_or_else(Vec::new, |table| table.nodes());
        Self { schedule: schedule.clone(), nodes }
    }

    /// One time an image.
    pub(crate) fn draw(
        &self,
        sampling: TimeSampling,
        count: usize,
        source: &mut dyn NoiseSource<tch::Tensor>,
    ) -> Result<Vec<TimePoint>, TrainError> {
        match sampling {
            TimeSampling::Uniform if !self.nodes.is_empty() => {
                let indices = source.indices(count, self.nodes.len())?;
                Ok(indices.into_iter().map(|index| self.nodes[index]).collect())
            }
            TimeSampling::Uniform => Ok(self.at_shares(source.uniform(count)?)),
            TimeSampling::Stratified => {
                let part = |(k, u): (usize, f64)| (k as f64 + u) / count as f64;
                let uniform = source.uniform(count)?;
                Ok(self.at_shares(uniform.into_iter().enumerate().map(part)))
            }
        }
    }

    /// Times by how far they are from the clean end, from 0 to 1.
    fn at_shares(&self, shares: impl IntoIterator<Item = f64>) -> Vec<TimePoint> {
        let (clean, noisy) = self.schedule.time_range();
        let count = self.nodes.len();
        let at = |share: f64| match count {
            0 => self.schedule.point(clean + share * (noisy - clean)),
            _ => self.nodes[((share * count as f64) as usize).min(count - 1)],
        };
        shares.into_iter().map(at).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RunConfig;
    use tweedie_score::Seeded;

    fn drawn(kind: &str, sampling: TimeSampling, count: usize) -> Vec<TimePoint> {
        let config = RunConfig::parse("", &[format!("schedule.kind={kind}")]).unwrap();
        let times = TrainedTimes::new(&config.noise_schedule().unwrap());
        times.draw(sampling, count, &mut Seeded::new(3)).unwrap()
    }

    #[test]
    fn stratified_times_fill_each_part_once() {
        let steps = drawn("cosine", TimeSampling::Stratified, 100);
        let parts: Vec<_> = steps.iter().map(|at| (at.t * 1000.0).round() as usize - 1).collect();
        assert!(parts.iter().enumerate().all(|(k, step)| step / 10 == k), "{parts:?}");
        let times = drawn("sub_vp", TimeSampling::Stratified, 100);
        let within = |(k, at): (usize, &TimePoint)| {
            let share = (at.t - 1e-5) / (1.0 - 1e-5) * 100.0;
            share >= k as f64 && share < k as f64 + 1.0
        };
        assert!(times.iter().enumerate().all(within));
    }

    #[test]
    fn continuous_times_cover_their_range_and_no_more() {
        let times = drawn("ve", TimeSampling::Uniform, 10_000);
        let least = times.iter().map(|at| at.t).fold(1.0, f64::min);
        let mean = times.iter().map(|at| at.t).sum::<f64>() / 1e4;
        assert!((1e-5..1e-3).contains(&least), "{least}");
        // the deviation of a mean of 10^4 uniform numbers is 0.0029; five of them
        assert!((mean - 0.5).abs() < 5.0 * 0.0029, "{mean}");
        assert!(times.iter().all(|at| at.t <= 1.0 && at.level.alpha == 1.0));
    }
}
