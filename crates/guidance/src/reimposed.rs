//! What is known, put back after each step of a solver and each correction.
//!
//! Song et al. 2021, appendix I.2: a sampler that knows nothing of a measurement has its state's known
//! coordinates replaced, at each level, by those measured at the noise of that level. It is an
//! approximation: the unknown part is never told what the known part will become.

use crate::Measurement;
use tweedie_samplers::{
    Corrector, MeanAtEnd, PredictorCorrector, Repeated, SampleError, Solver, Stepper,
};
use tweedie_schedules::{Interval, NoiseLevel, TimeGrid};
use tweedie_score::{Draw, Elementwise, NoiseSource, ScoreFn, Silent};

/// A solver or a corrector whose states are made to agree with a measurement.
///
/// Around both parts of a [`PredictorCorrector`] it is the method of Song et al. 2021, ready-made as
/// [`predictor_corrector_given`]. On a grid that ends at the data the known values are those measured, to the
/// last bit when there is no noise in them. [`MeanAtEnd`] around it leaves
/// out all noise of the last step, the predictor's and that put back.
///
/// What is known is put back once after all iterations of a corrector, as published. In the meantime the known
/// part moves as well, and the unknown one follows it away from the measurement: corrections of one
/// iteration each, this around them and [`Repeated`] around both come closer to the posterior.
#[derive(Debug)]
pub struct Reimposed<'m, V, S> {
    inner: V,
    measurement: &'m Measurement<S>,
    place: ImposedLevel,
    end: KnownEnd,
}

/// At the noise of which level a solver's step puts back what is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ImposedLevel {
    /// That where the step arrives.
    #[default]
    Arrived,
    /// That which the step left: the published code. The known part is noisier than the rest until a
    /// corrector puts it back once more.
    Left,
}

/// How a solver's last step puts back what is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KnownEnd {
    /// As every other: with noise, where the level has any.
    #[default]
    Noisy,
    /// Without noise, the mean at its level, and the unknown part as it is: with a predictor that keeps
    /// its noise this is the published code's mean.
    Mean,
}

/// Predictor-corrector sampling given a measurement, as Song et al. 2021: what is known is put back after
/// each step of the predictor and each of so many corrections, and the run ends at its mean, free of the last step's
/// noise in what was sampled as in what is known. `corrector` should be of one iteration.
#[must_use]
pub fn predictor_corrector_given<P: Solver<S>, C: Corrector<S>, S: Elementwise + Draw>(
    measurement: &Measurement<S>,
    predictor: P,
    corrector: C,
    corrections: usize,
) -> impl Solver<S> {
    PredictorCorrector::new(
        MeanAtEnd(Reimposed::new(predictor, measurement)),
        Repeated::new(Reimposed::new(corrector, measurement), corrections),
    )
}

impl<'m, V, S> Reimposed<'m, V, S> {
    /// `inner` with what `measurement` knows put back after each of its moves.
    #[must_use]
    pub const fn new(inner: V, measurement: &'m Measurement<S>) -> Self {
        Self { inner, measurement, place: ImposedLevel::Arrived, end: KnownEnd::Noisy }
    }

    /// The same at the noise of this level. A corrector stays where it is and knows one alone.
    #[must_use]
    pub fn at_level(self, place: ImposedLevel) -> Self {
        Self { place, ..self }
    }

    /// The same with this end of a solver's run.
    #[must_use]
    pub fn ending(self, end: KnownEnd) -> Self {
        Self { end, ..self }
    }
}

struct Steps<'a, S> {
    inner: Box<dyn Stepper<S> + 'a>,
    measurement: &'a Measurement<S>,
    levels: Vec<NoiseLevel>,
    /// The step whose known part is put back without noise.
    silent: Option<usize>,
}

impl<S: Elementwise + Draw, V: Solver<S>> Solver<S> for Reimposed<'_, V, S> {
    fn plan<'a>(&'a self, grid: &'a TimeGrid) -> Result<Box<dyn Stepper<S> + 'a>, SampleError> {
        let inner = self.inner.plan(grid)?;
        let steps = self.inner.steps(grid);
        let level = |interval: &Interval| match self.place {
            ImposedLevel::Arrived => interval.to.level,
            ImposedLevel::Left => interval.from.level,
        };
        let mut levels: Vec<NoiseLevel> = grid.intervals().iter().map(level).collect();
        levels.resize(steps, NoiseLevel::CLEAN); // steps that a solver adds end at the data
        let silent = (self.end == KnownEnd::Mean).then(|| steps.saturating_sub(1));
        Ok(Box::new(Steps { inner, measurement: self.measurement, levels, silent }))
    }

    fn evaluations(&self, grid: &TimeGrid) -> Result<usize, SampleError> {
        self.inner.evaluations(grid)
    }

    fn steps(&self, grid: &TimeGrid) -> usize {
        self.inner.steps(grid)
    }
}

impl<S: Elementwise + Draw> Stepper<S> for Steps<'_, S> {
    fn step(
        &mut self,
        index: usize,
        x: S,
        score: &dyn ScoreFn<S>,
        noise: &mut dyn NoiseSource<S>,
    ) -> Result<S, SampleError> {
        let x = self.inner.step(index, x, score, noise)?;
        let noise = if self.silent == Some(index) { &mut Silent } else { noise };
        let imposed = self.measurement.impose(&x, self.levels[index], noise);
        imposed.map_err(|source| SampleError::Noise { step: index, source })
    }
}

impl<S: Elementwise + Draw, C: Corrector<S>> Corrector<S> for Reimposed<'_, C, S> {
    fn correct(
        &self,
        x: S,
        interval: Interval,
        score: &dyn ScoreFn<S>,
        noise: &mut dyn NoiseSource<S>,
    ) -> Result<S, SampleError> {
        let (measurement, level) = (self.measurement, interval.from.level);
        let before = measurement.is_noisier_than(level).then(|| S::combine(&[(1.0, &x)]));
        let mut x = self.inner.correct(x, interval, score, noise)?;
        if let Some(before) = before {
            x = measurement.hold(&before, x, level);
        }
        let imposed = measurement.impose(&x, level, noise);
        imposed.map_err(|source| SampleError::Noise { step: 0, source })
    }

    fn evaluations(&self) -> usize {
        self.inner.evaluations()
    }

    fn is_idle(&self) -> bool {
        false
    }
}
