//! Classifier-free guidance: away from the unconditional prediction, towards the conditional ones.
//!
//! `output = unconditional + sum of weight_i (conditional_i - unconditional)`. With one condition the
//! weight is `1 + w` of Ho and Salimans 2022, eq. 6; with several, Liu et al. 2022a, algorithm 1, where
//! negative weights push away. All predictions of a step are made as one batch, and one whose weight is 0
//! is not made.

mod weights;

use crate::noise_range::check_scale;
use crate::{GuidanceError, NoiseRange};
use tweedie_schedules::Prediction;
use tweedie_score::{ConditionalScoreFn, Draw, ScoreError, ScoreFn, Times};
use weights::{Branch, Part};

/// What the samples of a batch are to be, and how much it counts.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// One class a sample; `None` is the null class.
    pub classes: Vec<Option<usize>>,
    /// Its weight: 1 is the condition as it is, more guides towards it, less than 0 away from it.
    pub weight: f64,
}

/// A conditional network as a guided score function.
///
/// The weights are linear in the prediction, whichever kind it is. Of a learned variance, which is not
/// guided, it gives the values of the conditional prediction, or at scale 0 those of the one that is made.
#[derive(Clone, Debug)]
pub struct ClassifierFree<N> {
    network: N,
    parts: Vec<Part>,
    rescale: f64,
    range: NoiseRange,
}

impl<N> ClassifierFree<N> {
    /// Guidance towards one class a sample. `scale` 0 is unconditional and 1 conditional (one evaluation
    /// each), more is guided (a batch of two), less than 0 away from the class.
    ///
    /// # Errors
    /// When there is no sample, or the scale is not from -1e6 to 1e6.
    pub fn new(network: N, classes: Vec<Option<usize>>, scale: f64) -> Result<Self, GuidanceError> {
        let nothing = vec![None; classes.len()];
        Self::away_from(network, classes, nothing, scale)
    }

    /// Guidance towards one class a sample and away from another, `avoided`, which takes the place of no class:
    /// `avoided + scale (asked - avoided)`, and nothing else is predicted.
    ///
    /// # Errors
    /// As [`new`](Self::new), and when the two are for different numbers of samples.
    pub fn away_from(
        network: N,
        classes: Vec<Option<usize>>,
        avoided: Vec<Option<usize>>,
        scale: f64,
    ) -> Result<Self, GuidanceError> {
        check_scale(scale)?;
        let (got, expected) = (avoided.len(), classes.len());
        if expected == 0 {
            return Err(GuidanceError::NoConditions);
        }
        if got != expected {
            return Err(GuidanceError::ConditionLength { index: 1, got, expected });
        }
        Ok(Self::of(network, Part::on_the_way(avoided, classes, scale)))
    }

    /// Guidance by several conditions at once. The conditional prediction is the mean by their positive
    /// weights; where none is positive, the one without a condition.
    ///
    /// # Errors
    /// When there is no condition or no sample, they are for different numbers of samples, or a weight is not
    /// from -1e6 to 1e6.
    pub fn composed(network: N, conditions: Vec<Condition>) -> Result<Self, GuidanceError> {
        let samples = conditions.first().map_or(0, |first| first.classes.len());
        if samples == 0 {
            return Err(GuidanceError::NoConditions);
        }
        for (index, Condition { classes, weight }) in conditions.iter().enumerate() {
            check_scale(*weight)?;
            if classes.len() != samples {
                let (got, expected) = (classes.len(), samples);
                return Err(GuidanceError::ConditionLength { index, got, expected });
            }
        }
        Ok(Self::of(network, Part::composed(conditions)))
    }

    fn of(network: N, parts: Vec<Part>) -> Self {
        Self { network, parts, rescale: 0.0, range: NoiseRange::ALL }
    }

    /// The same with each sample's guided prediction brought back to the deviation of its conditional
    /// one, by this share: 0 not at all, 1 wholly, 0.7 as published. Strong guidance makes predictions, and
    /// with them pictures, too contrasty. Lin et al. 2024, sec. 3.4.
    ///
    /// # Errors
    /// When the share is not in `[0, 1]`.
    pub fn rescaled(self, share: f64) -> Result<Self, GuidanceError> {
        if (0.0..=1.0).contains(&share) {
            return Ok(Self { rescale: share, ..self });
        }
        let (name, allowed) = ("guidance rescale", "a value in [0, 1]");
        Err(GuidanceError::ParameterOutOfRange { name, value: share, allowed })
    }

    /// The same with guidance at noise levels of this range alone; at the others the prediction is the
    /// conditional one, whatever the scale. Kynkäänniemi et al. 2024.
    #[must_use]
    pub fn within(self, range: NoiseRange) -> Self {
        Self { range, ..self }
    }

    /// The predictions that a batch takes.
    fn branches(&self, at: Times<'_>, count: usize) -> Result<Vec<Branch>, ScoreError> {
        at.check(count)?;
        let conditions = self.parts[0].classes.len();
        if conditions != count {
            return Err(ScoreError::ConditionsMismatch { conditions, batch: count });
        }
        let acts: Vec<bool> =
            (0..count).map(|index| self.range.contains(at.of(index).level)).collect();
        Ok(Branch::all(&self.parts, &acts, self.rescale > 0.0))
    }

    /// The predictions of all branches, made as one batch, and their values of the variance.
    fn together<S: Draw>(
        &self,
        branches: &[Branch],
        x: &S,
        at: Times<'_>,
    ) -> Result<(S, Option<S>), ScoreError>
    where
        N: ConditionalScoreFn<S>,
    {
        let given: Vec<_> = branches.iter().flat_map(|branch| branch.classes.clone()).collect();
        let all = S::concat(&vec![x; branches.len()]);
        match at {
            Times::Shared(_) => self.network.predict_given_with_variance(&all, at, &given),
            Times::PerSample(points) => {
                let repeated = points.repeat(branches.len());
                let at = Times::PerSample(&repeated);
                self.network.predict_given_with_variance(&all, at, &given)
            }
        }
    }

    /// The guided prediction, and the values of the variance.
    fn guided<S: Draw>(&self, x: &S, at: Times<'_>) -> Result<(S, Option<S>), ScoreError>
    where
        N: ConditionalScoreFn<S>,
    {
        let branches = self.branches(at, x.batch_len())?;
        let sizes = vec![x.batch_len(); branches.len()];
        let (output, values) = self.together(&branches, x, at)?;
        let parts = output.split(&sizes);
        let guided = Branch::sum(&branches, &parts, |branch| &branch.guided);
        let values = values
            .map(|values| Branch::sum(&branches, &values.split(&sizes), |branch| &branch.variance));
        if self.rescale == 0.0 || branches.len() == 1 {
            return Ok((guided, values));
        }
        let conditional = Branch::sum(&branches, &parts, |branch| &branch.conditional);
        Ok((self.rescaled_to(&conditional, &guided), values))
    }

    fn rescaled_to<S: Draw>(&self, conditional: &S, guided: &S) -> S {
        let pairs = deviation_each(conditional).into_iter().zip(deviation_each(guided));
        let factor = |(of_conditional, of_guided): (f64, f64)| {
            if of_guided == 0.0 {
                return 1.0;
            }
            // Lin et al. 2024, sec. 3.4
            self.rescale * of_conditional / of_guided + (1.0 - self.rescale)
        };
        guided.scale_each(&pairs.map(factor).collect::<Vec<_>>())
    }
}

/// Standard deviation of each sample's values.
fn deviation_each<S: Draw>(x: &S) -> Vec<f64> {
    let (ones, count) = (S::draw_like(x, &mut || 1.0), x.item_len() as f64);
    let means: Vec<f64> = x.dot_each(&ones).iter().map(|sum| sum / count).collect();
    let centred = S::combine(&[(1.0, x), (-1.0, &ones.scale_each(&means))]);
    centred.norm_each().iter().map(|norm| norm / count.sqrt()).collect()
}

impl<S: Draw, N: ConditionalScoreFn<S>> ScoreFn<S> for ClassifierFree<N> {
    fn prediction(&self) -> Prediction {
        self.network.prediction()
    }

    fn predict(&self, x: &S, at: Times<'_>) -> Result<S, ScoreError> {
        Ok(self.guided(x, at)?.0)
    }

    fn predict_with_variance(&self, x: &S, at: Times<'_>) -> Result<(S, Option<S>), ScoreError> {
        self.guided(x, at)
    }
}

#[cfg(test)]
mod tests;
