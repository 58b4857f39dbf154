//! The noise levels of a measurement: where its own noise is all that a state needs.
//!
//! A noisy measurement of a coordinate is a state of it at the level whose noise it has, and from there on the
//! sampler removes its noise as any other. A grid that steps over that level takes the measurement for
//! noisier than it is, and no correction mends that: it needs a level there.

use crate::Measurement;
use tweedie_schedules::{Interval, NoiseSchedule, ScheduleError, TimeGrid};
use tweedie_score::{Draw, Elementwise};

/// Levels nearer to one another than this, by the ratio of noise and signal, are one.
const APART: f64 = 1e-6;

impl<S: Elementwise + Draw> Measurement<S> {
    /// `grid` with a level of `schedule` more in each interval that steps over the noise of what is known of a
    /// coordinate; where it steps over several, the largest of them. As it is without noise in the measurement.
    ///
    /// # Errors
    /// When a level is not finite.
    pub fn meeting(
        &self,
        grid: &TimeGrid,
        schedule: &dyn NoiseSchedule,
    ) -> Result<TimeGrid, ScheduleError> {
        let deviations = self.known_deviations();
        let split = |interval: &Interval| {
            let [above, below] =
                [interval.from, interval.to].map(|point| point.level.sigma / point.level.alpha);
            let inside = |tau: &f64| *tau < above * (1.0 - APART) && *tau > below * (1.0 + APART);
            let largest = deviations.iter().copied().filter(inside).fold(0.0, f64::max);
            if largest == 0.0 {
                return vec![*interval];
            }
            let there = schedule.point(schedule.time_at_lambda(-largest.ln()));
            let Interval { from, to } = *interval;
            vec![Interval { from, to: there }, Interval { from: there, to }]
        };
        TimeGrid::from_intervals(grid.intervals().iter().flat_map(split).collect())
    }
}

#[cfg(test)]
mod tests {
    use crate::{Mask, Measurement, Separable};
    use ndarray::{ArrayD, IxDyn, arr2};
    use tweedie_schedules::{TimeGrid, VpLinear};

    fn ratios(grid: &TimeGrid) -> Vec<f64> {
        grid.intervals().iter().map(|step| step.to.level.sigma / step.to.level.alpha).collect()
    }

    #[test]
    fn a_grid_meets_the_noise_of_a_measurement() {
        let schedule = VpLinear::new(0.1, 20.0).unwrap();
        let grid = TimeGrid::uniform_lambda(&schedule, 12).unwrap().ending_clean();
        let known = |deviation| {
            let mask = Mask::new(arr2(&[[1.0, 0.0]]).into_dyn()).unwrap();
            Measurement::new(mask, &arr2(&[[0.4, 0.0]]).into_dyn(), deviation).unwrap()
        };
        for deviation in [0.003, 0.3, 2.0] {
            let met = known(deviation).meeting(&grid, &schedule).unwrap();
            assert_eq!(met.len(), grid.len() + 1);
            let nearest = ratios(&met).into_iter().map(|ratio| (ratio / deviation - 1.0).abs());
            assert!(nearest.fold(f64::INFINITY, f64::min) < 1e-9, "{deviation}");
            // a level that is there is not put in again
            assert_eq!(known(deviation).meeting(&met, &schedule).unwrap().len(), met.len());
        }
        for deviation in [0.0, 1e6] {
            assert_eq!(known(deviation).meeting(&grid, &schedule).unwrap(), grid);
        }
    }

    #[test]
    fn every_coordinate_has_its_own_noise_and_an_interval_is_split_once() {
        let schedule = VpLinear::new(0.1, 20.0).unwrap();
        let grid = TimeGrid::uniform_lambda(&schedule, 12).unwrap().ending_clean();
        let matrix = vec![vec![1.0, 0.0, 0.0], vec![0.0, 0.99, 0.0], vec![0.0, 0.0, 0.01]];
        let map = Separable::new(&[matrix]).unwrap();
        let y = ArrayD::from_shape_vec(IxDyn(&[1, 3]), vec![0.1, 0.2, 0.3]).unwrap();
        let met = Measurement::new(map, &y, 0.1).unwrap().meeting(&grid, &schedule).unwrap();
        let met = ratios(&met);
        let has = |tau: f64| met.iter().any(|ratio| (ratio / tau - 1.0).abs() < 1e-9);
        assert!(has(0.1 / 0.99) && has(10.0));
        assert_eq!(met.len(), grid.len() + 2);
    }
}
