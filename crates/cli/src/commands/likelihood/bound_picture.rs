//! The picture of a bound's terms.

use super::bound::{between, split};
use tweedie_likelihood::BoundSummary;
use tweedie_plots::{Axis, Chart, Line, Mark, Picture, Style};
use tweedie_training::RunSchedule;

/// Decades below the largest term that are shown.
const DECADES: i32 = 5;

/// Steps that are each marked.
const FEW: usize = 50;

/// Ends of the axis that hold all terms but those which are next to nothing: these stand at the lower end.
fn ends(terms: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let high = terms.clone().filter(|term| term.is_finite()).fold(0.0, f64::max);
    if high == 0.0 {
        return (0.1, 1.0); // nothing to show
    }
    let floor = high * 10.0_f64.powi(-DECADES);
    let low = terms.filter(|term| *term >= floor).fold(high, f64::min);
    (low / 1.5, high * 1.5)
}

/// A line through many steps; few are marked one by one, so that even a single one is seen.
fn style(steps: usize) -> Style {
    if steps <= FEW { Style::of_marked_series(0) } else { Style::of_series(0) }
}

/// The terms by time, on a logarithmic scale: those of the steps as a line, the prior's and the decoder's
/// at its two ends. A term of nothing, or next to it, stands at the lower end of the scale.
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
    let line = Line::new(steps, style(before.len())).named(format!("L_t, together {sum:.4}"));
    let prior = state.prior().mean();
    let (decoder, noisy) = (decoder.mean(), first);
    let (low, high) = ends(before.iter().map(|step| step.bits.mean()).chain([decoder, prior]));
    let time = match schedule {
        RunSchedule::Edm(_) => Axis::log("noise σ"),
        _ => Axis::linear("time t"),
    };
    let chart = Chart::new("", time, Axis::log("bits per dimension").over(low, high))
        .with(line)
        .with(one(last, decoder.max(low), 1, Mark::Circle, format!("decoder L_0, {decoder:.4}")))
        .with(one(noisy, prior.max(low), 2, Mark::Square, format!("prior L_T, {prior:.1e}")));
    Picture::new(title, vec![chart])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_step_is_marked_and_many_are_not() {
        assert!(style(1).mark.is_some());
        assert!(style(1000).mark.is_none());
    }

    #[test]
    fn a_term_of_next_to_nothing_does_not_stretch_the_axis() {
        let of = |terms: &[f64]| ends(terms.iter().copied());
        assert_eq!(of(&[0.3, 0.03, 1e-9, 0.0]), (0.02, 0.3 * 1.5));
        assert_eq!(of(&[0.0, 0.0]), (0.1, 1.0));
    }
}
