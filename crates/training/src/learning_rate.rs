//! The learning rate of each step: a line up, then half a cosine or a line down, or level.

use crate::config::{DecayKind, TrainingConfig};

/// The learning rate of step `step`, counted from 0.
///
/// Over the first `warmup` steps it rises in equal parts to `learning_rate`, which it has at step
/// `warmup - 1`. Cosine and linear decay then bring it down so that the step after the last would be at
/// zero.
#[must_use]
pub fn learning_rate(training: &TrainingConfig, step: u64) -> f64 {
    let TrainingConfig { learning_rate: peak, warmup, steps, decay, .. } = *training;
    if step < warmup {
        return peak * (step + 1) as f64 / warmup as f64;
    }
    let left = steps.saturating_sub(warmup).max(1) as f64;
    let share = ((step - warmup) as f64 / left).min(1.0);
    match decay {
        DecayKind::Constant => peak,
        DecayKind::Linear => peak * (1.0 - share),
        DecayKind::Cosine => peak * 0.5 * (1.0 + (std::f64::consts::PI * share).cos()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(decay: DecayKind) -> TrainingConfig {
        TrainingConfig { learning_rate: 2.0, warmup: 4, steps: 12, decay, ..Default::default() }
    }

    #[test]
    fn it_rises_in_equal_parts_to_the_peak() {
        let rates: Vec<_> =
            (0..5).map(|s| learning_rate(&config(DecayKind::Constant), s)).collect();
        assert_eq!(rates, [0.5, 1.0, 1.5, 2.0, 2.0]);
    }

    #[test]
    fn the_cosine_falls_strictly_from_the_peak_towards_zero() {
        let rate = |step| learning_rate(&config(DecayKind::Cosine), step);
        assert_eq!(rate(4), 2.0);
        assert!((rate(8) - 1.0).abs() < 1e-15);
        assert!((4..11).all(|step| rate(step + 1) < rate(step)));
        assert!(rate(11) > 0.0);
        assert_eq!(rate(12), 0.0);
    }

    #[test]
    fn the_line_falls_in_equal_parts() {
        let annealed = TrainingConfig { warmup: 0, ..config(DecayKind::Linear) };
        let rates: Vec<_> = (0..12).map(|step| learning_rate(&annealed, step)).collect();
        for (step, rate) in rates.into_iter().enumerate() {
            assert!((rate - 2.0 * (1.0 - step as f64 / 12.0)).abs() < 1e-15, "step {step}");
        }
        assert_eq!(learning_rate(&config(DecayKind::Linear), 8), 1.0);
        assert_eq!(learning_rate(&config(DecayKind::Linear), 12), 0.0);
    }

    #[test]
    fn a_run_shorter_than_its_warmup_is_no_error() {
        let short = TrainingConfig { steps: 2, ..config(DecayKind::Cosine) };
        assert!((0..8).all(|step| learning_rate(&short, step).is_finite()));
    }
}
