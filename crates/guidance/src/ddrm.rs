//! Restoration in decoupled coordinates, noisy measurements included: DDRM.
//!
//! Each step makes the coordinates of the next state from the estimate of the data and from what is
//! measured, by how the level's noise compares to the measurement's. Kawar et al. 2022, eq. 7 and 8, in units
//! of the data, `x / alpha` and `sigma / alpha`. One evaluation a step.

use crate::{GuidanceError, Measurement};
use tweedie_samplers::{SampleError, Solver, Stepper};
use tweedie_schedules::{Interval, NoiseLevel, TimeGrid};
use tweedie_score::{Draw, Elementwise, NoiseSource, ScoreFn, Times};

/// DDRM for a measurement, on any schedule and grid.
///
/// Of coordinates that nothing is known of, it is DDIM with a share `eta` of fresh noise. Like
/// [`Reimposed`](crate::Reimposed) it is an approximation.
#[derive(Debug)]
pub struct Ddrm<'m, S> {
    measurement: &'m Measurement<S>,
    eta: f64,
    eta_known: f64,
}

impl<S> Ddrm<'_, S> {
    /// The share of fresh noise as published.
    pub const PUBLISHED_ETA: f64 = 0.85;
}

impl<'m, S> Ddrm<'m, S> {
    /// With `eta` 0.85 and all of the measurement taken, as published.
    #[must_use]
    pub const fn new(measurement: &'m Measurement<S>) -> Self {
        Self { measurement, eta: Self::PUBLISHED_ETA, eta_known: 1.0 }
    }

    /// The same with a share `eta` of a step's noise fresh, and a share `eta_known` of the measurement taken
    /// where the level has more noise than it; the rest of the two comes from the state and the estimate.
    ///
    /// # Errors
    /// When one is not in `[0, 1]`.
    pub fn with_eta(self, eta: f64, eta_known: f64) -> Result<Self, GuidanceError> {
        for (name, value) in [("eta", eta), ("eta of the measurement", eta_known)] {
            if !(0.0..=1.0).contains(&value) {
                let allowed = "a value in [0, 1]";
                return Err(GuidanceError::ParameterOutOfRange { name, value, allowed });
            }
        }
        Ok(Self { eta, eta_known, ..self })
    }

    /// What is carried over from one level to the next, besides fresh noise.
    fn kept(&self) -> f64 {
        ((1.0 - self.eta) * (1.0 + self.eta)).sqrt()
    }
}

struct Steps<'a, S> {
    method: &'a Ddrm<'a, S>,
    intervals: &'a [Interval],
}

impl<S: Elementwise + Draw> Solver<S> for Ddrm<'_, S> {
    fn plan<'a>(&'a self, grid: &'a TimeGrid) -> Result<Box<dyn Stepper<S> + 'a>, SampleError> {
        let intervals = grid.intervals();
        for (step, Interval { from, to }) in intervals.iter().enumerate() {
            if from.level.sigma == 0.0 || to.level.alpha == 0.0 {
                let reason = "it starts without noise, or ends without signal";
                let (from, to) = (from.t, to.t);
                return Err(SampleError::ImpossibleStep { step, from, to, reason });
            }
        }
        Ok(Box::new(Steps { method: self, intervals }))
    }

    fn evaluations(&self, grid: &TimeGrid) -> Result<usize, SampleError> {
        Ok(grid.len())
    }
}

impl<S: Elementwise + Draw> Steps<'_, S> {
    /// The mean of the next coordinates, from those of the state and of the data estimate.
    fn mean(&self, Interval { from, to }: Interval, x: &S, data: &S) -> S {
        let Ddrm { measurement, eta_known, .. } = self.method;
        let NoiseLevel { alpha, sigma } = to.level;
        let kept = self.method.kept();
        // Kawar et al. 2022, eq. 8, first case, times alpha
        let carried = kept * sigma / from.level.sigma;
        let of_data = alpha - carried * from.level.alpha;
        let free = S::combine(&[(carried, x), (of_data, data)]);
        // second and third case
        let share = |tau: f64| {
            if sigma < alpha * tau { kept * sigma / (alpha * tau) } else { *eta_known }
        };
        let share = measurement.by_coordinate(&share);
        let seen = measurement.seen();
        S::combine(&[
            (1.0, &free),
            (-1.0, &free.mul(seen)),
            (alpha, &data.mul(seen)),
            (-alpha, &data.mul(&share)),
            (alpha, &measurement.values().mul(&share)),
        ])
    }

    /// The noise of the next coordinates, where they have any.
    fn noise(&self, to: NoiseLevel, z: &S) -> S {
        let Ddrm { measurement, eta, eta_known } = self.method;
        let NoiseLevel { alpha, sigma } = to;
        let size = |tau: f64| {
            if sigma < alpha * tau {
                return eta * sigma;
            }
            let taken = alpha * eta_known * tau;
            ((sigma - taken) * (sigma + taken)).sqrt() // Kawar et al. 2022, eq. 8, third case
        };
        let seen = z.mul(measurement.seen());
        let known = z.mul(&measurement.by_coordinate(&size));
        S::combine(&[(eta * sigma, z), (-eta * sigma, &seen), (1.0, &known)])
    }
}

impl<S: Elementwise + Draw> Stepper<S> for Steps<'_, S> {
    fn step(
        &mut self,
        index: usize,
        x: S,
        score: &dyn ScoreFn<S>,
        noise: &mut dyn NoiseSource<S>,
    ) -> Result<S, SampleError> {
        let interval = self.intervals[index];
        let operator = self.method.measurement.operator();
        let t = interval.from.t;
        let data = score.predict_data(&x, Times::Shared(interval.from));
        let data = data.map_err(|source| SampleError::Score { step: index, t, source })?;
        let mean = self.mean(interval, &operator.decouple(&x), &operator.decouple(&data));
        if interval.to.level.sigma == 0.0 {
            return Ok(operator.couple(&mean));
        }
        let z =
            noise.normal_like(&x).map_err(|source| SampleError::Noise { step: index, source })?;
        let added = self.noise(interval.to.level, &z);
        Ok(operator.couple(&S::combine(&[(1.0, &mean), (1.0, &added)])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Mask;
    use ndarray::{ArrayD, arr2};
    use tweedie_samplers::sample;
    use tweedie_schedules::{Prediction, TimePoint};
    use tweedie_score::{Replay, ScoreError};

    type State = ArrayD<f64>;

    /// Thinks that all data is 0.4.
    struct Known;

    impl ScoreFn<State> for Known {
        fn prediction(&self) -> Prediction {
            Prediction::Data
        }

        fn predict(&self, x: &State, _: Times<'_>) -> Result<State, ScoreError> {
            Ok(x * 0.0 + 0.4)
        }
    }

    /// The published step of one coordinate, in units of the data: `y` with its deviation, if it is known.
    fn published(x: f64, y: Option<(f64, f64)>, (from, to): (f64, f64), z: f64) -> f64 {
        let (eta, eta_known, data) = (0.7, 0.9, 0.4);
        let kept = f64::sqrt(1.0 - eta * eta);
        match y {
            None => data + kept * to * (x - data) / from + eta * to * z,
            Some((y, tau)) if to < tau => data + kept * to * (y - data) / tau + eta * to * z,
            Some((y, tau)) => {
                let variance = to * to - tau * tau * eta_known * eta_known;
                (1.0 - eta_known) * data + eta_known * y + variance.sqrt() * z
            }
        }
    }

    #[test]
    fn each_coordinate_takes_the_published_step() {
        let mask = Mask::new(arr2(&[[1.0, 0.0]]).into_dyn()).unwrap();
        let tau = 0.5;
        let known = Measurement::new(mask, &arr2(&[[1.2, 0.0]]).into_dyn(), tau).unwrap();
        let solver = Ddrm::new(&known).with_eta(0.7, 0.9).unwrap();
        let point = |t, alpha, sigma| TimePoint { t, level: NoiseLevel { alpha, sigma } };
        let (x, z) = ([0.7, -0.3], [0.2, -1.1]);
        // above the noise of the measurement, and below it
        for (alpha, sigma) in [(0.8, 0.6), (0.95, 0.3)] {
            let (from, to) = (point(1.0, 0.6, 0.8), point(0.5, alpha, sigma));
            let grid = TimeGrid::through(&[from, to]).unwrap();
            let state = arr2(&[x]).into_dyn();
            let end =
                sample(&solver, &Known, &grid, state, &mut Replay::new([z.to_vec()])).unwrap();
            let ratios = (0.8 / 0.6, sigma / alpha);
            for (k, y) in [Some((1.2, tau)), None].into_iter().enumerate() {
                let expected = alpha * published(x[k] / 0.6, y, ratios, z[k]);
                assert!((end[[0, k]] - expected).abs() < 1e-14, "{k} at {sigma}");
            }
        }
    }
}
