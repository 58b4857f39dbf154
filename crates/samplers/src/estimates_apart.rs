//! Steps that take the estimates of data and noise apart.
//!
//! `x_s = data * x0_hat + eps * eps_hat + noise * z`, Song et al. 2021a, eq. 12, where both estimates
//! come straight from the network's output. In [`OneStep`](crate::OneStep) the noise follows from the
//! data; here the data estimate may be changed alone, and the state may hold no noise at all.

use crate::predictor::DdimParts;
use crate::{Asked, SampleError, Stepper};
use tweedie_schedules::{Interval, Prediction, TimePoint};
use tweedie_score::{DataMap, NoiseSource, ScoreError, ScoreFn, Times, VectorSpace};

/// One run of such steps.
pub(crate) struct EstimatesApart<'a, M> {
    pub(crate) intervals: &'a [Interval],
    pub(crate) parts: Vec<DdimParts>,
    pub(crate) asked: Asked,
    pub(crate) map: &'a M,
}

/// What the network's output says about the state.
struct Estimates<S> {
    /// The mapped estimate of the data.
    data: S,
    output: S,
    /// Coefficients of the state and the output in the estimate of the noise.
    eps: (f64, f64),
}

impl<M> EstimatesApart<'_, M> {
    /// Both estimates, read at the level of the state, `here`.
    fn estimates<S: VectorSpace>(
        &self,
        x: &S,
        (here, asked): (TimePoint, TimePoint),
        score: &dyn ScoreFn<S>,
    ) -> Result<Estimates<S>, ScoreError>
    where
        M: DataMap<S>,
    {
        let (of_x, of_output) = score.conversion(Prediction::Data, here)?;
        let eps = score.conversion(Prediction::Noise, here)?;
        let output = score.predict(x, Times::Shared(asked))?;
        let data = S::combine(&[(of_x, x), (of_output, &output)]);
        Ok(Estimates { data: self.map.map(data, Times::Shared(here))?, output, eps })
    }
}

impl<S: VectorSpace, M: DataMap<S>> Stepper<S> for EstimatesApart<'_, M> {
    fn step(
        &mut self,
        index: usize,
        x: S,
        score: &dyn ScoreFn<S>,
        noise: &mut dyn NoiseSource<S>,
    ) -> Result<S, SampleError> {
        let (Interval { from, to }, parts) = (self.intervals[index], self.parts[index]);
        let asked = match self.asked {
            Asked::Here => from,
            Asked::Ahead => to,
        };
        let failed = |source| SampleError::Score { step: index, t: asked.t, source };
        let Estimates { data, output, eps: (eps_x, eps_output) } =
            self.estimates(&x, (from, asked), score).map_err(failed)?;
        let mean =
            [(parts.data, &data), (parts.eps * eps_x, &x), (parts.eps * eps_output, &output)];
        if parts.noise == 0.0 {
            return Ok(S::combine(&mean));
        }
        let z =
            noise.normal_like(&x).map_err(|source| SampleError::Noise { step: index, source })?;
        let [data, state, output] = mean;
        Ok(S::combine(&[data, state, output, (parts.noise, &z)]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Ddim, Encoding, KeepingNoise, OneStep, Solver, encode, sample};
    use ndarray::{ArrayD, arr1};
    use std::cell::RefCell;
    use tweedie_schedules::{DiscreteTable, NoiseLevel, Spacing, TimeGrid};
    use tweedie_score::{Clip, Replay, Silent, Unchanged};

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
