//! The gradients that libtorch gives: they vanish where the minimum of each loss is known to be, and
//! nowhere else.
//!
//! On normal data the best network is linear. Expectations are exact sums, so the gradients vanish to 1e-11
//! of the loss.
#![cfg(feature = "tch")]

#[path = "oracle/correlated.rs"]
mod correlated;
#[path = "oracle/nodes.rs"]
mod nodes;
#[path = "oracle/normal.rs"]
mod normal;

use correlated::{Correlated, all_signs};
use ndarray::ArrayD;
use normal::NormalData;
use tch::{Kind, Tensor};
use tweedie_losses::{
    BoundChain, BoundLoss, Counting, Decoder, Denoising, Distance, MatchingForm, NoisedBatch,
    Reduction, ScoreMatching, Slices, Weighting, jacobian_products,
};
use tweedie_schedules::{
    DiscreteTable, NoiseLevel, NoiseSchedule, Prediction, SubVpLinear, TimePoint, Variance,
    VpLinear,
};
use tweedie_score::{Learned, Seeded};

const DATA: NormalData = NormalData { mean: 0.3, deviation: 0.5 };

fn tensor(array: &ArrayD<f64>) -> Tensor {
    let shape: Vec<i64> = array.shape().iter().map(|size| *size as i64).collect();
    Tensor::from_slice(array.as_standard_layout().as_slice().unwrap()).reshape(shape)
}

/// Expected loss and largest derivative, in units of the target's deviation, of a linear network that errs
/// by `size` of these units.
fn denoising(objective: &Denoising, t: f64, size: f64) -> (f64, f64) {
    let sde = SubVpLinear::new(0.1, 20.0).unwrap();
    let at = sde.point(t);
    let (cases, best) = (DATA.cases(at.level), DATA.best(objective.prediction, at.level));
    let plan = objective.plan(&vec![at; cases.state.len()], &sde).unwrap();
    let numbers = [best.offset, best.slope].map(|number| number + size * best.deviation);
    let network = Tensor::from_slice(&numbers).set_requires_grad(true);
    let state = Tensor::from_slice(&cases.state).unsqueeze(1);
    let output = network.get(0) + network.get(1) * state;
    let losses = plan.losses(&output, &tensor(&cases.x0), &tensor(&cases.eps));
    let loss = (losses * Tensor::from_slice(&cases.weights)).sum(Kind::Double);
    loss.backward();
    let largest = network.grad().abs().max().double_value(&[]);
    (loss.double_value(&[]), best.deviation * largest)
}

#[test]
fn the_gradient_of_every_denoising_loss_vanishes_at_the_conditional_mean() {
    let edm = Prediction::EdmF { sigma_data: 0.5 };
    let distances =
        [Distance::SquaredError, Distance::AbsoluteError, Distance::huber(0.5).unwrap()];
    let weightings = [
        Weighting::Own,
        Weighting::SIGMA,
        Weighting::Likelihood,
        Weighting::edm(0.5).unwrap(),
        Weighting::min_snr(5.0).unwrap(),
    ];
    for prediction in
        [Prediction::Noise, Prediction::Data, Prediction::Velocity, Prediction::Score, edm]
    {
        for weighting in weightings {
            for distance in distances {
                let counting = Counting { distance, reduction: Reduction::HalfSum };
                let objective = Denoising::new(prediction, weighting).counted(counting);
                for t in [0.1, 0.8] {
                    let (loss, gradient) = denoising(&objective, t, 0.0);
                    assert!(gradient < 1e-11 * loss, "{objective:?}: {gradient} of {loss}");
                    let (loss, gradient) = denoising(&objective, t, 1.0);
                    assert!(gradient > 0.1 * loss, "{objective:?}: {gradient} of {loss}");
                }
            }
        }
    }
}

/// Expected loss and largest derivative of a form of score matching, for a network that errs by `size`.
fn matching(objective: ScoreMatching, at: TimePoint, size: f64) -> (f64, f64) {
    let data = Correlated::new();
    let cases = data.cases();
    let plan = objective.plan(&vec![at; cases.count], &VpLinear::new(0.1, 20.0).unwrap()).unwrap();
    let x = tensor(&cases.x0) * at.level.alpha + tensor(&cases.eps) * at.level.sigma;
    let x = x.set_requires_grad(true);
    let (matrix, offset) = data.score(at.level);
    let number = |array: ArrayD<f64>| (tensor(&array) + size).detach().set_requires_grad(true);
    let (matrix, offset) = (number(matrix.into_dyn()), number(offset.into_dyn()));
    let directions = match objective.form {
        MatchingForm::Implicit => plan.directions(&x.detach(), &mut Seeded::new(0)).unwrap(),
        _ => all_signs(cases.count).iter().map(tensor).collect(),
    };
    let output = x.matmul(&matrix.tr()) + &offset;
    let products = jacobian_products(&output, &x, &directions).unwrap();
    let loss = plan.losses(&x, &output, &directions, &products).mean(Kind::Double);
    loss.backward();
    let largest = |tensor: &Tensor| tensor.grad().abs().max().double_value(&[]);
    (loss.double_value(&[]).abs(), largest(&matrix).max(largest(&offset)))
}

#[test]
fn the_gradient_of_implicit_and_sliced_score_matching_vanishes_at_the_score() {
    let slices = Slices { count: 4, ..Slices::default() };
    let noisy = VpLinear::new(0.1, 20.0).unwrap().point(0.3);
    let clean = TimePoint { t: 0.0, level: NoiseLevel::CLEAN };
    for form in [
        MatchingForm::Implicit,
        MatchingForm::Sliced(slices),
        MatchingForm::SlicedVarianceReduced(slices),
    ] {
        for (at, weighting) in [(noisy, Weighting::Likelihood), (clean, Weighting::Own)] {
            let (prediction, reduction) = (Prediction::Score, Reduction::HalfSum);
            let objective = ScoreMatching { form, prediction, weighting, reduction };
            let (loss, gradient) = matching(objective, at, 0.0);
            assert!(gradient < 1e-11 * loss, "{form:?}: {gradient} of {loss}");
            let (_, gradient) = matching(objective, at, 0.5);
            assert!(gradient > 0.1, "{form:?}: {gradient}");
        }
    }
}

/// Expected hybrid loss in a step of a chain, largest derivative by the two numbers of a linear prediction, in
/// units of the target's deviation, and that by the logarithm of the learned variance; all err by `size`.
fn hybrid(step: usize, prediction: Prediction, size: f64) -> [f64; 3] {
    let table = DiscreteTable::cosine(50).unwrap();
    let chain = BoundChain::of_table(&table, &Learned::Range, Decoder::default()).unwrap();
    let interval = chain.steps()[step].interval();
    let level = interval.from.level;
    let (cases, best) = (DATA.cases(level), DATA.best(prediction, level));
    let [small, large] =
        [Variance::FixedSmall, Variance::FixedLarge].map(|kind| kind.log_of(interval));
    // the best variance is that of the posterior and of the error of its mean together
    let of_data = DATA.best(Prediction::Data, level).deviation;
    let of_mean = (chain.steps()[step].of_data() * of_data).powi(2);
    let share = 2.0 * (of_mean / small.exp()).ln_1p() / (large - small) - 1.0;

    let numbers = [best.offset, best.slope].map(|number| number + size * best.deviation);
    let network = Tensor::from_slice(&numbers).set_requires_grad(true);
    let log_variance = Tensor::from_slice(&[size]).set_requires_grad(true);
    let values = &log_variance * (2.0 / (large - small)) + share;
    let output = network.get(0) + network.get(1) * Tensor::from_slice(&cases.state).unsqueeze(1);
    let (x0, eps) = (tensor(&cases.x0), tensor(&cases.eps));
    let steps = vec![step; cases.state.len()];
    let batch = NoisedBatch { x0: &x0, eps: &eps, steps: &steps };
    let plan = Denoising::new(prediction, Weighting::Own);
    let plan = plan.plan(&vec![interval.from; steps.len()], &table).unwrap();
    let spread = values.expand_as(&output);
    let of_bound =
        BoundLoss::hybrid(chain, prediction).losses(&batch, &output, Some(&spread)).unwrap();
    let losses = plan.losses(&output, &x0, &eps) + of_bound;
    let loss = (losses * Tensor::from_slice(&cases.weights)).sum(Kind::Double);
    loss.backward();
    let largest = |tensor: &Tensor| tensor.grad().abs().max().double_value(&[]);
    [loss.double_value(&[]), best.deviation * largest(&network), largest(&log_variance)]
}

#[test]
fn the_gradient_of_the_hybrid_loss_vanishes_at_the_conditional_mean_and_the_best_variance() {
    for prediction in [Prediction::Noise, Prediction::Data, Prediction::Velocity] {
        for step in [1, 25, 48] {
            let [loss, of_prediction, of_variance] = hybrid(step, prediction, 0.0);
            let gradient = of_prediction.max(of_variance);
            assert!(gradient < 1e-11 * loss, "{prediction:?} {step}: {gradient} of {loss}");
            let [loss, of_prediction, of_variance] = hybrid(step, prediction, 0.5);
            let moved = of_prediction > 1e-2 * loss && of_variance > 1e-3 * loss;
            assert!(moved, "{prediction:?} {step}: {of_prediction}, {of_variance} of {loss}");
        }
    }
}
