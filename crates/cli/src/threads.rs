//! How the threads of an operation wait for each other.
//!
//! libtorch computes with OpenMP, whose threads by default spin for milliseconds at the end of each
//! operation. On a machine that does anything else at the same time they spin away the very time
//! that the other thread needs, and training slows down many times over. The library reads its
//! settings while it is loaded, so the program starts itself once more with a better one.

use std::os::unix::process::CommandExt;
use std::process::Command;

/// Settings of the user's own, which are left alone.
const SETTINGS: [&str; 2] = ["GOMP_SPINCOUNT", "OMP_WAIT_POLICY"];

/// Turns in the waiting loop, a millisecond or two, a tenth of the default: on a free machine the
/// threads of an operation seldom lie further apart. (3000 turns cost a sixth of the speed there.)
const SPIN_COUNT: &str = "30000";

/// Replaces the process by itself with threads that wait patiently; returns when they do already.
pub(crate) fn wait_patiently() {
    if SETTINGS.iter().any(|name| std::env::var_os(name).is_some()) {
        return;
    }
    let Ok(program) = std::env::current_exe() else { return };
    // `exec` only returns when it failed: then the work is done with the threads as they are.
    let _ =
        Command::new(program).args(std::env::args_os().skip(1)).env(SETTINGS[0], SPIN_COUNT).exec();
}
