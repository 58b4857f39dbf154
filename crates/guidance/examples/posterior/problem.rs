//! Linear inverse problems on normal data, whose posterior is known.

use anyhow::Result;
use ndarray::{ArrayD, Axis, IxDyn};
use tweedie_closed_form::{Gaussian, UnitNoise};
use tweedie_guidance::{LinearOperator, Mask, Measurement, Separable};
use tweedie_samplers::Solver;
use tweedie_schedules::{TimeGrid, VpLinear};
use tweedie_score::{NoiseSource, ScoreFn};

pub(crate) type State = ArrayD<f64>;

/// Data, what is measured of it, and what that leaves.
pub(crate) struct Problem {
    pub(crate) name: &'static str,
    shape: [usize; 3],
    /// The data, which is its own network without error.
    pub(crate) data: Gaussian,
    operator: Operator,
    /// One measurement.
    y: State,
    deviation: f64,
    /// What is true of the data given the measurement.
    pub(crate) posterior: Gaussian,
}

#[derive(Clone)]
pub(crate) enum Operator {
    /// Known values of a sample.
    Mask(Vec<f64>),
    Map(Separable),
}

/// Distance of mean and covariance from the truth: the largest entry of each, for data of variance 1.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Off {
    pub(crate) mean: f64,
    pub(crate) covariance: f64,
}

impl Problem {
    /// The outer two of four pixels in a row.
    pub(crate) fn mask() -> Result<Self> {
        let known = vec![1.0, 0.0, 0.0, 1.0];
        Self::new("mask", [1, 1, 4], 0.0, Operator::Mask(known), &[1.2, 0.0, 0.0, -0.9])
    }

    /// The grey picture of two coloured pixels.
    pub(crate) fn grey() -> Result<Self> {
        let operator = Operator::Map(Separable::grey([3, 1, 2]));
        Self::new("grey", [3, 1, 2], 0.0, operator, &[0.8, -0.5])
    }

    /// The means of the two halves of eight pixels.
    pub(crate) fn boxes() -> Result<Self> {
        let operator = Operator::Map(Separable::box_downsampling([1, 2, 4], 2)?);
        Self::new("downsampling", [1, 2, 4], 0.0, operator, &[0.8, -0.5])
    }

    /// Three of four pixels, with noise.
    pub(crate) fn noisy() -> Result<Self> {
        let known = vec![1.0, 0.0, 1.0, 1.0];
        Self::new("noisy mask", [1, 1, 4], 0.3, Operator::Mask(known), &[1.2, 0.0, 0.3, -0.9])
    }

    fn new(
        name: &'static str,
        shape: [usize; 3],
        deviation: f64,
        operator: Operator,
        y: &[f64],
    ) -> Result<Self> {
        let dimension = shape.iter().product::<usize>();
        let place = |k: usize| [k / (shape[1] * shape[2]), k / shape[2] % shape[1], k % shape[2]];
        let covariance: Vec<f64> = (0..dimension * dimension)
            .map(|k| {
                let (a, b) = (place(k / dimension), place(k % dimension));
                let apart: usize = a.iter().zip(b).map(|(a, b)| a.abs_diff(b)).sum();
                0.7_f64.powi(apart as i32)
            })
            .collect();
        let mean = (0..dimension).map(|k| 0.4 * (1.7 * k as f64 + 0.8).sin()).collect();
        let data = Gaussian::new(mean, &covariance)?;
        let measured = match &operator {
            Operator::Mask(_) => shape.to_vec(),
            Operator::Map(map) => map.shape_of_measurement(),
        };
        let y = State::from_shape_vec(IxDyn(&[&[1], measured.as_slice()].concat()), y.to_vec())?;
        let rows = operator.rows(shape)?;
        let seen: Vec<usize> =
            (0..rows.len()).filter(|row| rows[*row].iter().any(|value| *value != 0.0)).collect();
        let (rows, values): (Vec<_>, Vec<_>) = seen
            .iter()
            .map(|row| (rows[*row].clone(), y.as_slice().expect("in order")[*row]))
            .unzip();
        let posterior = data.given(&rows, &values, deviation)?;
        Ok(Self { name, shape, data, operator, y, deviation, posterior })
    }

    /// The measurement, once for each of `count` samples.
    pub(crate) fn measurement(&self, count: usize) -> Result<Measurement<State>> {
        let repeated = |item: &State| -> Result<State> {
            let views = vec![item.view(); count];
            Ok(ndarray::concatenate(Axis(0), &views)?)
        };
        let y = repeated(&self.y)?;
        Ok(match &self.operator {
            Operator::Map(map) => Measurement::new(map.clone(), &y, self.deviation)?,
            Operator::Mask(known) => {
                let known = State::from_shape_vec(self.item(1), known.clone())?;
                Measurement::new(Mask::new(repeated(&known)?)?, &y, self.deviation)?
            }
        })
    }

    fn item(&self, count: usize) -> IxDyn {
        IxDyn(&[count, self.shape[0], self.shape[1], self.shape[2]])
    }

    /// Distance of the moments of a batch from the truth.
    pub(crate) fn off(&self, got: &Gaussian) -> Off {
        let (truth, dimension) = (&self.posterior, got.mean().len());
        let mean = got.mean().iter().zip(truth.mean()).map(|(a, b)| (a - b).abs());
        let pairs = (0..dimension * dimension).map(|k| (k / dimension, k % dimension));
        let apart = pairs.map(|(i, j)| (got.covariance(i, j) - truth.covariance(i, j)).abs());
        Off { mean: mean.fold(0.0, f64::max), covariance: apart.fold(0.0, f64::max) }
    }

    /// The moments of the states that a run starts from.
    fn start(&self, grid: &TimeGrid) -> Result<Gaussian> {
        let mut noise = UnitNoise::new(&self.shape, 2);
        let measurement = self.measurement(noise.batch())?;
        let start = measurement.start(grid.start().level, 1.0, &mut noise)?;
        Ok(noise.moments(&start)?)
    }

    /// The exact moments of what a method gives: `method` makes solver and score of a measurement. After
    /// each step, of at most `draws` draws, the states are replaced by as many as tell their moments, so
    /// that the method must remember none: [`run_through`](Self::run_through) is for those that do.
    pub(crate) fn run(&self, method: &dyn Method, grid: &TimeGrid) -> Result<Off> {
        let fresh = || UnitNoise::new(&self.shape, 1 + method.draws());
        let measurement = self.measurement(fresh().batch())?;
        let (solver, score) = (method.solver(&measurement)?, method.score(self, &measurement)?);
        let mut stepper = solver.plan(grid)?;
        let mut now = self.start(grid)?;
        for index in 0..solver.steps(grid) {
            let mut noise = fresh();
            let z = noise.normal_like(&noise.zeros())?;
            let end = stepper.step(index, now.shaped(&z)?, &*score, &mut noise)?;
            now = noise.moments(&end)?;
        }
        Ok(self.off(&now))
    }

    /// The same for a method that draws no noise, and may remember its states.
    pub(crate) fn run_through(&self, method: &dyn Method, grid: &TimeGrid) -> Result<Off> {
        let mut noise = UnitNoise::new(&self.shape, 1);
        let measurement = self.measurement(noise.batch())?;
        let (solver, score) = (method.solver(&measurement)?, method.score(self, &measurement)?);
        let z = noise.normal_like(&noise.zeros())?;
        let start = self.start(grid)?.shaped(&z)?;
        let end = tweedie_samplers::sample(&*solver, &*score, grid, start, &mut noise)?;
        Ok(self.off(&noise.moments(&end)?))
    }
}

impl Operator {
    /// The rows of the matrix, one a value of the measurement.
    fn rows(&self, shape: [usize; 3]) -> Result<Vec<Vec<f64>>> {
        let dimension = shape.iter().product::<usize>();
        let units = State::from_shape_fn(IxDyn(&[dimension, dimension]), |at| {
            if at[0] == at[1] { 1.0 } else { 0.0 }
        });
        let units =
            units.into_shape_with_order(IxDyn(&[&[dimension], shape.as_slice()].concat()))?;
        let columns = match self {
            Self::Map(map) => map.apply(&units),
            Self::Mask(known) => {
                let known = State::from_shape_vec(units.raw_dim(), known.repeat(dimension))?;
                Mask::new(known)?.apply(&units)
            }
        };
        let measured = columns.len() / dimension;
        let columns: Vec<f64> = columns.iter().copied().collect();
        Ok((0..measured)
            .map(|row| (0..dimension).map(|column| columns[column * measured + row]).collect())
            .collect())
    }
}

/// Steps in equal parts of lambda, to the data.
pub(crate) fn grid(steps: usize) -> Result<TimeGrid> {
    Ok(TimeGrid::uniform_lambda(&VpLinear::new(0.1, 20.0)?, steps)?.ending_clean())
}

/// A way to sample given a measurement.
pub(crate) trait Method {
    /// The most draws of noise in one of its steps.
    fn draws(&self) -> usize;

    fn solver<'a>(&'a self, known: &'a Measurement<State>) -> Result<Box<dyn Solver<State> + 'a>>;

    fn score<'a>(
        &'a self,
        problem: &'a Problem,
        known: &'a Measurement<State>,
    ) -> Result<Box<dyn ScoreFn<State> + 'a>>;
}
