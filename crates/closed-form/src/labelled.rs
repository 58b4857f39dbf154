//! Mixtures whose parts have classes, with the exact conditional score and the exact classifier.

use crate::{ExactScore, Mixture, MixtureError, Part};
use ndarray::{ArrayD, Axis, Slice};
use tweedie_schedules::Prediction;
use tweedie_score::{Batch, ConditionGradient, ConditionalScoreFn, ScoreError, ScoreFn, Times};

/// A mixture of classes: each part of the mixture has one, several may have the same.
///
/// As a [`ConditionalScoreFn`] it is the conditional network without error; no class stands for the whole
/// mixture.
#[derive(Clone, Debug)]
pub struct Labelled {
    prediction: Prediction,
    all: Mixture,
    /// The data of each class.
    classes: Vec<Mixture>,
}

impl Labelled {
    /// The network for data whose parts have these classes, from 0 without a gap, that returns
    /// `prediction`.
    ///
    /// # Errors
    /// When there is not one class for each part, or a class has no part.
    pub fn new(
        data: Mixture,
        classes: &[usize],
        prediction: Prediction,
    ) -> Result<Self, MixtureError> {
        let (got, expected) = (classes.len(), data.parts().len());
        if got != expected {
            return Err(MixtureError::LabelsMismatch { got, expected });
        }
        let of = |class: usize| {
            let parts = data.parts().iter().zip(classes).filter(|(_, own)| **own == class);
            Mixture::new(parts.map(|(part, _)| part.clone()).collect())
        };
        let count =
            classes.iter().max().map_or(0, |largest| largest.saturating_add(1)).min(expected + 1);
        let classes = (0..count).map(of).collect::<Result<_, _>>()?;
        Ok(Self { prediction, all: data, classes })
    }

    /// All data.
    #[must_use]
    pub fn data(&self) -> &Mixture {
        &self.all
    }

    /// The data of one class; none if there is no such class.
    #[must_use]
    pub fn given(&self, class: usize) -> Option<&Mixture> {
        self.classes.get(class)
    }

    /// The share of a class in the data.
    fn weight(&self, class: usize) -> f64 {
        // a part of the class stands in both mixtures, with weights that tell its share
        let (all, own) = (self.all.parts(), self.classes[class].parts());
        let same = |part: &&Part| part.mean == own[0].mean && part.deviation == own[0].deviation;
        all.iter().find(same).map_or(0.0, |part| part.weight / own[0].weight)
    }

    /// Probability that the data of a noisy point is of a class.
    ///
    /// # Panics
    /// When there is no such class, or `x` has another number of coordinates.
    #[must_use]
    pub fn probability(
        &self,
        class: usize,
        x: &[f64],
        level: tweedie_schedules::NoiseLevel,
    ) -> f64 {
        let (own, all) = (self.classes[class].at(level), self.all.at(level));
        self.weight(class) * (own.log_density(x) - all.log_density(x)).exp()
    }

    fn mixture(&self, condition: Option<usize>) -> Result<&Mixture, ScoreError> {
        let Some(class) = condition else { return Ok(&self.all) };
        let classes = self.classes.len();
        self.given(class).ok_or(ScoreError::ClassOutOfRange { class, classes })
    }
}

impl ConditionalScoreFn<ArrayD<f64>> for Labelled {
    fn prediction(&self) -> Prediction {
        self.prediction
    }

    fn predict_given(
        &self,
        x: &ArrayD<f64>,
        at: Times<'_>,
        conditions: &[Option<usize>],
    ) -> Result<ArrayD<f64>, ScoreError> {
        let batch = x.batch_len();
        at.check(batch)?;
        if conditions.len() != batch {
            return Err(ScoreError::ConditionsMismatch { conditions: conditions.len(), batch });
        }
        let mut output = x.clone();
        let mut start = 0;
        for alike in conditions.chunk_by(|a, b| a == b) {
            let (end, here) = (start + alike.len(), Slice::from(start..start + alike.len()));
            let network = ExactScore::new(self.mixture(alike[0])?.clone(), self.prediction);
            let at = match at {
                Times::PerSample(points) => Times::PerSample(&points[start..end]),
                shared @ Times::Shared(_) => shared,
            };
            let own = network.predict(&x.slice_axis(Axis(0), here).to_owned(), at)?;
            output.slice_axis_mut(Axis(0), here).assign(&own);
            start = end;
        }
        Ok(output)
    }
}

/// The exact classifier of noisy states of a labelled mixture, asked for one class a sample.
#[derive(Clone, Debug)]
pub struct ExactClassifier {
    data: Labelled,
    classes: Vec<Option<usize>>,
}

impl ExactClassifier {
    /// The classifier, asked whether each sample is of its class.
    ///
    /// # Errors
    /// When a class is out of range.
    pub fn new(data: &Labelled, classes: &[usize]) -> Result<Self, ScoreError> {
        let data = Labelled { prediction: Prediction::Score, ..data.clone() };
        let classes: Vec<_> = classes.iter().map(|class| Some(*class)).collect();
        classes.iter().try_for_each(|class| data.mixture(*class).map(|_| ()))?;
        Ok(Self { data, classes })
    }
}

impl ConditionGradient<ArrayD<f64>> for ExactClassifier {
    /// By Bayes' rule the difference of two scores, of the class and of all data.
    fn log_gradient(&self, x: &ArrayD<f64>, at: Times<'_>) -> Result<ArrayD<f64>, ScoreError> {
        let own = self.data.predict_given(x, at, &self.classes)?;
        Ok(own - self.data.predict_given(x, at, &vec![None; x.batch_len()])?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::arr2;
    use tweedie_schedules::{NoiseLevel, TimePoint};

    fn data() -> Labelled {
        let part = |weight, mean, deviation| Part { weight, mean: vec![mean], deviation };
        let parts = vec![part(0.3, -0.8, 0.2), part(0.5, 0.6, 0.3), part(0.2, 1.5, 0.1)];
        Labelled::new(Mixture::new(parts).unwrap(), &[0, 1, 0], Prediction::Noise).unwrap()
    }

    const LEVEL: NoiseLevel = NoiseLevel { alpha: 0.8, sigma: 0.6 };

    #[test]
    fn the_classifier_pulls_along_the_slope_of_its_log_probability() {
        let at = Times::Shared(TimePoint { t: 0.5, level: LEVEL });
        let x = arr2(&[[0.3], [0.3]]).into_dyn();
        let classifier = ExactClassifier::new(&data(), &[0, 1]).unwrap();
        let gradient = classifier.log_gradient(&x, at).unwrap();
        for class in 0..2 {
            let log = |x: f64| data().probability(class, &[x], LEVEL).ln();
            let slope = (log(0.3 + 1e-5) - log(0.3 - 1e-5)) / 2e-5;
            assert!((gradient[[class, 0]] - slope).abs() < 1e-8);
        }
        let sum: f64 = (0..2).map(|class| data().probability(class, &[0.3], LEVEL)).sum();
        assert!((sum - 1.0).abs() < 1e-12);
    }

    #[test]
    fn without_a_class_it_is_the_whole_mixture() {
        let at = Times::Shared(TimePoint { t: 0.5, level: LEVEL });
        let x = arr2(&[[0.3], [-0.7]]).into_dyn();
        let whole = ExactScore::new(data().data().clone(), Prediction::Noise);
        let got = data().predict_given(&x, at, &[None, None]).unwrap();
        assert_eq!(got, whole.predict(&x, at).unwrap());
    }

    #[test]
    fn nonsense_is_refused() {
        let mixture = data().data().clone();
        let error = Labelled::new(mixture.clone(), &[0, 1], Prediction::Noise).unwrap_err();
        assert_eq!(error.to_string(), "2 classes for 3 parts of the mixture, expected one each");
        assert!(Labelled::new(mixture.clone(), &[0, 2, 0], Prediction::Noise).is_err());
        assert!(Labelled::new(mixture, &[0, usize::MAX, 0], Prediction::Noise).is_err());
        let error = ExactClassifier::new(&data(), &[2]).unwrap_err();
        assert!(matches!(error, ScoreError::ClassOutOfRange { class: 2, classes: 2 }));
    }
}
