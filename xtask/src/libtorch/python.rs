//! The Pythons on `PATH`: does one have the pinned `torch`, and which one can run pip?

use super::error::SetupError;
use super::folder::{self, FolderProblem};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Prints the folder of the `torch` package without importing it, which would take seconds. The
/// empty entry of `sys.path` goes, so that a folder named `torch` in the current one is not taken
/// for the package.
const FIND_TORCH: &str = "
import sys
sys.path = [entry for entry in sys.path if entry]
import importlib.util, os
spec = importlib.util.find_spec('torch')
if spec is not None and spec.origin:
    print(os.path.dirname(os.path.abspath(spec.origin)))
";

/// Loads a library as the program will, with all that it needs in turn.
const LOAD: &str = "import ctypes, sys; ctypes.CDLL(sys.argv[1])";

/// Every `python3` in the folders of `path`, in order.
pub(crate) fn on_path(path: &[PathBuf]) -> Vec<PathBuf> {
    path.iter().map(|folder| folder.join("python3")).filter(|file| file.is_file()).collect()
}

/// The `torch` folder of the first of `pythons` that has exactly the pinned version, whole and
/// loadable. One that has the version but cannot be used is mentioned on stderr.
pub(crate) fn find_torch(pythons: &[PathBuf]) -> Option<PathBuf> {
    let mut refused = Vec::new();
    for python in pythons {
        let Some(torch) = torch_folder(python) else { continue };
        if refused.contains(&torch) {
            continue; // Several Pythons can share one folder of packages.
        }
        match folder::check(&torch).and_then(|()| loads(python, &torch)) {
            Ok(()) => return Some(torch),
            Err(FolderProblem::WrongVersion(_) | FolderProblem::NoVersion) => {}
            Err(problem) => {
                eprintln!("note: the torch in {} is not used: {problem}", torch.display());
            }
        }
        refused.push(torch);
    }
    None
}

fn torch_folder(python: &Path) -> Option<PathBuf> {
    let output =
        Command::new(python).args(["-c", FIND_TORCH]).stdin(Stdio::null()).output().ok()?;
    let line = String::from_utf8(output.stdout).ok()?;
    let folder = line.trim();
    (output.status.success() && !folder.is_empty()).then(|| PathBuf::from(folder))
}

fn loads(python: &Path, torch: &Path) -> Result<(), FolderProblem> {
    let cuda = torch.join("lib/libtorch_cuda.so");
    let library = if cuda.exists() { cuda } else { torch.join("lib/libtorch_cpu.so") };
    let refused = |detail: String| Err(FolderProblem::DoesNotLoad(detail));
    match Command::new(python).args(["-c", LOAD]).arg(&library).stdin(Stdio::null()).output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => refused(last_line(&output.stderr)),
        Err(error) => refused(error.to_string()),
    }
}

/// The first of `pythons` that runs pip; says what is wrong with the first when none does.
pub(crate) fn with_pip(pythons: &[PathBuf]) -> Result<PathBuf, SetupError> {
    let mut complaint = None;
    for python in pythons {
        match try_pip(python) {
            Ok(()) => return Ok(python.clone()),
            Err(detail) => {
                complaint.get_or_insert(SetupError::NoPip { python: python.clone(), detail });
            }
        }
    }
    Err(complaint.unwrap_or(SetupError::NoPython))
}

fn try_pip(python: &Path) -> Result<(), String> {
    let mut command = Command::new(python);
    command.args(["-m", "pip", "--version"]).stdin(Stdio::null());
    match command.output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(last_line(&output.stderr)),
        Err(error) => Err(error.to_string()),
    }
}

/// The last line of a program's complaint that is not empty.
pub(crate) fn last_line(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let line = text.lines().rev().map(str::trim).find(|line| !line.is_empty());
    line.unwrap_or("it said nothing").to_owned()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::libtorch::folder::tests::fake;
    use std::fs;

    /// Writes a `python3` into `folder` that is really this shell script.
    pub(crate) fn fake_python(folder: &Path, script: &str) -> PathBuf {
        fs::create_dir_all(folder).expect("writable");
        let file = folder.join("python3");
        // Written by another process: were it open for writing here while another test starts a
        // process, the kernel would refuse to run it (ETXTBSY).
        let write = "printf '#!/bin/sh\n%s\n' \"$1\" > \"$0\" && chmod +x \"$0\"";
        let status = Command::new("sh").args(["-c", write]).arg(&file).arg(script).status();
        assert!(status.expect("sh").success());
        file
    }

    /// A `python3` whose `torch` lies in `torch`; loading its libraries ends with the status
    /// `load`.
    pub(crate) fn fake_python_with(folder: &Path, torch: &Path, load: u8) -> PathBuf {
        let script = format!(
            "case \"$2\" in *find_spec*) echo '{}';; \
             *CDLL*) echo no such symbol >&2; exit {load};; *) exit 9;; esac",
            torch.display()
        );
        fake_python(folder, &script)
    }

    #[test]
    fn the_first_python_with_the_exact_version_wins() {
        let dir = tempfile::tempdir().expect("a folder");
        let (old, new) = (dir.path().join("old/torch"), dir.path().join("new/torch"));
        fake(&old, "2.10.0+cpu");
        fake(&new, "2.11.0+cu130");
        let without = fake_python(&dir.path().join("a"), "exit 0");
        let older = fake_python_with(&dir.path().join("b"), &old, 0);
        let exact = fake_python_with(&dir.path().join("c"), &new, 0);
        assert_eq!(find_torch(&[without.clone(), older.clone(), exact]), Some(new));
        assert_eq!(find_torch(&[without, older]), None);
        assert_eq!(find_torch(&[]), None);
    }

    #[test]
    fn a_torch_that_is_not_whole_or_does_not_load_is_passed_over() {
        let dir = tempfile::tempdir().expect("a folder");
        let torch = dir.path().join("torch");
        fake(&torch, "2.11.0");
        let refused = fake_python_with(&dir.path().join("a"), &torch, 1);
        assert_eq!(find_torch(&[refused]), None);
        let accepted = fake_python_with(&dir.path().join("b"), &torch, 0);
        assert_eq!(find_torch(std::slice::from_ref(&accepted)), Some(torch.clone()));
        fs::remove_file(torch.join("include/ATen/ATen.h")).expect("there");
        assert_eq!(find_torch(&[accepted]), None);
    }

    #[test]
    fn pythons_are_taken_in_the_order_of_path() {
        let dir = tempfile::tempdir().expect("a folder");
        let folders = ["a", "empty", "b"].map(|name| dir.path().join(name));
        let first = fake_python(&folders[0], "exit 0");
        let second = fake_python(&folders[2], "exit 0");
        assert_eq!(on_path(&folders), [first, second]);
    }

    #[test]
    fn the_first_python_with_a_working_pip_runs_it() {
        let dir = tempfile::tempdir().expect("a folder");
        let bare =
            fake_python(&dir.path().join("a"), "echo \"$0: No module named pip\" >&2; exit 1");
        let good = fake_python(&dir.path().join("b"), "[ \"$2\" = pip ]");
        assert_eq!(with_pip(&[bare.clone(), good.clone()]).expect("pip"), good);
        let error = with_pip(&[bare]).expect_err("no pip").to_string();
        assert!(error.contains("No module named pip") && error.contains("python3-pip"), "{error}");
        let error = with_pip(&[]).expect_err("no python").to_string();
        assert!(error.contains("python3, which is not on PATH"), "{error}");
    }
}
