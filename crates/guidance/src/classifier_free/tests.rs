//! Classifier-free guidance against a network whose answers are plain numbers.

use super::*;
use ndarray::{ArrayD, Axis, arr2};
use std::cell::RefCell;
use tweedie_schedules::{NoiseLevel, TimePoint};
use tweedie_score::Batch;

type State = ArrayD<f64>;

/// Predicts the class itself (10 without one) times the sample's time, plus the class times the state;
/// its variance is the class.
#[derive(Debug, Default)]
struct Classes {
    batches: RefCell<Vec<usize>>,
}

impl ConditionalScoreFn<State> for Classes {
    fn prediction(&self) -> Prediction {
        Prediction::Noise
    }

    fn predict_given(
        &self,
        x: &State,
        at: Times<'_>,
        conditions: &[Option<usize>],
    ) -> Result<State, ScoreError> {
        self.batches.borrow_mut().push(x.batch_len());
        let mut output = x.clone();
        for (index, mut item) in output.axis_iter_mut(Axis(0)).enumerate() {
            let class = conditions[index].unwrap_or(10) as f64;
            item.mapv_inplace(|x| class * (at.of(index).t + x));
        }
        Ok(output)
    }

    fn predict_given_with_variance(
        &self,
        x: &State,
        at: Times<'_>,
        conditions: &[Option<usize>],
    ) -> Result<(State, Option<State>), ScoreError> {
        let mut values = x.clone();
        for (mut item, class) in values.axis_iter_mut(Axis(0)).zip(conditions) {
            item.fill(class.unwrap_or(10) as f64);
        }
        Ok((self.predict_given(x, at, conditions)?, Some(values)))
    }
}

fn point(t: f64) -> TimePoint {
    TimePoint { t, level: NoiseLevel { alpha: 0.8, sigma: 0.6 } }
}

fn guided(classes: Vec<Option<usize>>, scale: f64) -> ClassifierFree<Classes> {
    ClassifierFree::new(Classes::default(), classes, scale).unwrap()
}

fn batches(guided: &ClassifierFree<Classes>) -> Vec<usize> {
    guided.network.batches.borrow().clone()
}

#[test]
fn guidance_extrapolates_in_one_batch_and_keeps_each_samples_time() {
    let guided = guided(vec![Some(3), None], 2.0);
    let x = arr2(&[[0.0], [0.0]]).into_dyn();
    let output = guided.predict(&x, Times::PerSample(&[point(1.0), point(0.5)])).unwrap();
    assert_eq!(output.as_slice().unwrap(), [2.0 * 3.0 - 10.0, 5.0]);
    assert_eq!(batches(&guided), [4]);
}

#[test]
fn scale_one_runs_the_condition_alone_and_scale_zero_the_null_class() {
    let x = arr2(&[[0.0]]).into_dyn();
    for (scale, expected) in [(1.0, 3.0), (0.0, 10.0)] {
        let guided = guided(vec![Some(3)], scale);
        let output = guided.predict(&x, Times::Shared(point(1.0))).unwrap();
        assert_eq!(output.as_slice().unwrap(), [expected]);
        assert_eq!(batches(&guided), [1]);
    }
}

#[test]
fn the_variance_is_that_of_the_condition() {
    let x = arr2(&[[0.0], [0.0]]).into_dyn();
    for scale in [1.0, 4.0] {
        let guided = guided(vec![Some(3), Some(5)], scale);
        let (output, values) = guided.predict_with_variance(&x, Times::Shared(point(1.0))).unwrap();
        assert_eq!(output.as_slice().unwrap(), [3.0, 5.0].map(|c| 10.0 + scale * (c - 10.0)));
        assert_eq!(values.unwrap().as_slice().unwrap(), [3.0, 5.0]);
    }
}

#[test]
fn several_conditions_add_up_in_one_batch_and_negative_ones_push_away() {
    let condition = |class, weight| Condition { classes: vec![Some(class)], weight };
    let conditions = vec![condition(3, 2.0), condition(5, 1.5), condition(1, -0.5)];
    let guided = ClassifierFree::composed(Classes::default(), conditions).unwrap();
    let x = arr2(&[[0.0]]).into_dyn();
    let output = guided.predict(&x, Times::Shared(point(1.0))).unwrap();
    let expected = 10.0 + 2.0 * (3.0 - 10.0) + 1.5 * (5.0 - 10.0) - 0.5 * (1.0 - 10.0);
    assert!((output[[0, 0]] - expected).abs() < 1e-12);
    assert_eq!(batches(&guided), [4]);
}

#[test]
fn outside_the_range_only_the_conditions_count() {
    let range = NoiseRange::new(0.1, 0.5).unwrap();
    let x = arr2(&[[0.0]]).into_dyn();
    let one = guided(vec![Some(3)], 4.0).within(range);
    assert_eq!(one.predict(&x, Times::Shared(point(1.0))).unwrap()[[0, 0]], 3.0);
    assert_eq!(batches(&one), [1]);
    let condition = |class, weight| Condition { classes: vec![Some(class)], weight };
    let conditions = vec![condition(3, 3.0), condition(5, 1.0), condition(1, -0.5)];
    let composed = ClassifierFree::composed(Classes::default(), conditions).unwrap().within(range);
    assert_eq!(composed.predict(&x, Times::Shared(point(1.0))).unwrap()[[0, 0]], 3.5);
    assert_eq!(batches(&composed), [2]);
}

#[test]
fn outside_the_range_the_class_is_asked_for_whatever_the_scale() {
    let range = NoiseRange::new(0.1, 0.5).unwrap();
    let x = arr2(&[[0.0]]).into_dyn();
    for scale in [-1.0, 0.0, 0.5, 1.0, 4.0] {
        let away =
            ClassifierFree::away_from(Classes::default(), vec![Some(3)], vec![Some(4)], scale);
        for guided in [guided(vec![Some(3)], scale), away.unwrap()] {
            let guided = guided.within(range);
            assert_eq!(guided.predict(&x, Times::Shared(point(1.0))).unwrap()[[0, 0]], 3.0);
            assert_eq!(batches(&guided), [1]);
        }
    }
}

#[test]
fn two_conditions_are_two_predictions_whatever_the_scale() {
    let x = arr2(&[[0.0]]).into_dyn();
    for scale in [-1.2, 0.1, 0.3, 1.7, 2.9] {
        let away =
            ClassifierFree::away_from(Classes::default(), vec![Some(3)], vec![Some(4)], scale);
        let condition = |class, weight| Condition { classes: vec![Some(class)], weight };
        let both = vec![condition(3, scale), condition(4, 1.0 - scale)];
        let composed = ClassifierFree::composed(Classes::default(), both);
        for guided in [away.unwrap(), composed.unwrap()] {
            let output = guided.predict(&x, Times::Shared(point(1.0))).unwrap();
            assert!((output[[0, 0]] - (4.0 - scale)).abs() < 1e-12);
            assert_eq!(batches(&guided), [2], "at scale {scale}");
        }
    }
}

#[test]
fn rescaling_takes_the_deviation_of_the_class_whatever_the_scale() {
    let x = arr2(&[[0.1, -0.4, 0.7]]).into_dyn();
    let at = Times::Shared(point(1.0));
    let conditional = guided(vec![Some(3)], 1.0).predict(&x, at).unwrap();
    for scale in [-1.0, 0.0, 0.4, 3.0] {
        let rescaled = guided(vec![Some(3)], scale).rescaled(1.0).unwrap();
        let output = rescaled.predict(&x, at).unwrap();
        assert!((output.std(0.0) - conditional.std(0.0)).abs() < 1e-12, "at scale {scale}");
        assert_eq!(batches(&rescaled), [2]);
    }
}

#[test]
fn at_scale_zero_the_variance_is_that_of_what_is_predicted() {
    let x = arr2(&[[0.0]]).into_dyn();
    let guided = guided(vec![Some(3)], 0.0);
    let (_, values) = guided.predict_with_variance(&x, Times::Shared(point(1.0))).unwrap();
    assert_eq!(values.unwrap()[[0, 0]], 10.0);
}

#[test]
fn each_sample_is_guided_at_its_own_level() {
    let inside = TimePoint { t: 1.0, level: NoiseLevel { alpha: 0.95, sigma: 0.3 } };
    let range = NoiseRange::new(0.1, 0.5).unwrap();
    let guided = guided(vec![Some(3), Some(3)], 2.0).within(range);
    let x = arr2(&[[0.0], [0.0]]).into_dyn();
    let output = guided.predict(&x, Times::PerSample(&[point(1.0), inside])).unwrap();
    assert_eq!(output.as_slice().unwrap(), [3.0, -4.0]);
    assert_eq!(batches(&guided), [4]);
}

#[test]
fn rescaling_brings_each_samples_deviation_back_to_the_conditional_one() {
    let x = arr2(&[[0.1, -0.4, 0.7], [2.0, 1.0, 1.5]]).into_dyn();
    let at = Times::Shared(point(1.0));
    let plain = guided(vec![Some(3), Some(12)], 3.0).predict(&x, at).unwrap();
    let conditional = guided(vec![Some(3), Some(12)], 1.0).predict(&x, at).unwrap();
    for share in [0.7, 1.0] {
        let rescaled = guided(vec![Some(3), Some(12)], 3.0).rescaled(share).unwrap();
        let output = rescaled.predict(&x, at).unwrap();
        for sample in 0..2 {
            let row = |state: &State| state.index_axis(Axis(0), sample).to_owned();
            let ratio = row(&conditional).std(0.0) / row(&plain).std(0.0);
            let expected = row(&plain) * (share * ratio + 1.0 - share);
            assert!((row(&output) - expected).iter().all(|off| off.abs() < 1e-12));
        }
    }
}

#[test]
fn a_flat_prediction_is_left_as_it_is() {
    let x = arr2(&[[0.5, 0.5]]).into_dyn();
    let at = Times::Shared(point(1.0));
    let rescaled = guided(vec![Some(3)], 3.0).rescaled(1.0).unwrap().predict(&x, at).unwrap();
    assert_eq!(rescaled, guided(vec![Some(3)], 3.0).predict(&x, at).unwrap());
}

#[test]
fn nonsense_is_refused() {
    let guided = guided(vec![Some(3)], 2.0);
    let x = arr2(&[[0.0], [0.0]]).into_dyn();
    let error = guided.predict(&x, Times::Shared(point(1.0))).unwrap_err();
    assert!(matches!(error, ScoreError::ConditionsMismatch { conditions: 1, batch: 2 }));
    let network = Classes::default;
    for scale in [f64::NAN, f64::INFINITY, 1e39] {
        assert!(ClassifierFree::new(network(), vec![None], scale).is_err());
    }
    assert!(ClassifierFree::new(network(), vec![], 1.0).is_err());
    assert!(ClassifierFree::away_from(network(), vec![None; 2], vec![None], 1.0).is_err());
    let text = "guidance rescale is 1.5, expected a value in [0, 1]";
    assert_eq!(guided.rescaled(1.5).unwrap_err().to_string(), text);
    let error = ClassifierFree::composed(network(), vec![]).unwrap_err();
    assert_eq!(error.to_string(), "no condition to guide by, expected at least one");
    let condition = |classes| Condition { classes, weight: 1.0 };
    let uneven = vec![condition(vec![None; 2]), condition(vec![None])];
    let error = ClassifierFree::composed(network(), uneven).unwrap_err();
    assert_eq!(error.to_string(), "condition 1 is for 1 samples, expected 2 as the first one");
}
