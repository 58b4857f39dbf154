//! Guidance on a mixture with classes, whose classifier of noisy states is known: at scale 1 it samples the
//! data of the class, through every kind of sampler.

use ndarray::ArrayD;
use tweedie_closed_form::{ExactClassifier, ExactScore, Labelled, Mixture, Part};
use tweedie_guidance::{ClassifierFree, ClassifierGuided, Condition, GradientPlace, MeanGuided};
use tweedie_samplers::{
    Ancestral, AnnealedLangevin, Ddim, EdmSolver, InSigma, OneStep, PredictorCorrector,
    ProbabilityFlow, Rule, RungeKutta, Solver, Variance, sample,
};
use tweedie_schedules::{NoiseLevel, NoiseSchedule, Prediction, TimeGrid, TimePoint, VpLinear};
use tweedie_score::{ConditionGradient, Conditioned, NoiseSource, ScoreFn, Seeded, Silent, Times};
use tweedie_solvers_dpm::{Multistep, Order, SingleStep, UniPc};

type State = ArrayD<f64>;

/// Samples of a run.
const COUNT: usize = 4000;

/// The class that is asked for: two parts of three.
const CLASS: usize = 0;

fn data() -> Labelled {
    let part = |weight, mean: [f64; 2], deviation| Part { weight, mean: mean.to_vec(), deviation };
    let parts =
        vec![part(0.3, [-0.8, 0.4], 0.2), part(0.5, [0.6, -0.1], 0.3), part(0.2, [0.3, 1.1], 0.25)];
    Labelled::new(Mixture::new(parts).unwrap(), &[0, 1, 0], Prediction::Noise).unwrap()
}

fn unconditional() -> ExactScore {
    ExactScore::new(data().data().clone(), Prediction::Noise)
}

fn classifier(count: usize) -> ExactClassifier {
    ExactClassifier::new(&data(), &vec![CLASS; count]).unwrap()
}

/// A solver's name, itself, its steps, and what these leave of mean, variance and share beside chance.
type Run = (&'static str, Box<dyn Solver<State>>, usize, f64);

fn schedule() -> VpLinear {
    VpLinear::new(0.1, 20.0).unwrap()
}

fn grid(steps: usize) -> TimeGrid {
    TimeGrid::uniform_lambda(&schedule(), steps).unwrap().ending_clean()
}

/// Mean and variance of each coordinate, and the share of the class's first part, within four standard
/// errors of the class's own, and what a method's steps leave.
#[track_caller]
fn assert_class(name: &str, end: &State, steps: f64) {
    let class = data().given(CLASS).unwrap().clone();
    let points = points(end);
    let count = points.len() as f64;
    let mean = |of: &dyn Fn(&[f64]) -> f64| points.iter().map(|x| of(x)).sum::<f64>() / count;
    let root = count.sqrt();
    for axis in 0..2 {
        let exact = class.coordinate(axis);
        let (variance, fourth) = (exact.variance(), exact.central_moment(4));
        let off = mean(&|x| x[axis]) - exact.mean();
        let bound = 4.0 * variance.sqrt() / root + steps;
        assert!(off.abs() < bound, "{name}: mean {axis} off by {off}, of {bound}");
        let off = mean(&|x| (x[axis] - exact.mean()).powi(2)) - variance;
        let bound = 4.0 * (fourth - variance.powi(2)).sqrt() / root + steps;
        assert!(off.abs() < bound, "{name}: variance {axis} off by {off}, of {bound}");
    }
    // a point's own probability of coming from the first part, whose mean is the part's weight
    let weight = class.parts()[0].weight;
    let off = mean(&|x| class.shares(x)[0]) - weight;
    let bound = 4.0 * (weight * (1.0 - weight)).sqrt() / root + steps;
    assert!(off.abs() < bound, "{name}: share off by {off}, of {bound}");
}

/// The samples of a batch, one by one.
fn points(end: &State) -> Vec<Vec<f64>> {
    end.outer_iter().map(|point| point.iter().copied().collect()).collect()
}

fn start(noise: &mut Seeded) -> State {
    noise.normal_like(&State::zeros(vec![COUNT, 2])).unwrap()
}

#[test]
fn the_score_form_at_scale_one_samples_the_class_through_every_kind_of_solver() {
    let guided = ClassifierGuided::new(unconditional(), classifier(COUNT), 1.0).unwrap();
    let corrected = PredictorCorrector::new(
        OneStep(Ancestral::default()),
        AnnealedLangevin::new(0.1, 1).unwrap(),
    );
    let solvers: [Run; 7] = [
        ("ancestral", Box::new(OneStep(Ancestral::default())), 300, 0.01),
        ("DDIM", Box::new(OneStep(Ddim::DETERMINISTIC)), 150, 0.01),
        ("predictor-corrector", Box::new(corrected), 150, 0.015),
        ("Heun", Box::new(EdmSolver::new(InSigma(schedule()), Rule::HEUN).unwrap()), 40, 0.005),
        ("DPM-Solver++ 2M", Box::new(Multistep::dpmpp(Order::Two)), 40, 0.005),
        ("SDE-DPM-Solver++ 2M", Box::new(Multistep::sde_dpmpp(Order::Two)), 80, 0.01),
        ("UniPC", Box::new(UniPc::new(3).unwrap()), 30, 0.005),
    ];
    let mut noise = Seeded::new(11);
    for (name, solver, steps, left) in solvers {
        let x = start(&mut noise);
        let end = sample(&*solver, &guided, &grid(steps), x, &mut noise).unwrap();
        assert_class(name, &end, left);
    }
}

#[test]
fn the_score_form_at_scale_one_samples_the_class_through_the_flow() {
    let guided = ClassifierGuided::new(unconditional(), classifier(COUNT), 1.0).unwrap();
    let mut noise = Seeded::new(12);
    let flow = ProbabilityFlow::new(schedule(), RungeKutta::new(1e-4, 1e-4).unwrap());
    let end = flow.ending_denoised().sample(&guided, start(&mut noise)).unwrap().state;
    assert_class("flow", &end, 0.002);
}

#[test]
fn the_mean_form_samples_the_class_up_to_its_steps() {
    let ancestral = Ancestral { variance: Variance::FixedSmall };
    let mut noise = Seeded::new(13);
    for place in [GradientPlace::State, GradientPlace::Mean] {
        let solver = MeanGuided::new(ancestral, classifier(COUNT), 1.0).unwrap();
        let solver = solver.with_gradient_at(place);
        let x = start(&mut noise);
        let end = sample(&solver, &unconditional(), &grid(300), x, &mut noise).unwrap();
        assert_class(&format!("{place:?}"), &end, 0.015);
    }
}

/// One step of both forms from the same state; `h` the step in lambda. With the upper variance their shifts
/// are in the ratio `alpha_t / alpha_s`, which tends to 1 with the step.
#[test]
fn the_two_forms_differ_by_the_square_of_the_step() {
    let (score, x) = (unconditional(), ndarray::arr2(&[[0.4, 0.1]]).into_dyn());
    let apart = |h: f64| {
        let at = |lambda: f64| schedule().point(schedule().time_at_lambda(lambda));
        let grid = TimeGrid::through(&[at(0.0), at(h)]).unwrap();
        let run = |solver: &dyn Solver<State>, score: &dyn ScoreFn<State>| {
            sample(solver, score, &grid, x.clone(), &mut Silent).unwrap()
        };
        let ancestral = Ancestral { variance: Variance::FixedLarge };
        let by_mean = run(&MeanGuided::new(ancestral, classifier(1), 2.0).unwrap(), &score);
        let guided = ClassifierGuided::new(&score, classifier(1), 2.0).unwrap();
        let by_score = run(&OneStep(ancestral), &guided);
        let plain = run(&OneStep(ancestral), &score);
        let size = |off: State| off.iter().map(|off| off * off).sum::<f64>().sqrt();
        (size(&by_mean - &by_score), size(&by_score - &plain))
    };
    let steps = [0.04, 0.02, 0.01, 0.005].map(apart);
    for pair in steps.windows(2) {
        let (apart, shift) = (pair[0].0 / pair[1].0, pair[0].1 / pair[1].1);
        assert!((apart.log2() - 2.0).abs() < 0.15, "difference of order {}", apart.log2());
        assert!((shift.log2() - 1.0).abs() < 0.15, "shift of order {}", shift.log2());
    }
}

#[test]
fn without_a_classifier_guidance_is_that_by_the_implicit_one_at_every_scale() {
    let x = ndarray::arr2(&[[0.1, 0.7], [-1.4, 0.2], [0.3, 0.9]]).into_dyn();
    for (alpha, sigma) in [(0.99, 0.14), (0.8, 0.6), (0.1, 0.99)] {
        let at = Times::Shared(TimePoint { t: 0.5, level: NoiseLevel { alpha, sigma } });
        for scale in [0.0, 0.5, 1.0, 3.0, -1.0] {
            let free = ClassifierFree::new(data(), vec![Some(CLASS); 3], scale).unwrap();
            let guided = ClassifierGuided::new(unconditional(), classifier(3), scale).unwrap();
            let off = free.predict(&x, at).unwrap() - guided.predict(&x, at).unwrap();
            assert!(off.iter().all(|off| off.abs() < 1e-12), "{scale}: {off}");
        }
    }
}

#[test]
fn conditions_compose_as_their_classifiers_do() {
    let x = ndarray::arr2(&[[0.1, 0.7], [-1.4, 0.2]]).into_dyn();
    let at = Times::Shared(TimePoint { t: 0.5, level: NoiseLevel { alpha: 0.8, sigma: 0.6 } });
    let condition = |class, weight| Condition { classes: vec![Some(class); 2], weight };
    let conditions = vec![condition(0, 2.0), condition(1, -0.5)];
    let free = ClassifierFree::composed(data(), conditions).unwrap().predict(&x, at).unwrap();
    let other = ExactClassifier::new(&data(), &[1, 1]).unwrap();
    let away = ClassifierGuided::new(unconditional(), other, -0.5).unwrap();
    let both = ClassifierGuided::new(away, classifier(2), 2.0).unwrap();
    let off = free - both.predict(&x, at).unwrap();
    assert!(off.iter().all(|off| off.abs() < 1e-12), "{off}");
}

/// What more guidance does: samples of which the classifier is surer, and which spread less.
#[test]
fn a_larger_scale_makes_the_class_surer_and_the_samples_alike() {
    let mut noise = Seeded::new(14);
    let x = start(&mut noise);
    let mut last = (0.0, f64::INFINITY);
    for scale in [0.0, 1.0, 2.0, 4.0] {
        let guided = ClassifierGuided::new(unconditional(), classifier(COUNT), scale).unwrap();
        let solver = Multistep::dpmpp(Order::Two);
        let end = sample(&solver, &guided, &grid(30), x.clone(), &mut noise).unwrap();
        let sure = |point: &[f64]| data().probability(CLASS, point, NoiseLevel::CLEAN);
        let points = points(&end);
        let share = points.iter().map(|x| sure(x)).sum::<f64>() / COUNT as f64;
        // spread within the first part alone, which guidance narrows
        let class = data().given(CLASS).unwrap().clone();
        let own: Vec<_> = points.iter().filter(|x| class.shares(x)[0] > 0.99).collect();
        let center = own.iter().map(|x| x[0]).sum::<f64>() / own.len() as f64;
        let spread = own.iter().map(|x| (x[0] - center).powi(2)).sum::<f64>() / own.len() as f64;
        assert!(share > last.0 && spread < last.1, "{scale}: {share}, {spread} after {last:?}");
        last = (share, spread);
    }
    assert!(last.0 > 0.995, "{last:?}");
}

#[test]
fn a_classifier_is_the_gradient_of_the_conditional_score_whatever_samples_it() {
    // the adaptive and the single-step solvers too, against the conditional network itself
    let mut noise = Seeded::new(15);
    let x = start(&mut noise);
    let guided = ClassifierGuided::new(unconditional(), classifier(COUNT), 1.0).unwrap();
    let told = Conditioned { network: data(), conditions: vec![Some(CLASS); COUNT] };
    let solver = SingleStep::dpmpp(Order::Two);
    let ends = [&guided as &dyn ScoreFn<State>, &told]
        .map(|score| sample(&solver, score, &grid(10), x.clone(), &mut noise).unwrap());
    assert!((&ends[0] - &ends[1]).iter().all(|off| off.abs() < 1e-9));
    let gradient = classifier(COUNT).log_gradient(&x, Times::Shared(schedule().point(0.5)));
    assert!(gradient.unwrap().iter().any(|value| value.abs() > 0.1));
}
