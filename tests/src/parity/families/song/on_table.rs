//! The model of a peer that was trained on a chain's table alone (`continuous = False`).

use ndarray::ArrayD;
use tweedie_schedules::{NoiseLevel, Prediction, TimePoint};
use tweedie_score::{ScoreError, ScoreFn, Times};
use tweedie_sde::SongTable;

/// A model that is asked at the table entry nearest to the time of the call, and gives the score.
pub(super) struct OnTable<'a, F> {
    pub(super) inner: &'a F,
    pub(super) table: SongTable,
    /// Whether the entry is rounded, counted from the noisiest, instead of truncated.
    pub(super) rounds: bool,
}

impl<F> OnTable<'_, F> {
    fn level(&self, t: f64) -> NoiseLevel {
        let last = self.table.len() - 1;
        if self.rounds {
            let label = ((1.0 - t) * last as f64).round_ties_even() as usize;
            return self.table.level(last - label.min(last));
        }
        self.table.level(self.table.index(t))
    }

    /// The same time at the level of its entry.
    fn entry(&self, at: TimePoint) -> TimePoint {
        TimePoint { level: self.level(at.t), ..at }
    }
}

impl<F: ScoreFn<ArrayD<f64>>> ScoreFn<ArrayD<f64>> for OnTable<'_, F> {
    fn prediction(&self) -> Prediction {
        Prediction::Score
    }

    fn predict(&self, x: &ArrayD<f64>, at: Times<'_>) -> Result<ArrayD<f64>, ScoreError> {
        let each: Vec<TimePoint>;
        let at = match at {
            Times::Shared(point) => Times::Shared(self.entry(point)),
            Times::PerSample(points) => {
                each = points.iter().map(|at| self.entry(*at)).collect();
                Times::PerSample(&each)
            }
        };
        let output = self.inner.predict(x, at)?;
        at.convert(self.inner.prediction(), Prediction::Score, x, output)
    }
}
