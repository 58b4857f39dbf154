//! Fetches one pinned wheel through pip, which knows the user's index, proxy and certificates.

use super::error::SetupError;
use super::pins::{PIP_ABI, PIP_PLATFORMS, PIP_PYTHON_VERSION, Wheel};
use super::python::last_line;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

/// How often the growing file is measured.
const TICK: Duration = Duration::from_millis(100);

/// Downloads `wheel` into a fresh folder below `folder` and gives back the file's path there.
/// Nothing is said about its bytes: the caller checks them. `progress` hears now and then how many
/// bytes have arrived.
pub(crate) fn download(
    python: &Path,
    wheel: &Wheel,
    folder: &Path,
    progress: &dyn Fn(u64),
) -> Result<PathBuf, SetupError> {
    let io = |source| SetupError::from_io(folder, wheel.bytes, source);
    let (temporary, target) = (folder.join("tmp"), folder.join("out"));
    fs::create_dir_all(&temporary).map_err(io)?;
    fs::create_dir_all(&target).map_err(io)?;
    let list = folder.join("requirements.txt");
    let pinned = format!("{} --hash=sha256:{}\n", wheel.requirement, wheel.sha256);
    fs::write(&list, pinned).map_err(io)?;

    let child = command(python, &list, &target, &temporary).spawn().map_err(io)?;
    let (success, stderr) =
        watch(child, &|| progress(folder_bytes(folder).min(wheel.bytes))).map_err(io)?;
    if !success {
        return Err(diagnose(wheel, folder, &stderr));
    }
    let file = target.join(wheel.file);
    if file.is_file() {
        Ok(file)
    } else {
        Err(SetupError::NotOffered {
            file: wheel.file.to_owned(),
            detail: "it gave another file".to_owned(),
        })
    }
}

/// The pip call: the same wheel whatever the user's own Python is, and no copy of half a gigabyte
/// in pip's cache.
fn command(python: &Path, list: &Path, target: &Path, temporary: &Path) -> Command {
    let mut command = Command::new(python);
    command
        .args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"])
        .args(["--no-cache-dir", "--no-deps", "--only-binary=:all:", "--require-hashes"])
        .args(["--implementation", "cp", "--abi", PIP_ABI, "--python-version", PIP_PYTHON_VERSION])
        .args(PIP_PLATFORMS.iter().flat_map(|tag| ["--platform", tag]))
        .arg("--dest")
        .arg(target)
        .arg("--requirement")
        .arg(list)
        // pip downloads into the temporary folder first: beside the target, where there is room,
        // not in /tmp.
        .env("TMPDIR", temporary)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command
}

/// Waits for `child`, calling `tick` all the while; gives back whether it succeeded and what it
/// said on stderr.
fn watch(mut child: Child, tick: &dyn Fn()) -> std::io::Result<(bool, Vec<u8>)> {
    let mut stderr = child.stderr.take();
    let reader = thread::spawn(move || {
        let mut said = Vec::new();
        if let Some(pipe) = stderr.as_mut() {
            // A broken pipe only shortens the message.
            let _ = pipe.read_to_end(&mut said);
        }
        said
    });
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        tick();
        thread::sleep(TICK);
    };
    Ok((status.success(), reader.join().unwrap_or_default()))
}

/// The bytes of all files below `folder`. Files come and go meanwhile; those that cannot be read
/// count nothing.
fn folder_bytes(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => folder_bytes(&entry.path()),
            Ok(meta) => meta.len(),
            Err(_) => 0,
        })
        .sum()
}

/// What pip says when it has no connection; the wording is its own, urllib3's, or the system's.
const OFFLINE: [&str; 13] = [
    "NewConnectionError",
    "Failed to establish a new connection",
    "ConnectTimeoutError",
    "NameResolutionError",
    "name resolution",
    "ReadTimeoutError",
    "Read timed out",
    "ProxyError",
    "SSLError",
    "Connection aborted",
    "Connection broken",
    "IncompleteRead",
    "Network is unreachable",
];

/// Finds the cause in pip's words.
fn diagnose(wheel: &Wheel, folder: &Path, stderr: &[u8]) -> SetupError {
    let said = String::from_utf8_lossy(stderr);
    let file = wheel.file.to_owned();
    let line_with = |words: &[&str]| {
        let line = said.lines().find(|line| words.iter().any(|word| line.contains(word)));
        line.map(|line| line.trim().to_owned())
    };
    if line_with(&["No space left on device", "Errno 28", "Disk quota exceeded"]).is_some() {
        return SetupError::DiskFull {
            path: folder.parent().unwrap_or(folder).to_owned(),
            needed: wheel.bytes,
            available: None,
        };
    }
    if let Some(line) =
        line_with(&["Got        ", "Got "]).filter(|_| said.contains("DO NOT MATCH THE HASHES"))
    {
        return SetupError::WrongHash {
            file,
            expected: wheel.sha256.to_owned(),
            got: line.trim_start_matches("Got").trim().to_owned(),
        };
    }
    if let Some(line) = line_with(&OFFLINE) {
        return SetupError::NoNetwork { file, detail: innermost(&line).to_owned() };
    }
    let unknown =
        ["Could not find a version", "No matching distribution", "HTTP error", "404 Client Error"];
    match line_with(&unknown) {
        Some(detail) => SetupError::NotOffered { file, detail },
        None => SetupError::Pip { file, detail: last_line(stderr) },
    }
}

/// The system's own words at the end of the exceptions that pip wraps around them.
fn innermost(line: &str) -> &str {
    let words = line.rsplit_once("new connection: ").map_or(line, |(_, words)| words);
    words.split_once("')").map_or(words, |(words, _)| words)
}

#[cfg(test)]
mod tests {
    use super::super::pins::Variant;
    use super::*;

    fn cause(said: &str) -> SetupError {
        diagnose(&Variant::Cpu.wheels()[0], Path::new("/cache"), said.as_bytes())
    }

    #[test]
    fn a_missing_connection_is_told_from_a_missing_file() {
        let offline = "WARNING: Retrying (Retry(total=4)) after connection broken by 'NewConnectionError('...: Failed to \
                       establish a new connection: [Errno -3] Temporary failure in name resolution')': /simple/torch/\n\
                       ERROR: Could not find a version that satisfies the requirement torch==2.11.0 (from versions: none)\n\
                       ERROR: No matching distribution found for torch==2.11.0\n";
        match cause(offline) {
            SetupError::NoNetwork { detail, .. } => {
                assert_eq!(detail, "[Errno -3] Temporary failure in name resolution");
            }
            other => panic!("{other}"),
        }
        let absent = "ERROR: Could not find a version that satisfies the requirement torch==2.11.0 (from versions: 2.9.0)\n\
                      ERROR: No matching distribution found for torch==2.11.0\n";
        assert!(matches!(cause(absent), SetupError::NotOffered { .. }));
    }

    #[test]
    fn a_full_disk_and_a_wrong_hash_are_recognised() {
        let full = "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device\n";
        assert!(matches!(cause(full), SetupError::DiskFull { .. }));
        let hash = "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.\n    torch==2.11.0:\n\
                    \x20       Expected sha256 7aa2\n             Got        0123abcd\n";
        match cause(hash) {
            SetupError::WrongHash { got, .. } => assert_eq!(got, "0123abcd"),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn any_other_failure_hands_on_pips_last_words() {
        match cause("Traceback:\nAttributeError: module 'pkgutil' has no attribute\n\n") {
            SetupError::Pip { detail, .. } => assert!(detail.contains("pkgutil")),
            other => panic!("{other}"),
        }
    }
}
