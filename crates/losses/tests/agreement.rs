//! Denoising, implicit and sliced score matching are one loss, up to a number that no network changes.
//!
//! Half the squared error of the score expands to `1/2 ||s||^2 - s . q + 1/2 ||q||^2` with the score `q` of the
//! noise, whose mean product with `s` is minus the mean trace of `ds/dx`. So implicit score matching lacks
//! the last term alone, `D / (2 sigma^2)` on average (Vincent 2011, app.).

#[path = "oracle/correlated.rs"]
mod correlated;
#[path = "oracle/nodes.rs"]
mod nodes;

use correlated::{Correlated, all_signs};
use ndarray::{Array1, Array2, ArrayD, Axis, Ix2, array};
use nodes::{column, nodes};
use tweedie_closed_form::{ExactScore, Mixture, Part};
use tweedie_losses::{Denoising, MatchingForm, Reduction, ScoreMatching, Slices, Weighting};
use tweedie_schedules::{NoiseLevel, NoiseSchedule, Prediction, TimePoint, VeGeometric, VpLinear};
use tweedie_score::{DifferentiableScoreFn, ProbeKind, ScoreError, ScoreFn, Seeded, Times};
use tweedie_sde::Sde;

const SLICES: Slices = Slices { kind: ProbeKind::Rademacher, count: 4 };
const FORMS: [MatchingForm; 3] = [
    MatchingForm::Implicit,
    MatchingForm::Sliced(SLICES),
    MatchingForm::SlicedVarianceReduced(SLICES),
];

/// The linear network `A x + b` on states of two values.
#[derive(Clone)]
struct Affine {
    matrix: Array2<f64>,
    offset: Array1<f64>,
    prediction: Prediction,
}

impl ScoreFn<ArrayD<f64>> for Affine {
    fn prediction(&self) -> Prediction {
        self.prediction
    }

    fn predict(&self, x: &ArrayD<f64>, _: Times<'_>) -> Result<ArrayD<f64>, ScoreError> {
        let x = x.view().into_dimensionality::<Ix2>().unwrap();
        Ok((x.dot(&self.matrix.t()) + &self.offset).into_dyn())
    }
}

impl DifferentiableScoreFn<ArrayD<f64>> for Affine {
    fn predict_vjps(
        &self,
        x: &ArrayD<f64>,
        at: TimePoint,
        cotangents: &[ArrayD<f64>],
    ) -> Result<(ArrayD<f64>, Vec<ArrayD<f64>>), ScoreError> {
        let product = |v: &ArrayD<f64>| {
            v.view().into_dimensionality::<Ix2>().unwrap().dot(&self.matrix).into_dyn()
        };
        Ok((self.predict(x, Times::Shared(at))?, cotangents.iter().map(product).collect()))
    }
}

fn mean(losses: &[f64]) -> f64 {
    losses.iter().sum::<f64>() / losses.len() as f64
}

/// The expected loss of a form of score matching.
fn matching(objective: ScoreMatching, network: &Affine, at: TimePoint, sde: &dyn Sde) -> f64 {
    let cases = Correlated::new().cases();
    let plan = objective.plan(&vec![at; cases.count], sde).unwrap();
    let x = &cases.x0 * at.level.alpha + &cases.eps * at.level.sigma;
    let directions = match objective.form {
        MatchingForm::Implicit => plan.directions(&x, &mut Seeded::new(0)).unwrap(),
        _ => all_signs(cases.count),
    };
    let (output, products) = network.predict_vjps(&x, at, &directions).unwrap();
    mean(&plan.losses(&x, &output, &directions, &products))
}

fn of_form(form: MatchingForm, prediction: Prediction, weighting: Weighting) -> ScoreMatching {
    ScoreMatching { form, prediction, weighting, reduction: Reduction::HalfSum }
}

/// The expected denoising loss.
fn denoising(weighting: Weighting, network: &Affine, at: TimePoint, sde: &dyn Sde) -> f64 {
    let cases = Correlated::new().cases();
    let counting = tweedie_losses::Counting { reduction: Reduction::HalfSum, ..Default::default() };
    let objective = Denoising::new(network.prediction, weighting).counted(counting);
    let plan = objective.plan(&vec![at; cases.count], sde).unwrap();
    let x = plan.noised(&cases.x0, &cases.eps);
    let output = network.predict(&x, Times::Shared(at)).unwrap();
    mean(&plan.losses(&output, &cases.x0, &cases.eps))
}

/// The score of the noisy data.
fn best(level: NoiseLevel) -> Affine {
    let (matrix, offset) = Correlated::new().score(level);
    Affine { matrix, offset, prediction: Prediction::Score }
}

/// A network that is not the best one.
fn any_network(prediction: Prediction) -> Affine {
    let (matrix, offset) = (array![[-0.8, 0.3], [0.1, -1.1]], array![0.2, -0.5]);
    Affine { matrix, offset, prediction }
}

/// All six derivatives of a loss by the numbers of a network: differences of a parabola.
fn gradient(network: &Affine, loss: impl Fn(&Affine) -> f64) -> Vec<f64> {
    let moved = |place: usize, by: f64| {
        let mut moved = network.clone();
        match place {
            0..4 => moved.matrix[[place / 2, place % 2]] += by,
            _ => moved.offset[place - 4] += by,
        }
        moved
    };
    (0..6).map(|place| loss(&moved(place, 0.5)) - loss(&moved(place, -0.5))).collect()
}

#[test]
fn the_three_differ_by_the_mean_square_of_the_noises_score() {
    let sde = VpLinear::new(0.1, 20.0).unwrap();
    for t in [0.05, 0.4, 0.9] {
        let at = sde.point(t);
        for prediction in
            [Prediction::Score, Prediction::Noise, Prediction::Data, Prediction::Velocity]
        {
            let network = any_network(prediction);
            for weighting in [Weighting::SIGMA, Weighting::Likelihood, Weighting::Own] {
                let denoising = denoising(weighting, &network, at, &sde);
                for form in FORMS {
                    let objective = of_form(form, prediction, weighting);
                    let weight = objective.plan(&[at], &sde).unwrap().weights()[0];
                    let apart = weight * 2.0 / (2.0 * at.level.sigma.powi(2)); // two values
                    let got = denoising - matching(objective, &network, at, &sde);
                    // 1e-12 of the terms that are subtracted
                    let size = denoising.abs() + apart;
                    assert!(
                        (got - apart).abs() < 1e-12 * size,
                        "{objective:?} at {t}: {got}, {apart}"
                    );
                }
            }
        }
    }
}

#[test]
fn the_three_have_one_gradient_which_vanishes_at_the_score_alone() {
    let sde = VeGeometric::new(0.05, 5.0).unwrap();
    for t in [0.1, 0.5, 0.9] {
        let at = sde.point(t);
        let score = best(at.level);
        for (network, is_best) in [(score, true), (any_network(Prediction::Score), false)] {
            let of_denoising =
                gradient(&network, |network| denoising(Weighting::SIGMA, network, at, &sde));
            let size = denoising(Weighting::SIGMA, &network, at, &sde);
            let largest = of_denoising.iter().copied().map(f64::abs).fold(0.0, f64::max);
            if is_best {
                assert!(largest < 1e-11 * size, "{largest} of {size}");
            } else {
                assert!(largest > 1e-3 * size, "{largest} of {size}");
            }
            for form in FORMS {
                let objective = of_form(form, Prediction::Score, Weighting::SIGMA);
                let loss = |network: &Affine| matching(objective, network, at, &sde);
                for (got, expected) in gradient(&network, loss).iter().zip(&of_denoising) {
                    assert!((got - expected).abs() < 1e-11 * size, "{form:?}: {got}, {expected}");
                }
            }
        }
    }
}

#[test]
fn on_clean_data_the_gradient_vanishes_at_the_score_of_the_data() {
    let sde = VpLinear::new(0.1, 20.0).unwrap();
    let clean = TimePoint { t: 0.0, level: NoiseLevel::CLEAN };
    for form in FORMS {
        let objective = of_form(form, Prediction::Score, Weighting::Own);
        let loss = |network: &Affine| matching(objective, network, clean, &sde);
        let score = best(NoiseLevel::CLEAN);
        let largest = |network: &Affine| {
            gradient(network, loss).iter().copied().map(f64::abs).fold(0.0, f64::max)
        };
        assert!(largest(&score) < 1e-11 * loss(&score).abs(), "{form:?}");
        assert!(largest(&any_network(Prediction::Score)) > 0.1, "{form:?}");
    }
}

/// Two different mixtures of one value: what the data is, and whose score the network has.
fn mixtures() -> (Mixture, Mixture) {
    let part = |weight, mean, deviation| Part { weight, mean: vec![mean], deviation };
    let data = vec![part(0.3, -0.8, 0.2), part(0.7, 0.6, 0.3)];
    let other = vec![part(0.6, -0.5, 0.4), part(0.4, 0.9, 0.25)];
    (Mixture::new(data).unwrap(), Mixture::new(other).unwrap())
}

#[test]
fn they_agree_for_curved_networks_on_data_that_is_not_normal() {
    let sde = VpLinear::new(0.1, 20.0).unwrap();
    let at = sde.point(0.25);
    let (data, other) = mixtures();
    let (mut x0, mut eps, mut weights) = (Vec::new(), Vec::new(), Vec::new());
    for part in data.parts() {
        for (place, weight) in nodes(0.3) {
            for (noise, of_noise) in nodes(0.3) {
                x0.push(part.mean[0] + part.deviation * place);
                eps.push(noise);
                weights.push(part.weight * weight * of_noise);
            }
        }
    }
    let expected =
        |losses: &[f64]| -> f64 { losses.iter().zip(&weights).map(|(l, w)| l * w).sum() };
    let (x0, eps) = (column(x0), column(eps));
    let points = vec![at; weights.len()];
    let network = ExactScore::new(other, Prediction::Noise);
    let plan = Denoising::new(Prediction::Noise, Weighting::SIGMA).plan(&points, &sde).unwrap();
    let x = plan.noised(&x0, &eps);
    let output = network.predict(&x, Times::Shared(at)).unwrap();
    let denoising = expected(&plan.losses(&output, &x0, &eps));
    for form in FORMS {
        let objective = ScoreMatching {
            reduction: Reduction::Mean,
            ..of_form(form, Prediction::Noise, Weighting::SIGMA)
        };
        let plan = objective.plan(&points, &sde).unwrap();
        let directions = plan.directions(&x, &mut Seeded::new(0)).unwrap();
        let (output, products) = network.predict_vjps(&x, at, &directions).unwrap();
        let got = expected(&plan.losses(&x, &output, &directions, &products));
        // weighted with sigma^2, the mean square of the noise's score is 1
        assert!((denoising - got - 1.0).abs() < 1e-9, "{form:?}: {denoising}, {got}");
    }
}

/// Mean and variance of the loss at one state over many random directions, each with a standard error.
fn over_directions(form: MatchingForm, network: &Affine, count: usize) -> [(f64, f64); 2] {
    let sde = VpLinear::new(0.1, 20.0).unwrap();
    let at = sde.point(0.4);
    let x = Array2::from_shape_fn((count, 2), |(_, axis)| [0.7, -1.2][axis]).into_dyn();
    let objective = of_form(form, Prediction::Score, Weighting::SIGMA);
    let plan = objective.plan(&vec![at; count], &sde).unwrap();
    let directions = plan.directions(&x, &mut Seeded::new(1)).unwrap();
    let (output, products) = network.predict_vjps(&x, at, &directions).unwrap();
    let losses = Array1::from(plan.losses(&x, &output, &directions, &products));
    let (mean, variance) = (losses.mean().unwrap(), losses.var(0.0));
    let fourth =
        losses.mapv(|loss| (loss - mean).powi(4)).mean_axis(Axis(0)).unwrap().into_scalar();
    let count = count as f64;
    [(mean, (variance / count).sqrt()), (variance, ((fourth - variance * variance) / count).sqrt())]
}

#[test]
fn random_directions_have_the_mean_of_all() {
    let network = any_network(Prediction::Score);
    let [(exact, _), _] = over_directions(MatchingForm::Implicit, &network, 1);
    for kind in [ProbeKind::Rademacher, ProbeKind::Gaussian] {
        for count in [1, 3] {
            let slices = Slices { kind, count };
            for form in [MatchingForm::Sliced(slices), MatchingForm::SlicedVarianceReduced(slices)]
            {
                let [(mean, error), _] = over_directions(form, &network, 100_000);
                // 4 standard errors
                assert!((mean - exact).abs() < 4.0 * error, "{form:?}: {mean}, {exact}, {error}");
            }
        }
    }
}

#[test]
fn along_signs_the_reduced_form_sees_an_isotropic_slope_exactly() {
    let isotropic =
        Affine { matrix: -1.2 * Array2::<f64>::eye(2), ..any_network(Prediction::Score) };
    let slices = Slices { kind: ProbeKind::Rademacher, count: 1 };
    let forms = [MatchingForm::Sliced(slices), MatchingForm::SlicedVarianceReduced(slices)];
    let [plain, reduced] =
        forms.map(|form| over_directions(form, &isotropic, 1000)).map(|[_, variance]| variance.0);
    assert!(reduced < 1e-25 && plain > 0.1, "{plain}, {reduced}");
}
