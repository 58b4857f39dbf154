//! Shows on stderr how a long job gets on: a bar on a terminal, a few plain lines elsewhere.

use indicatif::{DecimalBytes, ProgressBar, ProgressStyle};
use std::cell::Cell;
use std::io::IsTerminal;

/// On something that is no terminal, a line is printed each time this share of the job is done.
const PLAIN_LINES: u64 = 4;

/// The progress of one job, in bytes.
#[derive(Debug)]
pub(crate) struct Progress {
    name: String,
    total: u64,
    done: Cell<u64>,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Starts to show a job of `total` bytes.
    pub(crate) fn start(name: &str, total: u64) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let form = "{msg} {wide_bar} {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} {eta}";
            let style = ProgressStyle::with_template(form).expect("a valid template");
            ProgressBar::new(total).with_style(style).with_message(name.to_owned())
        });
        if bar.is_none() {
            eprintln!("{name} ({}) ...", DecimalBytes(total));
        }
        Self { name: name.to_owned(), total, done: Cell::new(0), bar }
    }

    /// Shows that `done` bytes of the job are done.
    pub(crate) fn set(&self, done: u64) {
        let before = self.done.replace(done);
        match &self.bar {
            Some(bar) => bar.set_position(done.min(self.total)),
            None => {
                let share = |bytes: u64| bytes.min(self.total) * PLAIN_LINES / self.total.max(1);
                if share(done) > share(before) && share(done) < PLAIN_LINES {
                    eprintln!("{} ... {} %", self.name, 100 * share(done) / PLAIN_LINES);
                }
            }
        }
    }

    /// Shows that `bytes` more are done.
    pub(crate) fn add(&self, bytes: u64) {
        self.set(self.done.get() + bytes);
    }

    /// Leaves the finished bar (or its last line) standing.
    pub(crate) fn finish(self) {
        match self.bar {
            Some(bar) => bar.finish(),
            None => eprintln!("{} ... done", self.name),
        }
    }
}
