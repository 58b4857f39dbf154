//! The loss on held-out images by noise level: as numbers, and as a picture.
//!
//! A loss is a mean over noise levels, and its number says first how those were chosen. Level by level it
//! shows what was learned, and where a model that learns by heart gives itself away.

use serde::{Deserialize, Serialize};
use tweedie_plots::{Axis, Chart, Colour, Line, PlotError, Style};
use tweedie_schedules::TimePoint;

use crate::Accuracy;

/// Into how many groups of equal size the images of a measurement are put.
pub(crate) const GROUPS: usize = 24;

/// The loss of one image at its time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LossAt {
    pub(crate) at: TimePoint,
    /// Before its weight.
    pub(crate) loss: f64,
    /// What it is multiplied by in the mean.
    pub(crate) weight: f64,
    /// Of a classifier: how many classes it takes for likelier than the true one.
    pub(crate) rank: Option<i64>,
}

/// The mean of losses, each with its weight.
pub(crate) fn mean(losses: &[LossAt]) -> f64 {
    losses.iter().map(|at| at.loss * at.weight).sum::<f64>() / losses.len() as f64
}

/// How often a classifier was right, over all images; `None` of other networks.
pub(crate) fn accuracy(losses: &[LossAt]) -> Option<Accuracy> {
    Accuracy::of(losses.iter().filter_map(|at| Some((at.rank?, at.weight))))
}

/// The loss over a range of noise levels.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LevelLoss {
    /// Earliest and latest time of an image of the group.
    pub t: [f64; 2],
    /// Half the log signal-to-noise ratio there, `ln(alpha / sigma)`.
    pub lambda: [f64; 2],
    /// Mean loss, before the weights by which times are drawn; `None` where it is not finite.
    pub loss: Option<f64>,
    /// Its standard error.
    pub standard_error: Option<f64>,
    /// How often a classifier was right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<Accuracy>,
    /// The standard errors of these two shares.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy_error: Option<Accuracy>,
    /// Images in the group.
    pub images: usize,
}

/// A measurement by noise level, noisiest first: groups of equal size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LossesByLevel {
    /// Training steps of the weights that were measured.
    pub step: u64,
    /// How often a classifier was right, over all levels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<Accuracy>,
    /// The groups.
    pub levels: Vec<LevelLoss>,
}

impl LossesByLevel {
    /// Sorts the losses by noise and puts them into groups.
    pub(crate) fn new(step: u64, mut losses: Vec<LossAt>) -> Self {
        losses.sort_by(|a, b| b.at.t.total_cmp(&a.at.t));
        let accuracy = accuracy(&losses);
        let size = losses.len().div_ceil(GROUPS).max(1);
        Self { step, accuracy, levels: losses.chunks(size).map(group).collect() }
    }

    /// The picture, as the bytes of a PNG file.
    pub(crate) fn png(&self) -> Result<Vec<u8>, PlotError> {
        let points: Vec<_> = self.levels.iter().filter_map(LevelLoss::point).collect();
        let curve = Line::new(middles(&points), Style::of_marked_series(0));
        let named = self.accuracy.is_some();
        let chart = Chart::new("", noise_axis(), loss_axis(&points))
            .with_all(bars(&points, 0))
            .with(if named { curve.named("loss") } else { curve });
        let what = if named { "Loss and accuracy" } else { "Loss" };
        let title = format!("{what} by noise level after {} steps", self.step);
        let charts = [Some(chart), self.accuracy_chart()].into_iter().flatten().collect();
        tweedie_plots::Picture::new(title, charts).png()
    }

    /// How often a classifier was right at each level.
    fn accuracy_chart(&self) -> Option<Chart> {
        self.accuracy?;
        let points = |share: fn(&Accuracy) -> f64| -> Vec<Point> {
            let point = |level: &LevelLoss| {
                let error = level.accuracy_error.as_ref().map_or(0.0, share);
                Some((level.middle(), share(&level.accuracy?), error))
            };
            self.levels.iter().filter_map(point).collect()
        };
        let [first, five] = [points(|shares| shares.top_1), points(|shares| shares.top_5)];
        let curve = |series, name: &str, points: &[Point]| {
            Line::new(middles(points), Style::of_marked_series(series)).named(name)
        };
        let share = Axis::linear("share of held-out images").over(0.0, 1.0);
        let chart = Chart::new("How often the class is right", noise_axis(), share)
            .with_all(bars(&first, 1))
            .with_all(bars(&five, 2))
            .with(curve(1, "top-1", &first))
            .with(curve(2, "top-5", &five));
        Some(chart)
    }
}

/// Where something stands: half the log signal-to-noise ratio, its value and the standard error.
type Point = (f64, f64, f64);

fn middles(points: &[Point]) -> Vec<(f64, f64)> {
    points.iter().map(|(lambda, value, _)| (*lambda, *value)).collect()
}

/// A bar of a standard error to both sides at each point.
fn bars(points: &[Point], series: usize) -> impl Iterator<Item = Line> {
    points.iter().map(move |(lambda, value, error)| {
        let ends = vec![(*lambda, value - error), (*lambda, value + error)];
        Line::new(ends, Style::plain(Colour::of_series(series), 1.0))
    })
}

/// Logarithmic where the losses span a power of ten, so that it has marks.
fn loss_axis(points: &[Point]) -> Axis {
    let least = points.iter().map(|(_, loss, error)| loss - error).fold(f64::INFINITY, f64::min);
    let most = points.iter().map(|(_, loss, error)| loss + error).fold(0.0, f64::max);
    let label = "loss on held-out images";
    if least > 0.0 && most >= 10.0 * least { Axis::log(label) } else { Axis::linear(label) }
}

fn noise_axis() -> Axis {
    Axis::linear("lambda, half the log signal-to-noise ratio: noise left, data right")
}

impl LevelLoss {
    fn middle(&self) -> f64 {
        0.5 * (self.lambda[0] + self.lambda[1])
    }

    /// Where the group stands in the picture: its middle, its loss and the standard error.
    fn point(&self) -> Option<Point> {
        Some((self.middle(), self.loss?, self.standard_error.unwrap_or(0.0)))
    }
}

/// Losses of neighbouring levels, noisiest first and not empty.
fn group(losses: &[LossAt]) -> LevelLoss {
    let count = losses.len() as f64;
    let mean = losses.iter().map(|at| at.loss).sum::<f64>() / count;
    let squares: f64 = losses.iter().map(|at| (at.loss - mean).powi(2)).sum();
    let error = (squares / (count * (count - 1.0))).sqrt(); // not a number for a single image
    let (noisiest, cleanest) = (losses[0].at, losses[losses.len() - 1].at);
    let accuracy = accuracy(losses);
    LevelLoss {
        t: [cleanest.t, noisiest.t],
        lambda: [noisiest.level.lambda(), cleanest.level.lambda()],
        loss: mean.is_finite().then_some(mean),
        standard_error: error.is_finite().then_some(error),
        accuracy,
        accuracy_error: accuracy.map(|shares| shares.standard_error(losses.len())),
        images: losses.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tweedie_schedules::{NoiseSchedule, VpLinear};

    fn losses(count: usize) -> Vec<LossAt> {
        let schedule = VpLinear::new(0.1, 20.0).unwrap();
        let loss = |k: usize| {
            let t = (k as f64 + 0.5) / count as f64;
            LossAt { at: schedule.point(t), loss: t, weight: 2.0, rank: None }
        };
        (0..count).map(loss).collect()
    }

    #[test]
    fn groups_are_of_equal_size_and_hold_their_means() {
        let all = losses(240);
        assert!((mean(&all) - 1.0).abs() < 1e-12);
        let measured = LossesByLevel::new(7, all);
        assert_eq!(measured.levels.len(), 24);
        let first = measured.levels[0];
        assert_eq!(first.images, 10);
        // the ten noisiest of 240 evenly spread times
        assert!((first.loss.unwrap() - (1.0 - 5.0 / 240.0)).abs() < 1e-12);
        assert!(first.t[0] < first.t[1] && first.lambda[0] < first.lambda[1]);
        let spread = (82.5_f64 / 90.0).sqrt() / 240.0; // of ten neighbours 1/240 apart
        assert!((first.standard_error.unwrap() - spread).abs() < 1e-12);
    }

    #[test]
    fn a_measurement_of_few_images_or_of_none_is_drawn_too() {
        for count in [0, 1, 25] {
            let measured = LossesByLevel::new(0, losses(count));
            assert_eq!(measured.levels.iter().map(|level| level.images).sum::<usize>(), count);
            assert!(measured.png().unwrap().starts_with(b"\x89PNG"));
        }
    }

    #[test]
    fn a_classifier_is_measured_level_by_level_and_over_all() {
        let mut all = losses(48);
        // right in the cleaner half, and among the five likeliest everywhere
        all.iter_mut().for_each(|at| at.rank = Some(if at.at.t < 0.5 { 0 } else { 4 }));
        let measured = LossesByLevel::new(3, all);
        assert_eq!(measured.accuracy, Some(Accuracy { top_1: 0.5, top_5: 1.0 }));
        let cleanest = measured.levels[23];
        assert_eq!(cleanest.accuracy_error, Some(Accuracy { top_1: 0.0, top_5: 0.0 }));
        let shares: Vec<_> =
            measured.levels.iter().map(|level| level.accuracy.unwrap().top_1).collect();
        assert_eq!(shares, [[0.0; 12], [1.0; 12]].concat());
        assert!(
            measured.png().unwrap().len() > LossesByLevel::new(3, losses(48)).png().unwrap().len()
        );
    }

    #[test]
    fn negative_losses_and_losses_that_are_no_numbers_are_drawn() {
        let mut spoiled = losses(48);
        spoiled[0].loss = f64::NAN;
        spoiled[20].loss = -1.0;
        let measured = LossesByLevel::new(0, spoiled);
        assert_eq!(measured.levels[23].loss, None);
        measured.png().unwrap();
    }
}
