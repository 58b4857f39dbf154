//! Resampling: stretches of a run walked again, so that what is known and what is sampled come to agree.
//!
//! The states of [`Reimposed`](crate::Reimposed) are made of two parts that know nothing of each other.
//! Each walk over the same levels gives the network a chance to make them one: noise is added back, of
//! which the known part gets the same amount, and the steps are taken once more. Lugmayr et al. 2022,
//! algorithm 1 and section 4.2.

use crate::GuidanceError;
use tweedie_samplers::{SampleError, Solver, Stepper};
use tweedie_schedules::{Interval, NoiseLevel, TimeGrid, Transition};
use tweedie_score::{NoiseError, NoiseSource, ScoreFn, Silent, VectorSpace};

/// A solver that walks each stretch of `jump` intervals `walks` times.
///
/// Any solver will do: it plans each walk anew, so that what it remembers is of that walk alone. A run
/// costs `walks` times the evaluations of the solver. The published values are 10 and 10, on 250
/// intervals.
///
/// Few evaluations do most where what is drawn is decided: walks [of each stretch](Self::with_walks_of_each) spare
/// those at the noisiest levels, from where nothing stays.
///
/// What is done at the end of a run alone belongs to this, [`ending_at_mean`](Self::ending_at_mean), and not
/// to the solver inside, for which every walk is a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Resampled<V> {
    solver: V,
    jump: usize,
    /// For all stretches, or for each.
    walks: Vec<usize>,
    /// Of the noise added back.
    share: f64,
    least: f64,
    mean_at_end: bool,
}

impl<V> Resampled<V> {
    /// # Errors
    /// When `jump` or `walks` is 0.
    pub fn new(solver: V, jump: usize, walks: usize) -> Result<Self, GuidanceError> {
        at_least_one("jump", jump)?;
        at_least_one("walks", walks)?;
        let walks = vec![walks];
        Ok(Self { solver, jump, walks, share: 1.0, least: 0.0, mean_at_end: false })
    }

    /// The same with each stretch walked a number of times of its own, the noisiest first; one number alone is for
    /// all of them. Plans for grids of another number of stretches are refused.
    ///
    /// # Errors
    /// When there is no stretch, or one is walked 0 times.
    pub fn with_walks_of_each(self, walks: Vec<usize>) -> Result<Self, GuidanceError> {
        at_least_one("number of stretches", walks.len())?;
        walks.iter().try_for_each(|walks| at_least_one("walks", *walks))?;
        Ok(Self { walks, ..self })
    }

    /// The same with only this share of the noise added back, a factor of its standard deviation. With less than
    /// all of it the walks lead to likelier data, and samples differ less than they should.
    ///
    /// # Errors
    /// When the share is not within 0 and 1.
    pub fn with_noise_share(self, share: f64) -> Result<Self, GuidanceError> {
        if (0.0..=1.0).contains(&share) {
            return Ok(Self { share, ..self });
        }
        let (name, allowed) = ("share of the noise added back", "a value from 0 to 1");
        Err(GuidanceError::ParameterOutOfRange { name, value: share, allowed })
    }

    /// The same with the stretches that end at less noise than `deviation`, `sigma / alpha`, walked once. For
    /// noisy measurements this is their [`largest_deviation`](crate::Measurement::largest_deviation): below it
    /// what was measured is in the state alone, and each walk would wash it out.
    ///
    /// # Errors
    /// When the deviation is negative or not a number.
    pub fn down_to(self, deviation: f64) -> Result<Self, GuidanceError> {
        if deviation >= 0.0 {
            return Ok(Self { least: deviation, ..self });
        }
        let (name, allowed) = ("deviation to walk down to", "a value of at least 0");
        Err(GuidanceError::ParameterOutOfRange { name, value: deviation, allowed })
    }

    /// The same without the noise of the solver's very last step, its corrections included: see
    /// [`MeanAtEnd`](tweedie_samplers::MeanAtEnd).
    #[must_use]
    pub fn ending_at_mean(self) -> Self {
        Self { mean_at_end: true, ..self }
    }

    /// The stretches, each a grid of its own.
    fn stretches(&self, grid: &TimeGrid) -> Result<Vec<TimeGrid>, SampleError> {
        let pieces = grid.intervals().chunks(self.jump);
        // intervals of a grid are intervals of a grid
        pieces
            .map(|piece| {
                TimeGrid::from_intervals(piece.to_vec()).map_err(|_| SampleError::EmptyGrid)
            })
            .collect()
    }

    /// Refuses a grid of another number of stretches than walks are given for.
    fn check(&self, stretches: usize) -> Result<(), SampleError> {
        let walks = self.walks.len();
        if walks == 1 || walks == stretches {
            return Ok(());
        }
        Err(SampleError::WalksMismatch { walks, stretches })
    }

    /// How often a stretch, of this number, is walked.
    fn walks_of(&self, (index, stretch): (usize, &[Interval])) -> usize {
        let end = stretch.last().map_or(NoiseLevel::CLEAN, |last| last.to.level);
        if end.sigma < self.least * end.alpha {
            return 1;
        }
        match self.walks[..] {
            [all] => all,
            ref each => each.get(index).copied().unwrap_or(1),
        }
    }
}

fn at_least_one(name: &'static str, count: usize) -> Result<(), GuidanceError> {
    if count > 0 {
        return Ok(());
    }
    Err(GuidanceError::ParameterOutOfRange { name, value: 0.0, allowed: "at least 1" })
}

/// One walk over a stretch.
#[derive(Clone, Copy)]
struct Walk {
    stretch: usize,
    /// Whether it starts by adding the noise that the walk before it took away.
    again: bool,
}

struct Steps<'a, V> {
    solver: &'a V,
    stretches: Vec<TimeGrid>,
    walks: Vec<Walk>,
    /// Of the noise added back.
    share: f64,
    /// The walk whose last step adds no noise.
    silent: Option<usize>,
}

impl<S: VectorSpace, V: Solver<S>> Solver<S> for Resampled<V> {
    fn plan<'a>(&'a self, grid: &'a TimeGrid) -> Result<Box<dyn Stepper<S> + 'a>, SampleError> {
        self.solver.plan(grid)?;
        let stretches = self.stretches(grid)?;
        self.check(stretches.len())?;
        let mut walks = Vec::new();
        for (index, stretch) in stretches.iter().enumerate() {
            self.solver.plan(stretch)?; // refused before the network runs
            let each = 0..self.walks_of((index, stretch.intervals()));
            walks.extend(each.map(|walk| Walk { stretch: index, again: walk > 0 }));
        }
        let silent = self.mean_at_end.then(|| walks.len().saturating_sub(1));
        let (solver, share) = (&self.solver, self.share);
        Ok(Box::new(Steps { solver, stretches, walks, share, silent }))
    }

    fn evaluations(&self, grid: &TimeGrid) -> Result<usize, SampleError> {
        let stretches = self.stretches(grid)?;
        self.check(stretches.len())?;
        let each = |(index, stretch): (usize, &TimeGrid)| {
            Ok(self.walks_of((index, stretch.intervals())) * self.solver.evaluations(stretch)?)
        };
        stretches.iter().enumerate().map(each).sum()
    }

    /// One a walk.
    fn steps(&self, grid: &TimeGrid) -> usize {
        grid.intervals().chunks(self.jump).enumerate().map(|stretch| self.walks_of(stretch)).sum()
    }
}

impl<S: VectorSpace, V: Solver<S>> Stepper<S> for Steps<'_, V> {
    fn step(
        &mut self,
        index: usize,
        mut x: S,
        score: &dyn ScoreFn<S>,
        noise: &mut dyn NoiseSource<S>,
    ) -> Result<S, SampleError> {
        let walk = self.walks[index];
        let stretch = &self.stretches[walk.stretch];
        if walk.again {
            x = noised(x, stretch, self.share, noise)
                .map_err(|source| SampleError::Noise { step: index, source })?;
        }
        let mut stepper = self.solver.plan(stretch)?;
        let steps = self.solver.steps(stretch);
        for step in 0..steps {
            let is_last = self.silent == Some(index) && step + 1 == steps;
            let noise = if is_last { &mut Silent } else { &mut *noise };
            x = stepper.step(step, x, score, noise).map_err(|error| error.at_step(index))?;
        }
        Ok(x)
    }
}

/// From the cleaner end of a stretch back to its noisier one, with a share of the noise between them.
fn noised<S: VectorSpace>(
    x: S,
    stretch: &TimeGrid,
    share: f64,
    noise: &mut dyn NoiseSource<S>,
) -> Result<S, NoiseError> {
    let steps = stretch.intervals();
    let (Some(first), Some(last)) = (steps.first(), steps.last()) else {
        return Ok(x);
    };
    // Ho et al. 2020, eq. 2, between the two ends
    let whole = Interval { from: first.from, to: last.to };
    let Transition { scale, variance } = whole.transition();
    let z = noise.normal_like(&x)?;
    Ok(S::combine(&[(scale, &x), (share * variance.max(0.0).sqrt(), &z)]))
}
