//! The picture of a bound's terms.

use super::bound::{between, split};
use tweedie_likelihood::BoundSummary;
use tweedie_plots::{Axis, Chart, Line, Mark, Picture, Style};
use tweedie_training::RunSchedule;

/// The terms by time, on a logarithmic scale: those of the steps as a line, the prior's and the decoder's
/// at its two ends.
pub(super) fn picture(state: &BoundSummary, title: String, schedule: &RunSchedule) -> Picture {
    let (decoder, before) = split(state.steps());
    let steps = before.iter().map(|step| (step.from, step.bits.mean())).collect();
    let first = before.first().map_or(1.0, |step| step.from);
    let last = state.steps().last().map_or(0.0, |step| step.from);
    let one = |at: f64, bits: f64, index: usize, mark: Mark, name: String| {
        let style = Style { mark: Some(mark), ..Style::of_series(index) };
        Line::new(vec![(at, bits)], style).named(name)
    };
    let sum = between(state);
    let line = Line::new(steps, Style::of_series(0)).named(format!("L_t, together {sum:.4}"));
    let prior = state.prior().mean();
    let (decoder, noisy) = (decoder.mean(), first);
    let time = match schedule {
        RunSchedule::Edm(_) => Axis::log("noise σ"),
        _ => Axis::linear("time t"),
    };
    let chart = Chart::new("", time, Axis::log("bits per dimension"))
        .with(line)
        .with(one(last, decoder, 1, Mark::Circle, format!("decoder L_0, {decoder:.4}")))
        .with(one(noisy, prior, 2, Mark::Square, format!("prior L_T, {prior:.1e}")));
    Picture::new(title, vec![chart])
}
