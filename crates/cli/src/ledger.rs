//! What a long measurement has finished, kept in a file, so that an interrupted one goes on.

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};
use tweedie_checkpoints::write_atomically;

/// The parts of a measurement that are finished, as what they come to.
///
/// The file is replaced in one step whenever a part is added, so that it is whole whenever the process
/// dies; it is removed when the measurement is done.
#[derive(Debug)]
pub(crate) struct Ledger<T> {
    path: PathBuf,
    kept: Kept<T>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Kept<T> {
    /// All that decides what is measured.
    question: Map<String, Value>,
    /// Number of parts that are finished.
    done: usize,
    state: T,
}

impl<T> Ledger<T> {
    /// Number of parts that are finished.
    pub(crate) fn done(&self) -> usize {
        self.kept.done
    }

    /// What they come to.
    pub(crate) fn state(&self) -> &T {
        &self.kept.state
    }

    /// All that decides what is measured.
    pub(crate) fn question(&self) -> &Map<String, Value> {
        &self.kept.question
    }

    /// Where they are kept.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl<T: Default + Serialize + DeserializeOwned> Ledger<T> {
    /// The ledger at `path`: what is kept there, or, where there is nothing or `fresh` is set, an empty
    /// one.
    ///
    /// # Errors
    /// When what is kept cannot be read, or answers another question.
    pub(crate) fn open(path: &Path, question: Map<String, Value>, fresh: bool) -> Result<Self> {
        let path = path.to_path_buf();
        if fresh || !path.exists() {
            return Ok(Self { path, kept: Kept { question, done: 0, state: T::default() } });
        }
        let read = || -> Result<Kept<T>> { Ok(serde_json::from_slice(&std::fs::read(&path)?)?) };
        let kept = read().with_context(|| {
            format!("{} is no unfinished measurement; --fresh starts over", path.display())
        })?;
        for (name, asked) in &question {
            let kept = kept.question.get(name).unwrap_or(&Value::Null);
            if kept != asked {
                bail!(
                    "{} keeps an unfinished measurement with {name} {kept}, this one has {asked}; \
                     ask for the same, give another --out, or start over with --fresh",
                    path.display()
                );
            }
        }
        Ok(Self { path, kept })
    }

    /// Adds a part and writes the file.
    ///
    /// # Errors
    /// When the part fails or the file cannot be written.
    pub(crate) fn extend(&mut self, add: impl FnOnce(&mut T) -> Result<()>) -> Result<()> {
        add(&mut self.kept.state)?;
        self.kept.done += 1;
        Ok(write_atomically(&self.path, &serde_json::to_vec(&self.kept)?)?)
    }

    /// Removes the file: the measurement is done.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub(crate) fn remove(self) -> Result<()> {
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| self.path.display().to_string())
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    type Values = Ledger<Vec<f64>>;

    fn question(rtol: f64) -> Map<String, Value> {
        Map::from_iter([("method".to_owned(), json!("flow")), ("--rtol".to_owned(), json!(rtol))])
    }

    fn keep(ledger: &mut Values, value: f64) {
        let add = |state: &mut Vec<f64>| {
            state.push(value);
            Ok(())
        };
        ledger.extend(add).unwrap();
    }

    #[test]
    fn finished_parts_are_found_again_until_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kept.json");
        let mut ledger = Values::open(&path, question(1e-5), false).unwrap();
        [0.1, 1.0 / 3.0].into_iter().for_each(|value| keep(&mut ledger, value));
        let ledger = Values::open(&path, question(1e-5), false).unwrap();
        assert_eq!((ledger.done(), &ledger.state()[..]), (2, &[0.1, 1.0 / 3.0][..]));
        ledger.remove().unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn another_question_is_refused_by_name_and_starts_over_on_request() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kept.json");
        keep(&mut Values::open(&path, question(1e-5), false).unwrap(), 0.5);
        let error = Values::open(&path, question(1e-3), false).unwrap_err().to_string();
        assert!(error.contains("--rtol 0.00001, this one has 0.001"), "{error}");
        assert_eq!(Values::open(&path, question(1e-3), true).unwrap().done(), 0);
        std::fs::write(&path, "{").unwrap();
        let error = Values::open(&path, question(1e-5), false).unwrap_err();
        assert!(format!("{error:#}").contains("--fresh"), "{error:#}");
    }
}
