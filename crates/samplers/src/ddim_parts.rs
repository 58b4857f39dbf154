//! Steps with the two estimates apart: sampling with a mapped data estimate, and encoding.
//!
//! `x_s = alpha_s x0_hat + sqrt(sigma_s^2 - c^2) eps_hat + c z`, Song et al. 2021a, eq. 12, where both
//! estimates come straight from the network's output. In `OneStep(Ddim)` the noise follows from the
//! data; here the data estimate may be changed alone, and the state may hold no noise at all.
//! One evaluation a step, first order.

use crate::predictor::{Ddim, DdimParts};
use crate::{OneStep, Predictor, SampleError, Solver, StepCoefficients, Stepper, sample};
use tweedie_schedules::{Interval, NoiseLevel, Prediction, TimeGrid, TimePoint};
use tweedie_score::{
    DataMap, NoiseSource, ScoreError, ScoreFn, Silent, Times, Unchanged, VectorSpace,
};

/// A one-step method whose data estimate goes through a map while the noise stays as the network has
/// it: DDIM and [`AnalyticDpm`](crate::AnalyticDpm) as published.
///
/// With a [`MapData`](tweedie_score::MapData) around the network the noise would follow the mapped
/// data; samplers have been published with either.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KeepingNoise<P, M> {
    /// The method.
    pub predictor: P,
    /// The map of the data estimate.
    pub map: M,
}

/// Deterministic encoding: DDIM without noise, walked from data to noise (DDIM inversion).
///
/// It runs on the [`reversed`](TimeGrid::reversed) grid of the sampling that decodes. Sampling from the
/// result gives the data back up to an error of first order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Encoding<M = Unchanged> {
    /// The time the network is told.
    pub asked: Asked,
    /// The map of the data estimate; the noise stays as the network has it.
    pub map: M,
}

/// The time a network is told in a step of encoding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Asked {
    /// That of the state, the cleaner end of the step. Dhariwal and Nichol's code.
    #[default]
    Here,
    /// That of the noisier end, where decoding asks in the same interval, although the state is not there
    /// yet. The code of diffusers.
    Ahead,
}

/// Carries data `x` to its latent, over the intervals of a sampling `grid` walked backwards.
///
/// # Errors
/// When the network fails, or predicts data and the grid ends clean: the noise in a state without
/// noise cannot be told from the data.
pub fn encode<S: VectorSpace>(
    score: &dyn ScoreFn<S>,
    grid: &TimeGrid,
    x: S,
) -> Result<S, SampleError> {
    sample(&Encoding::<Unchanged>::default(), score, &grid.clone().reversed(), x, &mut Silent)
}

struct Steps<'a, M> {
    intervals: &'a [Interval],
    parts: Vec<DdimParts>,
    asked: Asked,
    map: &'a M,
}

impl<P: Predictor, M> KeepingNoise<P, M> {
    /// The steps over a grid, with `x_t = alpha_t x0_hat + sigma_t eps_hat` put into each.
    fn parts(&self, grid: &TimeGrid) -> Result<Vec<DdimParts>, SampleError> {
        let apart = |(step, interval): (StepCoefficients, &Interval)| {
            let NoiseLevel { alpha, sigma } = interval.from.level;
            DdimParts { data: step.data + step.x * alpha, eps: step.x * sigma, noise: step.noise }
        };
        let steps = OneStep(&self.predictor).coefficients(grid)?;
        Ok(steps.into_iter().zip(grid.intervals()).map(apart).collect())
    }
}

impl<S: VectorSpace, P: Predictor, M: DataMap<S>> Solver<S> for KeepingNoise<P, M> {
    fn plan<'a>(&'a self, grid: &'a TimeGrid) -> Result<Box<dyn Stepper<S> + 'a>, SampleError> {
        let (intervals, parts) = (grid.intervals(), self.parts(grid)?);
        Ok(Box::new(Steps { intervals, parts, asked: Asked::Here, map: &self.map }))
    }

    fn evaluations(&self, grid: &TimeGrid) -> Result<usize, SampleError> {
        Ok(self.parts(grid)?.len())
    }
}

impl<M> Encoding<M> {
    fn parts(&self, grid: &TimeGrid) -> Result<Vec<DdimParts>, SampleError> {
        let descends = |interval: &Interval| interval.h() > 0.0;
        if let Some(step) = grid.intervals().iter().position(descends) {
            let Interval { from, to } = grid.intervals()[step];
            let reason = "it leads to less noise; expected the reversed grid of a sampling";
            return Err(SampleError::ImpossibleStep { step, from: from.t, to: to.t, reason });
        }
        if grid.is_empty() {
            return Err(SampleError::EmptyGrid);
        }
        let parts = |interval: &Interval| Ddim::DETERMINISTIC.parts(*interval);
        Ok(grid.intervals().iter().map(parts).collect())
    }
}

impl<S: VectorSpace, M: DataMap<S>> Solver<S> for Encoding<M> {
    fn plan<'a>(&'a self, grid: &'a TimeGrid) -> Result<Box<dyn Stepper<S> + 'a>, SampleError> {
        let (intervals, parts) = (grid.intervals(), self.parts(grid)?);
        Ok(Box::new(Steps { intervals, parts, asked: self.asked, map: &self.map }))
    }

    fn evaluations(&self, grid: &TimeGrid) -> Result<usize, SampleError> {
        Ok(self.parts(grid)?.len())
    }
}

impl<M> Steps<'_, M> {
    /// The mean of the step: both estimates are read at the level of the state, `here`.
    fn mean<S: VectorSpace>(
        &self,
        parts: DdimParts,
        (here, asked): (TimePoint, TimePoint),
        x: &S,
        score: &dyn ScoreFn<S>,
    ) -> Result<S, ScoreError>
    where
        M: DataMap<S>,
    {
        let output = score.predict(x, Times::Shared(asked))?;
        let (data_x, data_output) = score.conversion(Prediction::Data, here)?;
        let (eps_x, eps_output) = score.conversion(Prediction::Noise, here)?;
        let data = S::combine(&[(data_x, x), (data_output, &output)]);
        let data = self.map.map(data, Times::Shared(here))?;
        let terms =
            [(parts.data, &data), (parts.eps * eps_x, x), (parts.eps * eps_output, &output)];
        Ok(S::combine(&terms))
    }
}

impl<S: VectorSpace, M: DataMap<S>> Stepper<S> for Steps<'_, M> {
    fn step(
        &mut self,
        index: usize,
        x: S,
        score: &dyn ScoreFn<S>,
        noise: &mut dyn NoiseSource<S>,
    ) -> Result<S, SampleError> {
        let (interval, parts) = (self.intervals[index], self.parts[index]);
        let asked = match self.asked {
            Asked::Here => interval.from,
            Asked::Ahead => interval.to,
        };
        let mean = self
            .mean(parts, (interval.from, asked), &x, score)
            .map_err(|source| SampleError::Score { step: index, t: asked.t, source })?;
        if parts.noise == 0.0 {
            return Ok(mean);
        }
        let z =
            noise.normal_like(&x).map_err(|source| SampleError::Noise { step: index, source })?;
        Ok(S::combine(&[(1.0, &mean), (parts.noise, &z)]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OneStep;
    use ndarray::{ArrayD, arr1};
    use std::cell::RefCell;
    use tweedie_schedules::{DiscreteTable, NoiseLevel, Spacing};
    use tweedie_score::{Clip, Replay};

    /// The exact prediction, of either kind, for standard normal data of deviation 1/2; it remembers
    /// the times of its calls.
    struct Normal {
        prediction: Prediction,
        calls: RefCell<Vec<f64>>,
    }

    fn normal(prediction: Prediction) -> Normal {
        Normal { prediction, calls: RefCell::default() }
    }

    impl ScoreFn<ArrayD<f64>> for Normal {
        fn prediction(&self) -> Prediction {
            self.prediction
        }

        fn predict(&self, x: &ArrayD<f64>, at: Times<'_>) -> Result<ArrayD<f64>, ScoreError> {
            self.calls.borrow_mut().push(at.of(0).t);
            let NoiseLevel { alpha, sigma } = at.of(0).level;
            let (of_data, of_eps) = self.prediction.target(at.of(0).level);
            let total = 0.25 * alpha * alpha + sigma * sigma;
            Ok(x * ((0.25 * alpha * of_data + sigma * of_eps) / total))
        }
    }

    fn grid(steps: usize) -> TimeGrid {
        let table = DiscreteTable::linear(1000, 1e-4, 0.02).unwrap();
        TimeGrid::discrete(&table, steps, Spacing::Trailing).unwrap().ending_clean()
    }

    fn state() -> ArrayD<f64> {
        arr1(&[0.4, -1.7, 2.5]).into_dyn()
    }

    #[test]
    fn with_the_data_unchanged_it_is_ddim() {
        let (grid, ddim) = (grid(8), Ddim::new(0.6).unwrap());
        for prediction in [Prediction::Noise, Prediction::Data, Prediction::Velocity] {
            let score = normal(prediction);
            let noise = || Replay::new((0..7).map(|k| vec![0.3 * f64::from(k) - 1.0, 0.2, 0.9]));
            let apart = KeepingNoise { predictor: ddim, map: Unchanged };
            let got = sample(&apart, &score, &grid, state(), &mut noise()).unwrap();
            let want = sample(&OneStep(ddim), &score, &grid, state(), &mut noise()).unwrap();
            let off = (&got - &want).iter().fold(0.0_f64, |most, error| most.max(error.abs()));
            assert!(off < 1e-12, "{prediction:?} is off by {off}");
        }
    }

    #[test]
    fn a_map_changes_the_data_and_leaves_the_noise() {
        let grid = grid(8);
        let (step, score) = (grid.intervals()[0], normal(Prediction::Noise));
        let map = Clip { low: -0.1, high: 0.1 };
        let solver = KeepingNoise { predictor: Ddim::DETERMINISTIC, map };
        let mut stepper = Solver::<ArrayD<f64>>::plan(&solver, &grid).unwrap();
        let got = stepper.step(0, state(), &score, &mut Silent).unwrap();
        let at = Times::Shared(step.from);
        let (eps, data) = (score.predict(&state(), at), score.predict_data(&state(), at));
        let (from_data, to) = (data.unwrap().mapv(|x| x.clamp(-0.1, 0.1)), step.to.level);
        let want = from_data * to.alpha + eps.unwrap() * to.sigma;
        assert!((got - want).iter().all(|error| error.abs() < 1e-14));
    }

    #[test]
    fn encoding_starts_from_data_without_noise_and_asks_at_the_end_it_is_told() {
        let grid = grid(4);
        let times = |asked| {
            let score = normal(Prediction::Noise);
            let encoding = Encoding { asked, map: Unchanged };
            let end = sample(&encoding, &score, &grid.clone().reversed(), state(), &mut Silent);
            assert!(end.unwrap().iter().all(|value| value.is_finite()));
            score.calls.into_inner()
        };
        assert_eq!(times(Asked::Here), [0.0, 0.25, 0.5, 0.75]);
        assert_eq!(times(Asked::Ahead), [0.25, 0.5, 0.75, 1.0]);
        let error = encode(&normal(Prediction::Data), &grid, state()).unwrap_err();
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.contains("does not determine"), "{source}");
    }

    #[test]
    fn a_walk_the_wrong_way_is_refused_when_planned() {
        let (down, up) = (grid(4), grid(4).reversed());
        let encoding = Encoding::<Unchanged>::default();
        let plan = Solver::<ArrayD<f64>>::evaluations(&encoding, &down);
        assert!(matches!(plan, Err(SampleError::ImpossibleStep { step: 0, .. })));
        let noisy = KeepingNoise { predictor: Ddim::new(0.5).unwrap(), map: Unchanged };
        let plan = Solver::<ArrayD<f64>>::evaluations(&noisy, &up);
        assert!(matches!(plan, Err(SampleError::ImpossibleStep { step: 0, .. })));
        assert_eq!(Solver::<ArrayD<f64>>::evaluations(&encoding, &up).unwrap(), 4);
    }
}
