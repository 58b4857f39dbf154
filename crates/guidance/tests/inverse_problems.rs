//! How far the methods for linear inverse problems are from the truth, on normal data with the exact
//! score.
//!
//! Everything is affine then: a run with no noise ends at the mean, and a run with a unit of noise in one
//! coordinate of one draw ends at the mean and a column of the covariance's root. So moments come out free
//! of chance.

use ndarray::{ArrayD, IxDyn};
use tweedie_closed_form::Gaussian;
use tweedie_guidance::{Mask, Measurement, Reimposed, Resampled, Separable};
use tweedie_samplers::{
    Ancestral, AnnealedLangevin, Corrector, Ddim, NoCorrector, OneStep, PredictorCorrector, Solver,
    sample,
};
use tweedie_schedules::{NoiseLevel, TimeGrid, VpLinear};
use tweedie_score::{MapData, NoiseError, NoiseSource, Seeded};
use tweedie_solvers_dpm::{Multistep, Order};

type State = ArrayD<f64>;

const DIMENSION: usize = 4;
const SHAPE: [usize; 3] = [1, 2, 2];

/// Four pixels, neighbours alike.
fn data() -> Gaussian {
    let covariance: Vec<f64> = (0..DIMENSION * DIMENSION)
        .map(|k| 0.7_f64.powi((k / DIMENSION).abs_diff(k % DIMENSION) as i32))
        .collect();
    Gaussian::new(vec![0.3, -0.2, 0.1, 0.4], &covariance).unwrap()
}

fn grid(steps: usize) -> TimeGrid {
    let schedule = VpLinear::new(0.1, 20.0).unwrap();
    TimeGrid::uniform_lambda(&schedule, steps).unwrap().ending_clean()
}

/// A batch whose first sample gets no noise and each other one a unit in one coordinate of one draw.
struct Units {
    next: usize,
}

impl NoiseSource<State> for Units {
    fn normal_like(&mut self, like: &State) -> Result<State, NoiseError> {
        let mut z = State::zeros(like.raw_dim());
        let first = 1 + self.next * DIMENSION;
        for k in 0..DIMENSION {
            z.as_slice_mut().unwrap()[(first + k) * DIMENSION + k] = 1.0;
        }
        self.next += 1;
        Ok(z)
    }

    fn rademacher_like(&mut self, like: &State) -> Result<State, NoiseError> {
        self.normal_like(like)
    }

    fn uniform_like(&mut self, like: &State) -> Result<State, NoiseError> {
        self.normal_like(like)
    }

    fn uniform(&mut self, count: usize) -> Result<Vec<f64>, NoiseError> {
        Ok(vec![0.0; count])
    }

    fn indices(&mut self, count: usize, _: usize) -> Result<Vec<usize>, NoiseError> {
        Ok(vec![0; count])
    }
}

fn batch(item: &[f64], count: usize) -> State {
    let values = item.iter().copied().cycle().take(item.len() * count).collect();
    ArrayD::from_shape_vec(IxDyn(&[count, SHAPE[0], SHAPE[1], SHAPE[2]]), values).unwrap()
}

/// Distance of mean and covariance from the truth: the largest entry of each.
#[derive(Debug)]
struct Off {
    mean: f64,
    covariance: f64,
}

/// A measurement of `count` samples, and its rows.
struct Problem<'a> {
    operator: &'a dyn Fn(usize) -> Measurement<State>,
    truth: &'a Gaussian,
}

/// What a method is: given the measurement it runs the whole way.
type Method<'a> =
    &'a dyn Fn(&Measurement<State>, &TimeGrid, State, &mut dyn NoiseSource<State>) -> State;

impl Problem<'_> {
    /// The exact moments of what a method gives, with up to `draws` draws of noise.
    fn off(&self, method: Method<'_>, steps: usize, draws: usize) -> Off {
        let count = 1 + draws * DIMENSION;
        let (measurement, grid) = ((self.operator)(count), grid(steps));
        let mut noise = Units { next: 0 };
        let like = batch(&[0.0; DIMENSION], count);
        let start = noise.normal_like(&like).unwrap();
        let level = grid.start().level;
        let start = measurement.impose(&start, level, &mut noise).unwrap();
        let end = method(&measurement, &grid, start, &mut noise);
        assert!(noise.next <= draws, "{} draws", noise.next);
        let values: Vec<f64> = end.iter().copied().collect();
        let (mean, rest) = values.split_at(DIMENSION);
        let truth = self.truth;
        let mut off = Off { mean: 0.0, covariance: 0.0 };
        for i in 0..DIMENSION {
            off.mean = off.mean.max((mean[i] - truth.mean()[i]).abs());
            for j in 0..DIMENSION {
                let columns = rest.chunks_exact(DIMENSION);
                let got: f64 = columns.map(|z| (z[i] - mean[i]) * (z[j] - mean[j])).sum();
                off.covariance = off.covariance.max((got - truth.covariance(i, j)).abs());
            }
        }
        off
    }
}

fn ancestral() -> OneStep<Ancestral> {
    OneStep(Ancestral::default())
}

const MASK: [f64; 4] = [1.0, 0.0, 0.0, 1.0];
const VALUES: [f64; 4] = [1.2, 0.0, 0.0, -0.9];

fn masked(count: usize) -> Measurement<State> {
    let mask = Mask::new(batch(&MASK, count)).unwrap();
    Measurement::new(mask, &batch(&VALUES, count), 0.0).unwrap()
}

fn truth_of_mask() -> Gaussian {
    let rows = [vec![1.0, 0.0, 0.0, 0.0], vec![0.0, 0.0, 0.0, 1.0]];
    data().given(&rows, &[1.2, -0.9], 0.0).unwrap()
}

/// Predictor-corrector with this many corrections, resampled.
fn replaced(
    corrections: usize,
    walks: usize,
) -> impl Fn(&Measurement<State>, &TimeGrid, State, &mut dyn NoiseSource<State>) -> State {
    move |known, grid, start, noise| {
        let corrector: Box<dyn Corrector<State>> = match corrections {
            0 => Box::new(NoCorrector),
            n => Box::new(AnnealedLangevin::new(0.3, n).unwrap()),
        };
        let (predictor, corrector) =
            (Reimposed::new(ancestral(), known), Reimposed::new(corrector, known));
        let solver = PredictorCorrector::new(predictor, corrector);
        let solver = Resampled::new(solver, 1, walks).unwrap();
        sample(&solver, &data(), grid, start, noise).unwrap()
    }
}

/// The data estimate projected.
fn projected<'a>(
    solver: &'a dyn Solver<State>,
) -> impl Fn(&Measurement<State>, &TimeGrid, State, &mut dyn NoiseSource<State>) -> State + 'a {
    move |known, grid, start, noise| {
        let score = MapData { inner: data(), map: known };
        sample(solver, &score, grid, start, noise).unwrap()
    }
}

#[test]
fn the_bias_of_replacement_shrinks_with_corrections_and_with_resampling() {
    let truth = truth_of_mask();
    let problem = Problem { operator: &masked, truth: &truth };
    let off = |corrections: usize, walks: usize| {
        let draws = 2 + 30 * walks * (corrections + 4);
        problem.off(&replaced(corrections, walks), 30, draws)
    };
    let by_corrections = [0, 1, 4, 16].map(|n| off(n, 1));
    let by_walks = [1, 2, 4, 12].map(|n| off(0, n));
    println!("corrections 0, 1, 4, 16: {by_corrections:?}\nwalks 1, 2, 4, 12: {by_walks:?}");
    for offs in [by_corrections, by_walks] {
        assert!(offs[0].mean > 0.1, "replacement alone is biased: {offs:?}");
        for pair in offs.windows(2) {
            assert!(pair[1].mean < pair[0].mean, "{offs:?}");
        }
        assert!(offs[3].mean < 0.5 * offs[0].mean, "{offs:?}");
    }
}

#[test]
fn the_score_of_the_posterior_samples_the_posterior() {
    let truth = truth_of_mask();
    let problem = Problem { operator: &masked, truth: &truth };
    let exact =
        |_: &Measurement<State>, grid: &TimeGrid, start, noise: &mut dyn NoiseSource<State>| {
            sample(&ancestral(), &truth_of_mask(), grid, start, noise).unwrap()
        };
    // ancestral steps are exact in the limit of many alone: their error halves when steps double
    let offs = [50, 100, 200].map(|steps| problem.off(&exact, steps, steps + 2));
    println!("exact, 50, 100, 200 steps: {offs:?}");
    assert!(offs.iter().all(|off| off.mean < 1e-3), "{offs:?}");
    for pair in offs.windows(2) {
        let ratio = pair[0].covariance / pair[1].covariance;
        assert!((1.6..2.6).contains(&ratio), "{offs:?}");
    }
}

#[test]
fn samples_of_the_posterior_score_have_its_moments_within_four_standard_errors() {
    let (truth, grid, count) = (truth_of_mask(), grid(400), 4000);
    let mut noise = Seeded::new(3);
    let start = noise.normal_like(&batch(&[0.0; 4], count)).unwrap();
    let end = sample(&ancestral(), &truth, &grid, start, &mut noise).unwrap();
    let values: Vec<f64> = end.iter().copied().collect();
    let mean =
        |of: &dyn Fn(&[f64]) -> f64| values.chunks_exact(4).map(of).sum::<f64>() / count as f64;
    for i in [1, 2] {
        let variance = truth.covariance(i, i);
        let off = mean(&|x| x[i]) - truth.mean()[i];
        assert!(off.abs() < 4.0 * (variance / count as f64).sqrt(), "{off}");
        let off = mean(&|x| (x[i] - truth.mean()[i]).powi(2)) - variance;
        // and what 400 steps leave of the covariance, 1 %
        assert!(off.abs() < variance * (4.0 * (2.0 / count as f64).sqrt() + 0.01), "{off}");
    }
}

#[test]
fn every_method_keeps_what_is_known_to_the_last_bit() {
    let (known, grid) = (masked(3), grid(10));
    let ddim = OneStep(Ddim::DETERMINISTIC);
    let multistep = Multistep::dpmpp(Order::Two);
    let methods: [Method<'_>; 4] =
        [&replaced(0, 1), &replaced(2, 3), &projected(&ddim), &projected(&multistep)];
    for method in methods {
        let mut noise = Seeded::new(7);
        let start = noise.normal_like(&batch(&[0.0; 4], 3)).unwrap();
        let end = method(&known, &grid, start, &mut noise);
        for (k, value) in end.iter().enumerate() {
            if MASK[k % 4] == 1.0 {
                assert_eq!(*value, VALUES[k % 4]);
            }
        }
    }
}

#[test]
fn projection_draws_the_unknown_towards_the_known() {
    let truth = truth_of_mask();
    let problem = Problem { operator: &masked, truth: &truth };
    let (ddim, stochastic) = (OneStep(Ddim::DETERMINISTIC), ancestral());
    let multistep = Multistep::dpmpp(Order::Two);
    let solvers: [(&str, &dyn Solver<State>); 3] =
        [("ddim", &ddim), ("ancestral", &stochastic), ("multistep", &multistep)];
    let prior = data();
    let unknowing = truth.mean().iter().zip(prior.mean()).map(|(a, b)| (a - b).abs());
    let unknowing = unknowing.fold(0.0, f64::max);
    for (name, solver) in solvers {
        let off = problem.off(&projected(solver), 30, 40);
        println!("projected {name}: {off:?}");
        assert!(off.mean < unknowing, "{name}: {off:?} against {unknowing}");
    }
}

#[test]
fn a_box_average_is_met_and_its_bias_shrinks_with_resampling() {
    let pooled = |count: usize| {
        let boxes = Separable::box_downsampling(SHAPE, 2).unwrap();
        let y = ArrayD::from_elem(IxDyn(&[count, 1, 1, 1]), 0.8);
        Measurement::new(boxes, &y, 0.0).unwrap()
    };
    let truth = data().given(&[vec![0.25; 4]], &[0.8], 0.0).unwrap();
    let problem = Problem { operator: &pooled, truth: &truth };
    let offs = [1, 8].map(|walks| problem.off(&replaced(0, walks), 30, 2 + 30 * walks * 4));
    println!("boxes, walks 1, 8: {offs:?}");
    assert!(offs[1].mean < 0.5 * offs[0].mean, "{offs:?}");
    let (known, mut noise) = (pooled(2), Seeded::new(2));
    let start = noise.normal_like(&batch(&[0.0; 4], 2)).unwrap();
    let end = replaced(1, 2)(&known, &grid(10), start, &mut noise);
    assert!(known.misfit_each(&end).iter().all(|misfit| *misfit < 1e-12));
    let y: State = known.operator().apply(&end);
    assert!(y.iter().all(|y| (y - 0.8).abs() < 1e-12));
}

/// A picture seen with the same noise in every value is a state at that noise level: what is left is to go
/// on from there, which is exact but for the level that the grid has nearest to it.
#[test]
fn a_noisy_picture_is_denoised_exactly_up_to_the_steps() {
    let (deviation, y) = (0.5, [1.2, 0.3, -0.4, -0.9]);
    let noisy = |count: usize| {
        let mask = Mask::new(batch(&[1.0; 4], count)).unwrap();
        Measurement::new(mask, &batch(&y, count), deviation).unwrap()
    };
    let rows: Vec<Vec<f64>> =
        (0..4).map(|i| (0..4).map(|j| f64::from(u8::from(i == j))).collect()).collect();
    let truth = data().given(&rows, &y, deviation).unwrap();
    let problem = Problem { operator: &noisy, truth: &truth };
    // two draws put back and one of the step, each step
    let off = problem.off(&replaced(0, 1), 100, 2 + 4 * 100);
    println!("noisy, 100 steps: {off:?}");
    assert!(off.mean < 0.05 && off.covariance < 0.05, "{off:?}");
}

#[test]
fn bad_measurements_are_refused_before_anything_runs() {
    let data = batch(&VALUES, 2);
    let refused = |mask: State| {
        Measurement::new(Mask::new(mask).unwrap(), &data, 0.0).unwrap_err().to_string()
    };
    let text = "the measurement of 8 values knows none of them, expected at least one";
    assert_eq!(refused(batch(&[0.0; 4], 2)), text);
    let text = "the measurement knows all 8 values, expected at least one to be unknown";
    assert_eq!(refused(batch(&[1.0; 4], 2)), text);
    let text = "the mask has shape [1, 1, 2, 2], expected [2, 1, 2, 2]";
    assert_eq!(refused(batch(&MASK, 1)), text);
    let error = Mask::new(batch(&[1.0, 0.5, 0.0, 0.0], 1)).unwrap_err();
    let text = "sample 0 of the mask has values between 0 and 1, expected 1 (known) or 0 each";
    assert_eq!(error.to_string(), text);
    assert!(Measurement::new(Mask::new(batch(&MASK, 2)).unwrap(), &data, -1.0).is_err());
    assert!(Resampled::new(ancestral(), 0, 3).is_err());
    let clean = masked(2).impose(&data, NoiseLevel::CLEAN, &mut Seeded::new(1)).unwrap();
    assert_eq!(clean, data);
}
