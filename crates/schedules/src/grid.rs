//! The list of intervals a solver walks, from noise to data.

mod spaced;

use crate::{Interval, NoiseLevel, NoiseSchedule, ScheduleError, TimePoint};

/// The intervals of one run, noisiest first (cleanest first when the run is an encoding).
///
/// The ends of neighbouring intervals need not meet: some published samplers step to one time and
/// call the network at another. The constructors here make them meet.
#[derive(Clone, Debug, PartialEq)]
pub struct TimeGrid {
    intervals: Vec<Interval>,
    last: TimePoint,
}

impl TimeGrid {
    /// A grid through `points`, noisiest first; one interval between each two neighbours.
    ///
    /// # Errors
    /// When there is no point, a level is not finite, or the noise does not fall strictly.
    pub fn through(points: &[TimePoint]) -> Result<Self, ScheduleError> {
        let Some(last) = points.last() else {
            return Err(ScheduleError::TooFewPoints { points: 0 });
        };
        points.iter().enumerate().try_for_each(|(step, point)| check_level(step, point.level))?;
        let join = |pair: &[TimePoint]| Interval { from: pair[0], to: pair[1] };
        let intervals: Vec<Interval> = points.windows(2).map(join).collect();
        for (step, interval) in intervals.iter().enumerate() {
            let (from, to) = (interval.from.level.lambda(), interval.to.level.lambda());
            if from.partial_cmp(&to) != Some(std::cmp::Ordering::Less) {
                return Err(ScheduleError::NotDescending { step, from, to });
            }
        }
        Ok(Self { intervals, last: *last })
    }

    /// A grid of intervals as given, whose ends need not meet.
    ///
    /// They may all run from noise to data (sampling) or all from data to noise (encoding); an interval
    /// of no length is allowed, since some published grids end in one, though not at the data itself.
    ///
    /// # Errors
    /// When there is no interval, a level is not finite, an interval runs against the others, or one
    /// has no noise at either end.
    pub fn from_intervals(intervals: Vec<Interval>) -> Result<Self, ScheduleError> {
        let Some(last) = intervals.last().map(|interval| interval.to) else {
            return Err(ScheduleError::TooFewPoints { points: 0 });
        };
        let mut rising = None; // whether lambda rises; unknown until an interval has a length
        for (step, Interval { from, to }) in intervals.iter().enumerate() {
            check_level(step, from.level)?;
            check_level(step, to.level)?;
            if from.level.sigma == 0.0 && to.level.sigma == 0.0 {
                return Err(ScheduleError::NoNoise { step, from: from.t, to: to.t });
            }
            let (from, to) = (from.level.lambda(), to.level.lambda());
            if from != to && *rising.get_or_insert(from < to) != (from < to) {
                return Err(ScheduleError::MixedDirections { step, from, to });
            }
        }
        Ok(Self { intervals, last })
    }

    /// A grid through the levels of `schedule` at `times`, latest first.
    ///
    /// # Errors
    /// When there is no time, a level is not finite, or the noise does not fall strictly.
    pub fn at_times(schedule: &dyn NoiseSchedule, times: &[f64]) -> Result<Self, ScheduleError> {
        let points: Vec<_> = times.iter().map(|t| schedule.point(*t)).collect();
        Self::through(&points)
    }

    /// The same intervals walked backwards, from data to noise: the grid of an encoding.
    #[must_use]
    pub fn reversed(mut self) -> Self {
        let start = self.start();
        self.intervals.reverse();
        for interval in &mut self.intervals {
            std::mem::swap(&mut interval.from, &mut interval.to);
        }
        self.last = start;
        self
    }

    /// The same grid with one more interval, from its last and cleanest point to the data itself at
    /// `t = 0`.
    #[must_use]
    pub fn ending_clean(mut self) -> Self {
        if self.last.level != NoiseLevel::CLEAN {
            let clean = TimePoint { t: 0.0, level: NoiseLevel::CLEAN };
            self.intervals.push(Interval { from: self.last, to: clean });
            self.last = clean;
        }
        self
    }

    /// The intervals, in the order they are walked.
    #[must_use]
    pub fn intervals(&self) -> &[Interval] {
        &self.intervals
    }

    /// Number of intervals.
    #[must_use]
    pub fn len(&self) -> usize {
        self.intervals.len()
    }

    /// Whether the grid is a single point, with no step to take.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.intervals.is_empty()
    }

    /// The point where the run starts.
    #[must_use]
    pub fn start(&self) -> TimePoint {
        self.intervals.first().map_or(self.last, |interval| interval.from)
    }
}

fn check_level(step: usize, level: NoiseLevel) -> Result<(), ScheduleError> {
    let NoiseLevel { alpha, sigma } = level;
    if level.is_valid() { Ok(()) } else { Err(ScheduleError::InvalidLevel { step, alpha, sigma }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DiscreteTable;

    fn table() -> DiscreteTable {
        DiscreteTable::linear(1000, 1e-4, 0.02).unwrap()
    }

    #[track_caller]
    fn check_meets(grid: &TimeGrid, steps: usize) {
        assert_eq!(grid.len(), steps);
        assert!(grid.intervals().windows(2).all(|pair| pair[0].to == pair[1].from));
    }

    #[test]
    fn a_grid_that_climbs_is_refused() {
        let (a, b) = (table().node(10).unwrap(), table().node(20).unwrap());
        let error = TimeGrid::through(&[a, b]).unwrap_err();
        assert!(matches!(error, ScheduleError::NotDescending { step: 0, .. }));
    }

    #[test]
    fn intervals_need_not_meet_but_run_one_way() {
        let between = |from, to| Interval {
            from: table().node(from).unwrap(),
            to: table().node(to).unwrap(),
        };
        let grid = TimeGrid::from_intervals(vec![between(900, 800), between(790, 700)]).unwrap();
        assert_eq!((grid.len(), grid.start()), (2, table().node(900).unwrap()));
        let last = TimeGrid::from_intervals(vec![between(900, 0), between(0, 0)]).unwrap();
        assert_eq!(last.len(), 2);
        assert!(TimeGrid::from_intervals(vec![between(10, 20), between(20, 30)]).is_ok());
        let error = TimeGrid::from_intervals(vec![between(900, 800), between(10, 20)]).unwrap_err();
        assert!(matches!(error, ScheduleError::MixedDirections { step: 1, .. }));
        assert!(TimeGrid::from_intervals(vec![]).is_err());
    }

    #[test]
    fn an_interval_without_any_noise_is_refused() {
        let (noisy, clean) =
            (table().node(9).unwrap(), TimePoint { t: 0.0, level: NoiseLevel::CLEAN });
        let intervals =
            vec![Interval { from: noisy, to: clean }, Interval { from: clean, to: clean }];
        assert!(TimeGrid::from_intervals(intervals[..1].to_vec()).is_ok());
        let error = TimeGrid::from_intervals(intervals).unwrap_err();
        assert_eq!(error, ScheduleError::NoNoise { step: 1, from: 0.0, to: 0.0 });
    }

    #[test]
    fn a_reversed_grid_walks_the_same_points() {
        let times = [1.0, 0.4, 0.1];
        let grid = TimeGrid::at_times(&table(), &times).unwrap().reversed();
        check_meets(&grid, 2);
        assert_eq!((grid.start().t, grid.intervals()[1].to.t), (0.1, 1.0));
        assert_eq!(grid.reversed(), TimeGrid::at_times(&table(), &times).unwrap());
    }
}
