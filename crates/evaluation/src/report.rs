//! All figures of one set of generated images, beside those of real ones.

use ndarray::{ArrayView2, Axis};
use serde::Serialize;

use crate::{
    agreement::{Agreement, VOTERS, agreement, votes_as_asked},
    diversity::diversity,
    error::EvaluationError,
    frechet::{Moments, frechet_between_halves},
    neighbours::{Neighbours, nearest, nearest_others},
    pixels::check,
};

/// Real images that the leave-one-out yardsticks are measured on at most, evenly spread over the set;
/// all others still count as their neighbours.
const REAL_QUERIES: usize = 10_000;

/// Random divisions of the real images into halves.
const HALVINGS: usize = 5;

/// Images in rows of pixels, with their classes if they have any.
#[derive(Debug, Clone, Copy)]
pub struct Images<'a> {
    /// `[n, pixels]`, in `[0, 1]`.
    pub pixels: ArrayView2<'a, f32>,
    /// One class an image: what it is, or, of a generated one, what was asked for.
    pub classes: Option<&'a [u32]>,
}

/// What is to be judged, and by what.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// Generated images.
    pub samples: Images<'a>,
    /// Real images that quality is measured against: all there are, or those trained on.
    pub reference: Images<'a>,
    /// Real images the model was trained on, when those are not the reference.
    pub train: Option<ArrayView2<'a, f32>>,
    /// Real images the model has never seen; may hold none.
    pub held_out: ArrayView2<'a, f32>,
    /// Seed of the halvings.
    pub seed: u64,
}

/// The figures. Distances are Euclidean, over pixels in `[0, 1]`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Number of generated images.
    pub samples: usize,
    /// Number of real images in the reference.
    pub reference: usize,
    /// Number of images trained on.
    pub train: usize,
    /// Number of images held out.
    pub held_out: usize,
    /// Share of samples whose three nearest reference images vote for the class asked for (two of
    /// three; a tie is a miss). `None` without classes.
    pub class_agreement: Option<f64>,
    /// The same share among the reference images themselves, each judged by the others (leave one
    /// out).
    pub class_agreement_real: Option<f64>,
    /// The share for each class; empty without classes.
    pub class_agreement_per_class: Vec<Agreement>,
    /// Root mean square distance between two samples of the same class asked for: see
    /// [`diversity`](crate::diversity()).
    pub diversity: f64,
    /// The same between two reference images of a class.
    pub diversity_real: f64,
    /// Frechet distance on raw pixels from the samples to the reference.
    pub frechet_distance: f64,
    /// Mean Frechet distance between two random halves of the reference, over several halvings.
    pub frechet_distance_halves: f64,
    /// The smallest and the largest of those.
    pub frechet_distance_halves_range: [f64; 2],
    /// Mean distance from a sample to the nearest reference image.
    pub nearest_real_distance: f64,
    /// Mean distance from a reference image to the nearest other one (leave one out).
    pub nearest_real_distance_real: f64,
    /// Mean distance from a sample to the nearest image trained on. Far below that of held-out
    /// images, it would mean copies.
    pub nearest_train_distance: f64,
    /// Mean distance from a held-out image to the nearest image trained on; `None` without any.
    pub nearest_train_distance_held_out: Option<f64>,
}

/// What is being computed, for a display of progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EvaluationProgress {
    /// In words.
    pub stage: &'static str,
    /// Images done in this stage.
    pub done: usize,
    /// Images of this stage.
    pub total: usize,
}

/// Computes all figures.
///
/// # Errors
/// When there are fewer than two samples or four reference images, no image trained on, a pixel that
/// is not finite, images of different numbers of pixels, or not as many classes as images.
pub fn evaluate(
    inputs: &Inputs<'_>,
    progress: &mut dyn FnMut(EvaluationProgress),
) -> Result<Report, EvaluationError> {
    check_inputs(inputs)?;
    let Inputs { samples, reference, held_out, .. } = *inputs;
    let Distances { found, rows, real, train, held_out: held_out_train } =
        distances(inputs, progress)?;
    staged(progress, "Frechet distances", 0)(0);
    let frechet_distance =
        Moments::of(samples.pixels)?.frechet_distance(&Moments::of(reference.pixels)?)?;
    let halves = frechet_between_halves(reference.pixels, HALVINGS, inputs.seed)?;
    let (shares, per_class) = class_agreements(inputs, &found, &real, &rows).unzip();
    let (class_agreement, class_agreement_real) = shares.unzip();
    Ok(Report {
        samples: samples.pixels.nrows(),
        reference: reference.pixels.nrows(),
        train: inputs.train.unwrap_or(reference.pixels).nrows(),
        held_out: held_out.nrows(),
        class_agreement,
        class_agreement_real,
        class_agreement_per_class: per_class.unwrap_or_default(),
        diversity: diversity(samples.pixels, samples.classes),
        diversity_real: diversity(reference.pixels, reference.classes),
        frechet_distance,
        frechet_distance_halves: halves.iter().sum::<f64>() / halves.len() as f64,
        frechet_distance_halves_range: [
            halves.iter().copied().fold(f64::INFINITY, f64::min),
            halves.iter().copied().fold(0.0, f64::max),
        ],
        nearest_real_distance: found.mean_nearest(),
        nearest_real_distance_real: real.mean_nearest(),
        nearest_train_distance: train,
        nearest_train_distance_held_out: held_out_train,
    })
}

/// Neighbours, and mean distances to the nearest training image.
struct Distances {
    /// Of the samples, among the reference.
    found: Neighbours,
    /// The reference images that were left out in turn.
    rows: Vec<usize>,
    /// Of those, among the other reference images.
    real: Neighbours,
    /// From the samples.
    train: f64,
    /// From the held-out images.
    held_out: Option<f64>,
}

fn distances(
    inputs: &Inputs<'_>,
    progress: &mut dyn FnMut(EvaluationProgress),
) -> Result<Distances, EvaluationError> {
    let Inputs { samples, reference, held_out, .. } = *inputs;
    let count = samples.pixels.nrows();
    let mut done = staged(progress, "nearest real images of the samples", count);
    let found = nearest(samples.pixels, reference.pixels, VOTERS, &mut done)?;
    drop(done);
    let rows = spread(reference.pixels.nrows(), REAL_QUERIES);
    let mut done = staged(progress, "nearest real images of the real ones", rows.len());
    let real = nearest_others(reference.pixels, &rows, VOTERS, &mut done)?;
    drop(done);
    let mut train_distance = found.mean_nearest();
    if let Some(train) = inputs.train {
        let mut done = staged(progress, "nearest training images of the samples", count);
        train_distance = nearest(samples.pixels, train, 1, &mut done)?.mean_nearest();
    }
    let mut held_out_distance = None;
    if !held_out.is_empty() {
        let train = inputs.train.unwrap_or(reference.pixels);
        let stage = "nearest training images of the held-out ones";
        let mut done = staged(progress, stage, held_out.nrows());
        held_out_distance = Some(nearest(held_out, train, 1, &mut done)?.mean_nearest());
    }
    Ok(Distances { found, rows, real, train: train_distance, held_out: held_out_distance })
}

/// Announces a stage, and passes on how far it is.
fn staged<'a>(
    progress: &'a mut dyn FnMut(EvaluationProgress),
    stage: &'static str,
    total: usize,
) -> impl FnMut(usize) + 'a {
    progress(EvaluationProgress { stage, done: 0, total });
    move |done| progress(EvaluationProgress { stage, done, total })
}

/// Refuses what any of the figures would refuse, before the long part begins.
fn check_inputs(inputs: &Inputs<'_>) -> Result<(), EvaluationError> {
    let Inputs { samples, reference, train, held_out, .. } = *inputs;
    let pixels = reference.pixels.ncols();
    check("the reference", reference.pixels, pixels, VOTERS + 1)?;
    check("the samples", samples.pixels, pixels, 2)?;
    check("the training set", train.unwrap_or(reference.pixels), pixels, 1)?;
    if !held_out.is_empty() {
        check("the held-out set", held_out, pixels, 1)?;
    }
    for (what, images) in [("the reference", reference), ("the samples", samples)] {
        let (got, count) = (images.classes.map(<[u32]>::len), images.pixels.len_of(Axis(0)));
        if let Some(classes) = got.filter(|&classes| classes != count) {
            return Err(EvaluationError::ClassCount { what, classes, images: count });
        }
    }
    Ok(())
}

/// Shares of the samples and of the real images, and the samples' for each class.
fn class_agreements(
    inputs: &Inputs<'_>,
    found: &Neighbours,
    real: &Neighbours,
    rows: &[usize],
) -> Option<((f64, f64), Vec<Agreement>)> {
    let (asked, known) = (inputs.samples.classes?, inputs.reference.classes?);
    let classes = known.iter().chain(asked).max().map_or(0, |&class| class + 1);
    let (all, each) = agreement(asked, &votes_as_asked(found, asked, known), classes);
    let own: Vec<u32> = rows.iter().map(|&row| known[row]).collect();
    let (all_real, _) = agreement(&own, &votes_as_asked(real, &own, known), 0);
    Some(((all.share, all_real.share), each))
}

/// At most `most` of the numbers below `count`, evenly spread.
fn spread(count: usize, most: usize) -> Vec<usize> {
    let kept = count.min(most);
    (0..kept).map(|k| k * count / kept).collect()
}

#[cfg(test)]
mod tests {
    use approx::assert_abs_diff_eq;
    use ndarray::Array2;
    use tweedie_datasets::{Dataset, digits, digits_splits};

    use super::*;
    use crate::pixels::pixels_of_levels;

    fn pixels(set: &Dataset) -> Array2<f32> {
        pixels_of_levels(set.images(), set.item_len(), set.levels()).unwrap()
    }

    #[test]
    fn the_digits_give_the_published_yardsticks() {
        let (all, splits) = (digits().unwrap(), digits_splits().unwrap());
        let (every, train, held_out) = (pixels(&all), pixels(&splits.train), pixels(&splits.test));
        // The held-out images in the place of samples: as good as a model can get.
        let report = evaluate(
            &Inputs {
                samples: Images { pixels: held_out.view(), classes: splits.test.labels() },
                reference: Images { pixels: every.view(), classes: all.labels() },
                train: Some(train.view()),
                held_out: held_out.view(),
                seed: 0,
            },
            &mut |_| {},
        )
        .unwrap();
        assert_eq!((report.samples, report.reference), (180, 1797));
        assert_eq!((report.train, report.held_out), (1617, 180));
        // Of a reference run with other software: 1.027, and 0.063 to 0.078 over a few halvings.
        assert_abs_diff_eq!(report.nearest_real_distance_real, 1.027, epsilon = 5e-4);
        let [low, high] = report.frechet_distance_halves_range;
        assert!(low < 0.078 && high > 0.063, "{low} to {high}");
        assert!((0.055..0.085).contains(&report.frechet_distance_halves));
        assert_abs_diff_eq!(report.class_agreement_real.unwrap(), 0.9883, epsilon = 5e-5);
        // Each held-out image is in the reference itself, and not in the training set.
        assert_eq!(report.nearest_real_distance, 0.0);
        assert!(report.nearest_train_distance > 0.9);
        assert_eq!(Some(report.nearest_train_distance), report.nearest_train_distance_held_out);
        assert!(report.class_agreement.unwrap() > 0.98);
        assert!(report.class_agreement_per_class.iter().all(|class| class.asked == 18));
    }

    #[test]
    fn bad_samples_are_told_by_every_figure() {
        let all = digits().unwrap();
        let every = pixels(&all);
        let grey = Array2::from_elem((50, 64), 0.3);
        let asked: Vec<u32> = (0..50).map(|k| k % 10).collect();
        let mut stages = vec![];
        let report = evaluate(
            &Inputs {
                samples: Images { pixels: grey.view(), classes: Some(&asked) },
                reference: Images { pixels: every.view(), classes: all.labels() },
                train: None,
                held_out: Array2::zeros((0, 64)).view(),
                seed: 0,
            },
            &mut |progress| stages.push(progress.stage),
        )
        .unwrap();
        assert!(report.class_agreement.unwrap() <= 0.1);
        assert!(report.frechet_distance > 20.0 * report.frechet_distance_halves);
        assert!(report.nearest_real_distance > 1.5 * report.nearest_real_distance_real);
        assert_eq!(report.diversity, 0.0);
        assert!(report.diversity_real > 2.0);
        assert_eq!(report.nearest_train_distance, report.nearest_real_distance);
        assert_eq!(report.nearest_train_distance_held_out, None);
        stages.dedup();
        assert_eq!(stages.len(), 3);
    }

    #[test]
    fn a_report_without_classes_is_json_with_nulls() {
        let every = pixels(&digits().unwrap());
        let plain = Images { pixels: every.view(), classes: None };
        let inputs = Inputs {
            samples: plain,
            reference: plain,
            train: None,
            held_out: every.view(),
            seed: 1,
        };
        let report = evaluate(&inputs, &mut |_| {}).unwrap();
        assert_abs_diff_eq!(report.frechet_distance, 0.0, epsilon = 1e-6);
        let json = serde_json::to_value(&report).unwrap();
        assert!(json["class_agreement"].is_null());
        assert_eq!(json["nearest_train_distance_held_out"], 0.0);
    }

    #[test]
    fn bad_inputs_are_refused_before_anything_is_computed() {
        let every = pixels(&digits().unwrap());
        let plain = Images { pixels: every.view(), classes: None };
        let held_out = Array2::zeros((0, 64));
        let good = Inputs {
            samples: plain,
            reference: plain,
            train: None,
            held_out: held_out.view(),
            seed: 0,
        };
        let error = |inputs: Inputs<'_>| {
            evaluate(&inputs, &mut |_| panic!("computing")).unwrap_err().to_string()
        };
        let short = Images { classes: Some(&[1, 2]), ..plain };
        assert_eq!(
            error(Inputs { samples: short, ..good }),
            "the samples holds 2 classes for 1797 images"
        );
        let mut broken = every.clone();
        broken[[7, 3]] = f32::INFINITY;
        let samples = Images { pixels: broken.view(), classes: None };
        assert_eq!(
            error(Inputs { samples, ..good }),
            "pixel 3 of image 7 in the samples is inf, expected a finite number"
        );
        let other = Array2::zeros((5, 63));
        let samples = Images { pixels: other.view(), classes: None };
        assert_eq!(
            error(Inputs { samples, ..good }),
            "the samples has 63 pixels an image, expected 64 as in the reference"
        );
    }

    #[test]
    fn a_spread_covers_the_set() {
        assert_eq!(spread(4, 10), [0, 1, 2, 3]);
        assert_eq!(spread(10, 4), [0, 2, 5, 7]);
    }
}
