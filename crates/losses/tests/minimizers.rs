//! On normal data the best answer to every denoising loss is known: it is linear in the state. Each loss
//! has its minimum there.
//!
//! Expectations are integrals, exact to rounding ([`nodes`]). So the derivative of a loss at the best answer
//! vanishes to 1e-11 of the loss, in both directions that a linear network can move in; and it does
//! not vanish one deviation of the target away.

#[path = "oracle/nodes.rs"]
mod nodes;
#[path = "oracle/normal.rs"]
mod normal;

use ndarray::ArrayD;
use nodes::column;
use normal::{Best, Cases, NormalData};
use tweedie_losses::{
    BoundChain, BoundLoss, Counting, Decoder, Denoising, DenoisingPlan, DiscreteTime, Distance,
    ImportanceTime, LogNormalTime, NoisedBatch, Reduction, Stratified, TimeSampler, UniformTime,
    Weighting,
};
use tweedie_schedules::{
    DiscreteTable, Edm, NoiseSchedule, Prediction, SubVpLinear, TimePoint, Variance, VeGeometric,
    VpLinear,
};
use tweedie_sde::{Sde, SongTable};

const DATA: NormalData = NormalData { mean: 0.3, deviation: 0.5 };
const OUTPUTS: [Prediction; 5] = [
    Prediction::Noise,
    Prediction::Data,
    Prediction::Velocity,
    Prediction::Score,
    Prediction::EdmF { sigma_data: 0.5 },
];

/// Ways in which a linear network may err, in units of the target's deviation: by a constant, and by
/// a multiple of the state.
const WAYS: [fn(f64) -> f64; 2] = [|_| 1.0, |state| state];

/// A loss at one time, with all there is to know of it.
struct Trial {
    plan: DenoisingPlan,
    cases: Cases,
    best: Best,
}

impl Cases {
    /// What a network returns that errs by `size`, in units of the target's deviation, in one of the ways.
    fn answer(&self, best: Best, size: f64, way: usize) -> ArrayD<f64> {
        let Best { offset, slope, deviation } = best;
        let answer = |state: &f64| offset + slope * state + size * deviation * WAYS[way](*state);
        column(self.state.iter().map(answer).collect())
    }

    /// The mean of the losses of all cases.
    fn mean(&self, losses: &[f64]) -> f64 {
        losses.iter().zip(&self.weights).map(|(loss, weight)| loss * weight).sum()
    }
}

impl Trial {
    fn new(objective: &Denoising, at: TimePoint, sde: &dyn Sde) -> Self {
        let cases = DATA.cases(at.level);
        let plan = objective.plan(&vec![at; cases.state.len()], sde).unwrap();
        Self { plan, cases, best: DATA.best(objective.prediction, at.level) }
    }

    /// The expected loss of a network that errs by `size` in one of the ways.
    fn expected(&self, size: f64, way: usize) -> f64 {
        let output = self.cases.answer(self.best, size, way);
        self.cases.mean(&self.plan.losses(&output, &self.cases.x0, &self.cases.eps))
    }
}

/// Holds a loss, as a function of the size and the way of the error, to a minimum at 0.
fn check(loss: impl Fn(f64, usize) -> f64, what: &str) {
    let least = loss(0.0, 0);
    assert!(least > 0.0, "{what}");
    for way in 0..WAYS.len() {
        // differences of a parabola are its derivative, however far apart
        let slope = |size: f64| (loss(size + 0.5, way) - loss(size - 0.5, way)) / least;
        assert!(slope(0.0).abs() < 1e-11, "{what}: {} in way {way}", slope(0.0));
        assert!(slope(1.0) > 0.1 && slope(-1.0) < -0.1, "{what}: no minimum in way {way}");
        assert!(loss(0.5, way) > least && loss(-0.5, way) > least, "{what}: way {way}");
    }
}

/// Times of every kind of process: of SDEs, of a table, of SMLD's chain.
fn processes() -> Vec<(Box<dyn Sde>, Vec<TimePoint>)> {
    let points = |sde: &dyn Sde, times: [f64; 3]| times.map(|t| sde.point(t)).to_vec();
    let vp = VpLinear::new(0.1, 20.0).unwrap();
    let sub_vp = SubVpLinear::new(0.1, 20.0).unwrap();
    let ve = VeGeometric::new(0.01, 50.0).unwrap();
    let edm = Edm::new(0.002, 80.0).unwrap();
    let table = DiscreteTable::cosine(100).unwrap();
    let chain = SongTable::variance_exploding(0.01, 50.0, 20).unwrap();
    let smld = [0, 9, 19].map(|i| TimePoint { t: i as f64 / 19.0, level: chain.level(i) });
    let nodes = [0, 50, 98].map(|i| table.node(i).unwrap()).to_vec();
    vec![
        (Box::new(vp), points(&vp, [1e-3, 0.2, 0.9])),
        (Box::new(sub_vp), points(&sub_vp, [1e-2, 0.3, 0.9])),
        (Box::new(ve), points(&ve, [1e-5, 0.5, 1.0])),
        (Box::new(edm), points(&edm, [0.002, 1.0, 80.0])),
        (Box::new(table), nodes),
        (Box::new(ve), smld.to_vec()),
    ]
}

#[test]
fn every_weighting_of_every_prediction_has_its_minimum_at_the_conditional_mean() {
    let weightings = [
        Weighting::Own,
        Weighting::SIGMA,
        Weighting::Likelihood,
        Weighting::edm(0.5).unwrap(),
        Weighting::min_snr(5.0).unwrap(),
    ];
    for (sde, points) in processes() {
        for at in points {
            for prediction in OUTPUTS {
                for weighting in weightings {
                    let objective = Denoising::new(prediction, weighting);
                    let trial = Trial::new(&objective, at, sde.as_ref());
                    check(
                        |size, way| trial.expected(size, way),
                        &format!("{objective:?} at {at:?}"),
                    );
                }
            }
        }
    }
}

#[test]
fn every_distance_and_reduction_has_its_minimum_there_too() {
    // the law of the target around its mean is symmetric, so its median is its mean
    let sde = VpLinear::new(0.1, 20.0).unwrap();
    for distance in [
        Distance::SquaredError,
        Distance::AbsoluteError,
        Distance::huber(0.3).unwrap(),
        Distance::huber(3.0).unwrap(),
    ] {
        for reduction in [Reduction::Mean, Reduction::HalfSum] {
            for prediction in OUTPUTS {
                let objective = Denoising::new(prediction, Weighting::SIGMA);
                let objective = objective.counted(Counting { distance, reduction });
                let trial = Trial::new(&objective, sde.point(0.4), &sde);
                check(|size, way| trial.expected(size, way), &format!("{objective:?}"));
            }
        }
    }
}

/// The expected loss of a network that errs alike at all times, over times that a sampler draws.
fn over_times(sampler: &dyn TimeSampler, sde: &dyn Sde, weighting: Weighting) {
    let objective = Denoising::new(Prediction::Noise, weighting);
    let drawn = sampler.draw(&[0.5; 12]);
    let trials = drawn.iter().map(|drawn| Trial::new(&objective, sde.point(drawn.t), sde));
    let trials: Vec<_> = trials.zip(drawn.iter().map(|drawn| drawn.weight)).collect();
    let loss =
        |size, way| trials.iter().map(|(trial, weight)| weight * trial.expected(size, way)).sum();
    check(loss, &format!("{sampler:?} {weighting:?}"));
}

#[test]
fn the_minimum_is_there_at_whatever_times_the_loss_is_looked_at() {
    let vp = VpLinear::new(0.1, 20.0).unwrap();
    let sub_vp = SubVpLinear::new(0.1, 20.0).unwrap();
    let edm = Edm::new(0.002, 80.0).unwrap();
    let table = DiscreteTable::linear(100, 1e-3, 0.2).unwrap();
    let uniform = Stratified { inner: UniformTime::new(1e-5, 1.0).unwrap() };
    over_times(&uniform, &vp, Weighting::Likelihood);
    over_times(&uniform, &vp, Weighting::SIGMA);
    let importance = ImportanceTime::new(vp, 1e-3, 1.0).unwrap();
    over_times(&Stratified { inner: importance }, &vp, Weighting::Likelihood);
    let importance = ImportanceTime::new(sub_vp, 1e-3, 1.0).unwrap();
    over_times(&Stratified { inner: importance }, &sub_vp, Weighting::Likelihood);
    let log_normal = LogNormalTime::new(edm, -1.2, 1.2).unwrap();
    over_times(&Stratified { inner: log_normal }, &edm, Weighting::edm(0.5).unwrap());
    over_times(&Stratified { inner: DiscreteTime::of_table(&table) }, &table, Weighting::Own);
}

#[test]
fn the_steps_of_the_bound_have_their_minimum_there_as_well() {
    let table = DiscreteTable::cosine(100).unwrap();
    for variance in [Variance::FixedSmall, Variance::FixedLarge] {
        let chain = BoundChain::of_table(&table, &variance, Decoder::default()).unwrap();
        for prediction in OUTPUTS {
            let bound = BoundLoss::whole(chain.clone(), prediction);
            for step in [10, 50, 98] {
                let level = chain.steps()[step].interval().from.level;
                let (cases, best) = (DATA.cases(level), DATA.best(prediction, level));
                let steps = vec![step; cases.state.len()];
                let batch = NoisedBatch { x0: &cases.x0, eps: &cases.eps, steps: &steps };
                let losses = |output| bound.losses(&batch, &output, None).unwrap();
                check(
                    |size, way| cases.mean(&losses(cases.answer(best, size, way))),
                    &format!("{variance:?} {prediction:?} in step {step}"),
                );
            }
        }
    }
}
