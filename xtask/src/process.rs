//! Runs a program and waits for it, also through Ctrl-C: the program ends in its own time (a
//! training saves first), and its exit code becomes ours.

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, getpgrp, kill_process};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::io::{self, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// What a shell adds to the number of the signal that ended a program.
const SIGNAL_BASE: i32 = 128;

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Outcome {
    code: u8,
    interrupted: bool,
}

impl Outcome {
    /// Whether it ended well and nobody asked to stop.
    pub(crate) fn is_success(self) -> bool {
        self.code == 0 && !self.interrupted
    }

    /// Whether somebody asked to stop, by Ctrl-C or otherwise.
    pub(crate) fn is_interrupted(self) -> bool {
        self.interrupted
    }

    /// The exit code to end with in its turn.
    pub(crate) fn exit_code(self) -> ExitCode {
        ExitCode::from(self.number())
    }

    /// [`Outcome::exit_code`] as a number.
    pub(crate) fn number(self) -> u8 {
        match self {
            // Stopped in order when asked to, it has not done all its work: say what a shell would.
            Self { code: 0, interrupted: true } => 128 + 2,
            Self { code, .. } => code,
        }
    }

    fn of(status: ExitStatus, interrupted: bool) -> Self {
        let code = status.code().or_else(|| Some(SIGNAL_BASE + status.signal()?));
        Self { code: code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1), interrupted }
    }
}

/// Runs `command` to its end.
pub(crate) fn run(command: &mut Command) -> Result<Outcome> {
    let (status, interrupted) = watched(command, |child| child.wait())?;
    Ok(Outcome::of(status, interrupted))
}

/// Runs `command` to its end and gives back what it wrote to stdout.
pub(crate) fn capture(command: &mut Command) -> Result<(Outcome, Vec<u8>)> {
    command.stdout(Stdio::piped());
    let ((status, output), interrupted) = watched(command, |child| {
        let mut output = Vec::new();
        if let Some(mut stdout) = child.stdout.take() {
            stdout.read_to_end(&mut output)?;
        }
        Ok((child.wait()?, output))
    })?;
    Ok((Outcome::of(status, interrupted), output))
}

/// Starts `command` and waits for it with `wait`, passing signals on meanwhile; says whether there
/// was one.
fn watched<T>(
    command: &mut Command,
    wait: impl FnOnce(&mut Child) -> io::Result<T>,
) -> Result<(T, bool)> {
    let watch = SignalWatch::get()?;
    let name = command.get_program().to_string_lossy().into_owned();
    let mut child = command.spawn().with_context(|| format!("cannot start {name}"))?;
    watch.child.store(i32::try_from(child.id()).unwrap_or_default(), Ordering::SeqCst);
    if watch.stopped.load(Ordering::SeqCst) {
        watch.pass_on(Signal::TERM); // Asked to stop between two programs.
    }
    let ended = wait(&mut child);
    watch.child.store(0, Ordering::SeqCst);
    let ended = ended.with_context(|| format!("cannot wait for {name}"))?;
    Ok((ended, watch.stopped.load(Ordering::SeqCst)))
}

/// Whether a terminal sends Ctrl-C to us, and so to every program that we start.
fn in_foreground() -> bool {
    let stdin = io::stdin();
    rustix::termios::tcgetpgrp(&stdin).is_ok_and(|group| group == getpgrp())
}

/// Makes sure that `command` gets each signal once, for one that saves on the first and gives up on
/// the second. In the foreground of a terminal that is so; elsewhere it gets a group of its own, so
/// that what is sent to our whole group reaches it through us alone.
pub(crate) fn signal_once(command: &mut Command) {
    if !in_foreground() {
        command.process_group(0);
    }
}

/// Signals closer together than this are one request (some senders name a process and its group).
const ONE_REQUEST: Duration = Duration::from_millis(500);

/// Notices SIGINT and SIGTERM in place of dying of them, and passes them on.
#[derive(Debug, Default)]
struct SignalWatch {
    child: AtomicI32,
    stopped: AtomicBool,
}

impl SignalWatch {
    fn get() -> Result<&'static Self> {
        static WATCH: OnceLock<SignalWatch> = OnceLock::new();
        static STARTED: OnceLock<()> = OnceLock::new();
        let watch = WATCH.get_or_init(Self::default);
        if STARTED.set(()).is_ok() {
            let mut signals =
                Signals::new([SIGINT, SIGTERM]).context("cannot watch for signals")?;
            thread::spawn(move || {
                let mut last: Option<Instant> = None;
                for signal in signals.forever() {
                    if last.is_none_or(|last| last.elapsed() > ONE_REQUEST) {
                        last = Some(Instant::now());
                        watch.notice(signal);
                    }
                }
            });
        }
        Ok(watch)
    }

    fn notice(&self, signal: i32) {
        self.stopped.store(true, Ordering::SeqCst);
        if signal == SIGTERM {
            self.pass_on(Signal::TERM);
        } else if !in_foreground() {
            self.pass_on(Signal::INT);
        }
    }

    fn pass_on(&self, signal: Signal) {
        if let Some(child) = Pid::from_raw(self.child.load(Ordering::SeqCst)) {
            // It may have ended just now, which is as well.
            let _ = kill_process(child, signal);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(script: &str) -> Outcome {
        let status = Command::new("sh").args(["-c", script]).status().expect("sh");
        Outcome::of(status, false)
    }

    #[test]
    fn the_exit_code_is_the_programs_own() {
        assert_eq!(outcome("exit 0").number(), 0);
        assert_eq!(outcome("exit 7").number(), 7);
        assert_eq!(outcome("kill -TERM $$").number(), 143);
        assert!(outcome("exit 0").is_success() && !outcome("exit 7").is_success());
    }

    #[test]
    fn a_program_that_was_asked_to_stop_is_no_success() {
        let stopped = Outcome { code: 0, interrupted: true };
        assert!(!stopped.is_success());
        assert_eq!(stopped.number(), 130);
    }

    #[test]
    fn a_program_that_does_not_exist_is_an_error_that_names_it() {
        let error = run(&mut Command::new("/nonexistent/tweedie")).expect_err("absent");
        assert!(format!("{error:#}").contains("/nonexistent/tweedie"));
    }
}
