//! The terms of the bound for a batch, value by value.

use super::{BoundChain, BoundState, BoundStep};
use tweedie_schedules::{Prediction, TimePoint};
use tweedie_score::{ScoreError, Times};

/// Data, the noise it was mixed with, and the step of a chain from whose start each sample is shown.
#[derive(Debug)]
pub struct NoisedBatch<'a, S> {
    /// The data.
    pub x0: &'a S,
    /// The noise.
    pub eps: &'a S,
    /// A step for each sample.
    pub steps: &'a [usize],
}

impl BoundChain {
    /// The time at which a network is asked for the term of each step.
    ///
    /// # Panics
    /// When the chain has no such step.
    #[must_use]
    pub fn points(&self, steps: &[usize]) -> Vec<TimePoint> {
        steps.iter().map(|step| self.steps()[*step].interval().from).collect()
    }

    /// The term of one step for each sample, value by value, in nats: `KL(q(x_s | x_t, x_0) | p(x_s | x_t))`,
    /// or `-ln p(x_0 | x_t)` of the step that ends in the data.
    ///
    /// `data` is the network's estimate of the data, `values` what it says about its variance.
    ///
    /// # Errors
    /// When the variance follows values that the network does not give.
    ///
    /// # Panics
    /// When the shapes differ or there is not one step of the chain for each sample.
    pub fn terms<S: BoundState>(
        &self,
        steps: &[usize],
        x0: &S,
        data: &S,
        values: Option<&S>,
    ) -> Result<S, ScoreError> {
        let steps: Vec<&BoundStep> = steps.iter().map(|step| &self.steps()[*step]).collect();
        let log_variance = log_variance(&steps, x0, values)?;
        let decodes = steps.iter().filter(|step| step.decodes()).count();
        let divergence = || divergence(&steps, x0, data, &log_variance);
        // Ho et al. 2020, eq. 13, L_0
        let decoded = || x0.bin_log_probability(data, &log_variance, self.bins());
        Ok(match decodes {
            0 => divergence(),
            all if all == steps.len() => S::combine(&[(-1.0, &decoded())]),
            _ => {
                let share = |of: bool| -> Vec<f64> {
                    steps.iter().map(|step| f64::from(u8::from(step.decodes() == of))).collect()
                };
                let (kept, told) =
                    (divergence().scale_each(&share(false)), decoded().scale_each(&share(true)));
                S::combine(&[(1.0, &kept), (-1.0, &told)])
            }
        })
    }

    /// The same from what a network returns, in whatever form it predicts.
    ///
    /// # Errors
    /// When the prediction does not tell the data, as that of noise does not at `alpha = 0`; otherwise as
    /// [`terms`](Self::terms).
    ///
    /// # Panics
    /// As [`terms`](Self::terms).
    pub fn terms_of_output<S: BoundState>(
        &self,
        batch: &NoisedBatch<'_, S>,
        prediction: Prediction,
        output: &S,
        values: Option<&S>,
    ) -> Result<S, ScoreError> {
        let NoisedBatch { x0, eps, steps } = *batch;
        let points = self.points(steps);
        let times = Times::PerSample(&points);
        let x = times.combine(|at| (at.level.alpha, at.level.sigma), x0, eps)?;
        let to_data = |at: TimePoint| prediction.convert(Prediction::Data, at.level);
        let data = times.combine(to_data, &x, output)?;
        self.terms(steps, x0, &data, values)
    }
}

/// The logarithm of the model's variance, value by value.
fn log_variance<S: BoundState>(
    steps: &[&BoundStep],
    like: &S,
    values: Option<&S>,
) -> Result<S, ScoreError> {
    let constants: Vec<_> = steps.iter().map(|step| step.variance().constant).collect();
    let factors: Vec<_> = steps.iter().map(|step| step.variance().values).collect();
    let of_logarithm: Vec<_> = steps.iter().map(|step| step.variance().logarithm).collect();
    let mut sum = like.ones().scale_each(&constants);
    let follows = |factors: &[f64]| factors.iter().any(|factor| *factor != 0.0);
    let values = || values.ok_or(ScoreError::NoVariance);
    if follows(&factors) {
        sum = S::combine(&[(1.0, &sum), (1.0, &values()?.scale_each(&factors))]);
    }
    if follows(&of_logarithm) {
        sum = S::combine(&[(1.0, &sum), (1.0, &values()?.ln().scale_each(&of_logarithm))]);
    }
    Ok(sum)
}

/// The divergence of the posterior from the model, whose means differ by a multiple of the data's error.
fn divergence<S: BoundState>(steps: &[&BoundStep], x0: &S, data: &S, log_variance: &S) -> S {
    let of_data: Vec<_> = steps.iter().map(|step| step.of_data()).collect();
    let posterior: Vec<_> = steps.iter().map(|step| step.posterior_log_variance()).collect();
    let shift = S::combine(&[(1.0, x0), (-1.0, data)]).scale_each(&of_data);
    let excess = S::combine(&[(1.0, &x0.ones().scale_each(&posterior)), (-1.0, log_variance)]);
    let precision = S::combine(&[(-1.0, log_variance)]).exp();
    // Ho et al. 2020, eq. 5, the terms between: divergences of two normal distributions
    S::combine(&[
        (0.5, &excess.exp_m1()), // in many short steps the variances are nearly equal
        (-0.5, &excess),
        (0.5, &shift.mul(&shift).mul(&precision)),
    ])
}

#[cfg(test)]
mod tests {
    use super::super::{Decoder, Normal, NormalCdf, discretized_normal_log_likelihood, normal_kl};
    use super::*;
    use ndarray::{ArrayD, arr2};
    use tweedie_schedules::{DiscreteTable, Spacing, TimeGrid, Variance};
    use tweedie_score::{Learned, ReverseNoise};

    fn chain(noise: &dyn ReverseNoise) -> (TimeGrid, BoundChain) {
        let table = DiscreteTable::cosine(100).unwrap();
        let grid = TimeGrid::discrete(&table, 5, Spacing::Trailing).unwrap().ending_clean();
        let chain = BoundChain::new(&grid, noise, Decoder::default()).unwrap();
        (grid, chain)
    }

    fn batch() -> (ArrayD<f64>, ArrayD<f64>, ArrayD<f64>) {
        let x0 = arr2(&[[0.2, -1.0], [0.4, 1.0], [-0.6, 0.0]]).into_dyn();
        let data = arr2(&[[0.3, -0.8], [0.41, 0.98], [-0.5, 0.2]]).into_dyn();
        let values = arr2(&[[-0.4, 0.9], [0.3, -1.1], [0.0, 0.5]]).into_dyn();
        (x0, data, values)
    }

    /// Compares the terms of each sample's step with the scalar functions.
    #[track_caller]
    fn check(noise: &dyn ReverseNoise, values: Option<&ArrayD<f64>>) {
        let (grid, chain) = chain(noise);
        let (x0, data, _) = batch();
        let steps = [1, 4, 3];
        let got = chain.terms(&steps, &x0, &data, values).unwrap();
        for ((row, column), got) in got.indexed_iter().map(|(at, got)| ((at[0], at[1]), got)) {
            let interval = grid.intervals()[steps[row]];
            let (x0, data) = (x0[[row, column]], data[[row, column]]);
            let v = values.map_or(0.0, |values| values[[row, column]]);
            let floor = Variance::FixedSmall.of(grid.intervals()[3]);
            let deviation = if row == 1 {
                noise.decoder_deviation(interval, floor)
            } else {
                noise.deviation(interval).unwrap()
            };
            let log_variance = deviation.log_variance(v);
            let want = if row == 1 {
                let normal = Normal { mean: data, log_variance };
                -discretized_normal_log_likelihood(x0, normal, NormalCdf::Exact)
            } else {
                let of_data = interval.posterior().data;
                let small = Variance::FixedSmall.log_of(interval);
                normal_kl(
                    Normal { mean: of_data * x0, log_variance: small },
                    Normal { mean: of_data * data, log_variance },
                )
            };
            assert!((got - want).abs() < 1e-12 * (1.0 + want), "{row}, {column}: {got}, {want}");
        }
    }

    #[test]
    fn terms_of_a_batch_are_those_of_its_values() {
        let (_, _, values) = batch();
        check(&Variance::FixedSmall, None);
        check(&Variance::FixedLarge, None);
        check(&Learned::Range, Some(&values));
        check(&Learned::LogVariance, Some(&(values.clone() - 3.0)));
        check(&Learned::Variance, Some(&values.mapv(|v| 0.01 * v.exp())));
    }

    #[test]
    fn the_output_of_a_network_is_read_in_its_own_form() {
        let (_, chain) = chain(&Variance::FixedSmall);
        let (x0, data, eps) = batch();
        let steps = [0, 2, 4];
        let expected = chain.terms(&steps, &x0, &data, None).unwrap();
        let noised = NoisedBatch { x0: &x0, eps: &eps, steps: &steps };
        let points = chain.points(&steps);
        let times = Times::PerSample(&points);
        let x = times.combine(|at| (at.level.alpha, at.level.sigma), &x0, &eps).unwrap();
        for prediction in [Prediction::Noise, Prediction::Velocity, Prediction::Data] {
            let from_data = |at: TimePoint| Prediction::Data.convert(prediction, at.level);
            let output = times.combine(from_data, &x, &data).unwrap();
            let got = chain.terms_of_output(&noised, prediction, &output, None).unwrap();
            let largest =
                (got - &expected).iter().fold(0.0_f64, |most, error| most.max(error.abs()));
            assert!(largest < 1e-9, "{prediction:?}: {largest}");
        }
    }

    #[test]
    fn a_network_that_learns_no_variance_is_refused_where_one_is_needed() {
        let (x0, data, _) = batch();
        let (_, chain) = chain(&Learned::Range);
        let error = chain.terms(&[0, 1, 2], &x0, &data, None).unwrap_err();
        assert!(matches!(error, ScoreError::NoVariance));
    }

    #[test]
    fn the_learned_variance_that_minimizes_a_term_lies_between_the_fixed_ones() {
        // with an error of the data of variance u, the best variance of the step is small + of_data^2 u
        let (_, chain) = chain(&Learned::Range);
        let x0 = ArrayD::zeros(vec![1, 2]);
        let error = 0.3;
        let at = |v: f64| {
            let data = arr2(&[[error, -error]]).into_dyn();
            let values = arr2(&[[v, v]]).into_dyn();
            chain.terms(&[2], &x0, &data, Some(&values)).unwrap().sum()
        };
        let step = chain.steps()[2];
        let small = step.posterior_log_variance();
        let best = (small.exp() + (step.of_data() * error).powi(2)).ln();
        let v = (best - step.variance().constant) / step.variance().values;
        let slope = (at(v + 1e-5) - at(v - 1e-5)) / 2e-5;
        assert!(-1.0 < v && v < 1.0 && slope.abs() < 1e-8, "{v}: {slope}");
        assert!(at(v) < at(-1.0) && at(v) < at(1.0));
    }
}
