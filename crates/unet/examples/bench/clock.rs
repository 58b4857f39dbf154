//! Time and memory.

use std::time::Instant;

use rustix::time::{ClockId, clock_gettime};

/// The median times of one call, in seconds.
pub(crate) struct Cost {
    pub(crate) wall: f64,
    /// Of all threads together.
    pub(crate) processor: f64,
}

/// The processor time of this process so far, in seconds.
fn processor_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// The cost of a call: the medians of `runs` after `warmup` others.
pub(crate) fn timed(mut call: impl FnMut(), runs: usize, warmup: usize) -> Cost {
    for _ in 0..warmup {
        call();
    }
    let times = (0..runs).map(|_| {
        let (wall, processor) = (Instant::now(), processor_seconds());
        call();
        (wall.elapsed().as_secs_f64(), processor_seconds() - processor)
    });
    let (wall, processor): (Vec<_>, Vec<_>) = times.unzip();
    Cost { wall: median(wall), processor: median(processor) }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    (values[(values.len() - 1) / 2] + values[values.len() / 2]) / 2.0
}

/// The largest resident size of this process so far, in MiB; 0 where the system does not say.
pub(crate) fn peak_rss_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|text| text.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
    kib.unwrap_or(0).div_ceil(1024)
}
