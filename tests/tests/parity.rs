//! Numerical parity: every case of every `*.json` in `PARITY_DIR` (by default the cases of this
//! repository) is mapped to the library, and all of its outputs are compared.
//!
//! Words on the command line choose the cases whose name or family contains one of them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use tweedie_tests::parity::{Case, CaseFile, Verdict, reason_to_skip, run};

fn main() -> ExitCode {
    let folder = std::env::var_os("PARITY_DIR").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/data/parity")),
        PathBuf::from,
    );
    let words: Vec<String> =
        std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let mut tally = Tally::default();
    match read(&folder) {
        Ok(files) => files.iter().for_each(|(path, file)| {
            tally.check_skips(path, &file.cases);
            file.cases.iter().filter(|case| chosen(case, &words)).for_each(|case| tally.take(case));
        }),
        Err(error) => {
            println!("FAILED {error:#}");
            tally.failed += 1;
        }
    }
    println!("{} passed, {} failed, {} skipped", tally.passed, tally.failed, tally.skipped);
    if tally.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The files of a folder.
fn read(folder: &Path) -> Result<Vec<(PathBuf, CaseFile)>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("{}", folder.display()))?;
    let mut paths: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "json"));
    paths.sort();
    ensure!(!paths.is_empty(), "no case (a *.json) in {}", folder.display());
    paths.into_iter().map(|path| CaseFile::read(&path).map(|file| (path, file))).collect()
}

fn chosen(case: &Case, words: &[String]) -> bool {
    words.is_empty()
        || words.iter().any(|word| case.id.contains(word) || case.family.contains(word))
}

/// The largest share of a file's cases that may be skipped.
const SKIPPED: f64 = 0.04;

#[derive(Default)]
struct Tally {
    passed: usize,
    failed: usize,
    skipped: usize,
}

impl Tally {
    /// Fails where too many of a file's cases are declared deviations.
    fn check_skips(&mut self, path: &Path, cases: &[Case]) {
        let skipped = cases.iter().filter(|case| reason_to_skip(case).is_some()).count();
        if skipped as f64 > SKIPPED * cases.len() as f64 {
            let (shown, all, share) = (path.display(), cases.len(), 100.0 * SKIPPED);
            println!("FAILED {shown}: {skipped} of {all} cases skipped, at most {share} % allowed");
            self.failed += 1;
        }
    }

    fn take(&mut self, case: &Case) {
        if let Some(reason) = reason_to_skip(case) {
            println!("skipped {}: {reason}", case.id);
            self.skipped += 1;
            return;
        }
        let outcome = catch_unwind(AssertUnwindSafe(|| run(case)));
        let outcome = outcome.unwrap_or_else(|_| Err(anyhow::anyhow!("panicked, see above")));
        match outcome.map(|produced| Verdict::of(case, &produced)) {
            Ok(verdict) if verdict.agrees() => self.passed += 1,
            Ok(verdict) => {
                self.failed += 1;
                let shown = verdict.faults.iter().take(4).cloned().collect::<Vec<_>>().join("; ");
                let error = verdict.largest_error;
                println!("FAILED {}: largest error {error:.3e}: {shown}", case.id);
            }
            Err(error) => {
                self.failed += 1;
                println!("FAILED {}: {error:#}", case.id);
            }
        }
    }
}
