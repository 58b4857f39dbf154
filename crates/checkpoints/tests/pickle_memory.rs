//! A pickle takes no more memory than its budget, however many values it makes of few bytes. In a process
//! of its own, since the peak is that of all threads.

use std::error::Error;
use std::path::Path;

use peak_alloc::PeakAlloc;
use tweedie_checkpoints::TorchFile;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// The budget of values, and as much again for lists that grow by doubling and are copied then.
const MOST: usize = 2 * (32 << 20);

#[test]
fn millions_of_values_of_a_byte_each_are_refused_within_the_budget() {
    // an empty dict, list, tuple or set; None; a mark; a value again
    for instruction in *b"})]\x8fN(2" {
        let mut pickle = b"\x80\x04N".to_vec();
        pickle.resize(20_000_000, instruction);
        let before = MEMORY.current_usage();
        MEMORY.reset_peak_usage();
        let error = TorchFile::from_bytes(Path::new("many.pt"), pickle).unwrap_err();
        let peak = MEMORY.peak_usage() - before;
        let reason = error.source().map(ToString::to_string).unwrap_or_default();
        assert!(reason.contains("would take more than 33554432 bytes"), "{error}: {reason}");
        assert!(peak <= MOST, "{:?}: {peak} bytes", instruction as char);
    }
}
