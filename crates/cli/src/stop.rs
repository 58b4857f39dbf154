//! Ctrl-C: the program says at once that it heard, the work at hand is finished and kept, and it says how to
//! go on.

use anyhow::Result;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

/// A request to stop, made by the first SIGINT or SIGTERM; the second ends the process at once.
pub(crate) struct Stop {
    asked: Arc<AtomicBool>,
    signal: Arc<AtomicUsize>,
    /// Says that the request was heard, and ends.
    answer: JoinHandle<()>,
}

impl Stop {
    /// Hears signals from now on; `until` says when the work will stop, as in "after this step".
    pub(crate) fn on_signals(until: &'static str) -> Result<Self> {
        let (asked, heard) = (Arc::default(), Arc::default());
        for signal in [SIGINT, SIGTERM] {
            let status = 128 + signal;
            signal_hook::flag::register_conditional_shutdown(signal, status, Arc::clone(&asked))?;
            signal_hook::flag::register_usize(signal, Arc::clone(&heard), signal as usize)?;
            signal_hook::flag::register(signal, Arc::clone(&asked))?;
        }
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        let answer = std::thread::spawn(move || {
            if signals.forever().next().is_some() {
                // a progress bar may stand on the line
                let before = if std::io::stderr().is_terminal() { "\n" } else { "" };
                eprintln!("{before}stopping {until}; again to stop at once");
            }
        });
        Ok(Self { asked, signal: heard, answer })
    }

    /// Set as soon as the request is made.
    pub(crate) fn flag(&self) -> &AtomicBool {
        &self.asked
    }

    pub(crate) fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    /// What a shell expects of a process that a signal ended: 128 and the signal's number.
    pub(crate) fn exit_code(self) -> ExitCode {
        let _ = self.answer.join(); // work that ends sooner than a line is written does not swallow it
        ExitCode::from(128 + self.signal.load(Ordering::Relaxed) as u8)
    }
}
