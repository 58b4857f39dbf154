//! Progress on standard error: a bar on a terminal, plain lines elsewhere.

use crate::print;
use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::cell::Cell;
use std::io::IsTerminal;
use std::time::{Duration, Instant};
use tweedie_training::{Event, Observer};

/// A bar over network calls, of a length that may not be known; it stays silent where there is no
/// terminal.
pub(crate) fn calls(total: Option<u64>) -> ProgressBar {
    match total {
        Some(total) => bar(total, "{bar:32} {pos}/{len} network calls  {per_sec}  {eta} left"),
        None => bar(0, "{spinner} {pos} network calls  {per_sec}  {elapsed}"),
    }
}

/// A bar over images.
pub(crate) fn images(total: usize) -> ProgressBar {
    bar(total as u64, "{bar:32} {pos}/{len} images  {per_sec}  {eta} left  {msg}")
}

/// A bar over bytes of a download.
pub(crate) fn bytes(total: u64) -> ProgressBar {
    bar(total, "{msg} {bar:32} {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left")
}

/// A bar with a template of its own.
pub(crate) fn bar(total: u64, template: &str) -> ProgressBar {
    let style =
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let target = if std::io::stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    ProgressBar::with_draw_target(Some(total), target).with_style(style)
}

/// Seconds between two lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// The progress of a measurement over images: a bar on a terminal, a line now and then elsewhere.
pub(crate) struct Work {
    bar: ProgressBar,
    started: Instant,
    calls: Cell<u64>,
    done: usize,
    last_line: Option<Instant>,
}

impl Work {
    /// Work over `total` images, `done` of which are finished.
    pub(crate) fn over_images(total: usize, done: usize) -> Self {
        let template =
            "{bar:32} {pos}/{len} images  {per_sec}  {eta} left  {msg}  {prefix} network passes";
        let bar = bar(total as u64, template).with_position(done as u64);
        bar.reset_eta();
        Self { bar, started: Instant::now(), calls: Cell::new(0), done: 0, last_line: None }
    }

    /// A line above the bar, or on its own where there is none.
    pub(crate) fn say(&self, line: &str) {
        say(&self.bar, line);
    }

    /// So many more passes of the network.
    pub(crate) fn calls(&self, more: u64) {
        self.calls.set(self.calls.get() + more);
        self.bar.set_prefix(format!("{}", self.calls.get()));
    }

    /// So many more images, and the figure so far.
    pub(crate) fn advance(&mut self, images: usize, figure: &str) {
        self.done += images;
        self.bar.inc(images as u64);
        self.bar.set_message(figure.to_owned());
        let (at, total) = (self.bar.position(), self.bar.length().unwrap_or(0));
        let due = self.last_line.is_none_or(|last| last.elapsed() >= LINE_EVERY);
        if self.bar.is_hidden() && (due || at == total) {
            let left = time_left(self.started.elapsed(), self.done as u64, total - at);
            eprintln!("{at}/{total} images  {figure}  {} left", HumanDuration(left));
            self.last_line = Some(Instant::now());
        }
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// A line above a bar, or on its own where the bar is not shown.
fn say(bar: &ProgressBar, line: &str) {
    if bar.is_hidden() {
        eprintln!("{line}");
    } else {
        bar.println(line);
    }
}

/// The progress of a run: a bar on a terminal, a line now and then elsewhere.
pub(crate) struct TrainingProgress {
    bar: ProgressBar,
    started: Instant,
    first_step: u64,
    last_line: Option<Instant>,
}

impl TrainingProgress {
    pub(crate) fn new() -> Self {
        let bar = bar(0, "{bar:32} step {pos}/{len}  {msg}  {eta} left");
        Self { bar, started: Instant::now(), first_step: 0, last_line: None }
    }

    fn say(&self, line: &str) {
        say(&self.bar, line);
    }

    fn start(&mut self, step: u64, total: u64) {
        self.bar.reset();
        self.bar.set_length(total);
        self.bar.set_position(step);
        self.bar.reset_eta();
        (self.started, self.first_step) = (Instant::now(), step);
    }

    fn step(&mut self, step: u64, total: u64, message: String) {
        let due = self.last_line.is_none_or(|last| last.elapsed() >= LINE_EVERY);
        if self.bar.is_hidden() && (due || step == total) {
            let left = time_left(self.started.elapsed(), step - self.first_step, total - step);
            eprintln!("step {step}/{total}  {message}  {} left", HumanDuration(left));
            self.last_line = Some(Instant::now());
        }
        self.bar.set_message(message);
        self.bar.set_position(step);
    }
}

/// What is left when `done` steps took `elapsed`.
fn time_left(elapsed: Duration, done: u64, left: u64) -> Duration {
    elapsed.div_f64(done.max(1) as f64).mul_f64(left as f64)
}

impl Observer for TrainingProgress {
    fn observe(&mut self, event: &Event<'_>) {
        match *event {
            Event::Started { step, total, parameters, device, threads } => {
                self.start(step, total);
                let at = if step > 0 { format!(", after step {step}") } else { String::new() };
                self.say(&format!(
                    "training on {device} ({threads} threads): {parameters} parameters, {total} steps{at}"
                ));
            }
            Event::Step { step, total, smoothed_loss, images_per_second, .. } => {
                let message = format!("loss {smoothed_loss:.4}  {images_per_second:.0} images/s");
                self.step(step, total, message);
            }
            Event::Skipped { step, loss, gradient_norm, in_a_row, .. } => self.say(&format!(
                "step {step} skipped: loss {loss}, gradient norm {gradient_norm} ({in_a_row} in a row)"
            )),
            Event::HeldOut { step, loss, accuracy } => {
                let right = accuracy.map_or_else(String::new, |right| {
                    format!(", top-1 {:.3}, top-5 {:.3}", right.top_1, right.top_5)
                });
                self.say(&format!("step {step}: loss {loss:.4}{right} on held-out images"));
            }
            Event::NotSaved { step } => {
                self.say(&format!("step {step}: not saved, since the weights are not finite"));
            }
            Event::Drawn { step, path } => self.say(&format!("step {step}: {}", path.display())),
            Event::Damaged { path, error } => {
                self.say(&format!("passed over {}: {}", path.display(), print::chain(error)));
            }
            Event::Finished { training_seconds, .. } => {
                self.bar.finish_and_clear();
                eprintln!("trained for {training_seconds:.0} s");
            }
            _ => {}
        }
    }
}

impl Drop for TrainingProgress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_left_is_in_proportion_to_the_steps_left() {
        let elapsed = Duration::from_secs(30);
        assert_eq!(time_left(elapsed, 10, 20), Duration::from_secs(60));
        assert_eq!(time_left(elapsed, 0, 0), Duration::ZERO);
    }
}
