//! Feeds the readers with damaged files, and stops at the first that panics or takes too much memory.
//!
//! ```sh
//! cargo run --release -p tweedie-checkpoints --example fuzz -- pickle 1000000 7
//! ```
//!
//! The arguments are the target, how many files, and a seed: the same arguments give the same files.
//!
//! | target | reads |
//! |---|---|
//! | `folder` | whole checkpoints, of which one file is damaged: folders of diffusers, shards, a `.pth` with its configuration |
//! | `safetensors` | safetensors files alone, in memory |
//! | `pickle` | files of torch in both forms |
//! | `config` | scheduler and network configurations, flags |
//!
//! The files are sound ones with a few changes that such formats are sensitive to. What a file that was
//! read claims to hold is read too.

mod damage;
mod targets;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Instant;

use peak_alloc::PeakAlloc;
use rand::SeedableRng;
use rand::rngs::StdRng;

use targets::Target;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Bytes that a reader may take for files of this length: its buffers, and values and tensors that are a
/// fixed multiple of what describes them.
fn allowance(length: usize) -> usize {
    (1 << 19) + 256 * length
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_default();
    let count: u64 = arguments.next().and_then(|n| n.parse().ok()).unwrap_or(100_000);
    let seed: u64 = arguments.next().and_then(|n| n.parse().ok()).unwrap_or(0);
    let Some(target) = Target::named(&name) else {
        eprintln!("usage: fuzz folder|safetensors|pickle|config [COUNT] [SEED]");
        return ExitCode::FAILURE;
    };
    let mut random = StdRng::seed_from_u64(seed);
    let (start, mut accepted) = (Instant::now(), 0_u64);
    for number in 0..count {
        let (index, file) = damage::damaged(&target.corpus, &mut random);
        let (length, kept) = (file.len() + target.beside, file.clone());
        let before = MEMORY.current_usage();
        MEMORY.reset_peak_usage();
        let outcome = catch_unwind(AssertUnwindSafe(|| (target.read)(index, file)));
        let used = MEMORY.peak_usage().saturating_sub(before);
        match outcome {
            Ok(read) if used <= allowance(length) => accepted += u64::from(read),
            _ => {
                let path = std::env::temp_dir().join(format!("fuzz-{name}-{seed}-{number}"));
                let written = std::fs::write(&path, kept);
                println!(
                    "file {number}, made from {index}: a panic, or {used} bytes for {length}: {path:?} {written:?}"
                );
                return ExitCode::FAILURE;
            }
        }
    }
    let rate = count as f64 / start.elapsed().as_secs_f64();
    println!("{name}, seed {seed}: {count} files, {accepted} of them read, {rate:.0} a second");
    ExitCode::SUCCESS
}
