//! Where the variance that a bound teaches, and its decoder, have their minimum.
//!
//! The best variance of a step is that of the posterior and of the error of its mean together; the best
//! decoder is the one that would draw the data. Expectations are exact sums, derivatives five-point
//! differences, whose error is of the fourth order.

#[path = "oracle/nodes.rs"]
mod nodes;
#[path = "oracle/normal.rs"]
mod normal;

use ndarray::ArrayD;
use nodes::column;
use normal::NormalData;
use tweedie_losses::{Bins, BoundChain, BoundLoss, Decoder, NoisedBatch, Normal};
use tweedie_schedules::{DiscreteTable, Prediction, Spacing, TimeGrid, Variance};
use tweedie_score::{Learned, ReverseNoise};

const DATA: NormalData = NormalData { mean: 0.3, deviation: 0.5 };

fn chain(steps: usize, noise: &dyn ReverseNoise, decoder: Decoder) -> BoundChain {
    let table = DiscreteTable::cosine(1000).unwrap();
    let grid = TimeGrid::discrete(&table, steps, Spacing::Linspace).unwrap().ending_clean();
    BoundChain::new(&grid, noise, decoder).unwrap()
}

/// Holds the derivative of `loss` to nothing at `best`, beside what it is half a `unit` away.
fn check(loss: impl Fn(f64) -> f64, best: f64, unit: f64, what: &str) {
    let h = 0.004 * unit;
    let slope = |x: f64| {
        let odd = |h: f64| loss(x + h) - loss(x - h);
        (8.0 * odd(h) - odd(2.0 * h)) / (12.0 * h)
    };
    let (here, above, below) = (slope(best), slope(best + 0.5 * unit), slope(best - 0.5 * unit));
    assert!(above > 0.0 && below < 0.0, "{what}: {below} and {above} are those of no minimum");
    assert!(here.abs() < 1e-8 * above.min(-below), "{what}: {here} beside {below} and {above}");
}

#[test]
fn the_hybrid_loss_has_its_minimum_at_the_best_variance() {
    for count in [10, 50] {
        let chain = chain(count, &Learned::Range, Decoder::default());
        let bound = BoundLoss::hybrid(chain.clone(), Prediction::Data);
        for step in [1, count / 2, count - 2] {
            let interval = chain.steps()[step].interval();
            let level = interval.from.level;
            let (cases, best) = (DATA.cases(level), DATA.best(Prediction::Data, level));
            let output = cases.state.iter().map(|state| best.offset + best.slope * state);
            let output = column(output.collect());
            let steps = vec![step; cases.state.len()];
            let batch = NoisedBatch { x0: &cases.x0, eps: &cases.eps, steps: &steps };
            let loss = |v: f64| -> f64 {
                let values = output.mapv(|_| v);
                let losses = bound.losses(&batch, &output, Some(&values)).unwrap();
                losses.iter().zip(&cases.weights).map(|(loss, weight)| loss * weight).sum()
            };
            let [small, large] =
                [Variance::FixedSmall, Variance::FixedLarge].map(|kind| kind.log_of(interval));
            let of_mean = (chain.steps()[step].of_data() * best.deviation).powi(2);
            let v = 2.0 * (of_mean / small.exp()).ln_1p() / (large - small) - 1.0;
            check(loss, v, 1.0, &format!("step {step} of {count}"));
        }
    }
}

/// The expected loss of a decoder, by its mean and the logarithm of its variance, of data that are drawn by
/// another.
fn decoded(levels: usize, truth: Normal) -> impl Fn(f64, f64) -> f64 {
    let bins = Bins::new(levels, -1.0, 1.0).unwrap();
    let decoder = Decoder { bins, variance: Some(0.01) };
    let bound = BoundLoss::whole(chain(5, &Learned::LogVariance, decoder), Prediction::Data);
    let level = |k: usize| -1.0 + 2.0 * k as f64 / (levels - 1) as f64;
    let x0 = column((0..levels).map(level).collect());
    let shares: Vec<f64> = x0.iter().map(|x| bins.log_probability(*x, truth).exp()).collect();
    let (eps, steps) = (ArrayD::zeros(vec![levels, 1]), vec![4; levels]);
    move |mean, log_variance| {
        let batch = NoisedBatch { x0: &x0, eps: &eps, steps: &steps };
        let [output, values] = [mean, log_variance].map(|value| x0.mapv(|_| value));
        let losses = bound.losses(&batch, &output, Some(&values)).unwrap();
        losses.iter().zip(&shares).map(|(loss, share)| loss * share).sum()
    }
}

#[test]
fn the_best_decoder_is_the_one_that_would_draw_the_levels() {
    for levels in [256, 17] {
        // within the range, about its edge, and with much of the law beyond it
        for (mean, deviation) in [(0.35, 0.1_f64), (-0.97, 0.12), (0.2, 0.9)] {
            let truth = Normal { mean, log_variance: 2.0 * deviation.ln() };
            let loss = decoded(levels, truth);
            let what = format!("{levels} levels, {truth:?}");
            check(|mean| loss(mean, truth.log_variance), mean, deviation, &what);
            check(|log_variance| loss(mean, log_variance), truth.log_variance, 1.0, &what);
        }
    }
}
