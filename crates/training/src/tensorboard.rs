//! `TensorBoard` event files: scalars and pictures.
//!
//! A file is a sequence of records, each a length, a checksum of the length, a protocol buffer and
//! a checksum of it; checksums are CRC-32C, rotated and shifted by a constant. The messages are the
//! few fields of TensorFlow's `event.proto` and `summary.proto` that are needed here.
//!
//! A resumed run first drops the records after its checkpoint from the files that are there, then
//! opens a new file that begins with a session start at the next step, which also makes a running
//! `TensorBoard` forget what it has already read beyond that step.

mod messages;
mod records;

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use messages::{Event, What};

use crate::TrainError;

/// Writes one event file.
#[derive(Debug)]
pub(crate) struct EventWriter {
    file: File,
    path: PathBuf,
}

impl EventWriter {
    /// Opens a new event file in `folder`, for the steps after `step`. Records of later steps that
    /// an interrupted run has left in other files are dropped.
    pub(crate) fn open(folder: &Path, step: u64) -> Result<Self, TrainError> {
        std::fs::create_dir_all(folder).map_err(TrainError::io("create", folder))?;
        records::drop_after(folder, step)?;
        let path = folder.join(format!(
            "events.out.tfevents.{:010}.tweedie.{step:07}.{}",
            seconds_now() as u64,
            std::process::id()
        ));
        let file = File::create(&path).map_err(TrainError::io("create", &path))?;
        let mut writer = Self { file, path };
        let first = if step == 0 { 0 } else { step as i64 + 1 };
        writer.write(first, What::FileVersion("brain.Event:2".to_owned()))?;
        if step > 0 {
            writer.write(first, What::session_start())?;
        }
        Ok(writer)
    }

    /// Writes scalars of one step.
    pub(crate) fn scalars(&mut self, step: u64, values: &[(&str, f64)]) -> Result<(), TrainError> {
        self.write(step as i64, What::scalars(values))
    }

    /// Writes a picture, given as the bytes of a PNG file.
    pub(crate) fn picture(
        &mut self,
        step: u64,
        tag: &str,
        [height, width]: [u32; 2],
        png: Vec<u8>,
    ) -> Result<(), TrainError> {
        self.write(step as i64, What::picture(tag, [height as i32, width as i32], png))
    }

    /// As [`picture`](Self::picture), with the size that the file itself says.
    pub(crate) fn png(&mut self, step: u64, tag: &str, png: Vec<u8>) -> Result<(), TrainError> {
        let side = |at: usize| {
            let bytes = png.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
            bytes.map_or(0, u32::from_be_bytes)
        };
        // the header comes first: length, name, width, height
        let size = [side(20), side(16)];
        self.picture(step, tag, size, png)
    }

    fn write(&mut self, step: i64, what: What) -> Result<(), TrainError> {
        let event = Event { wall_time: seconds_now(), step, what: Some(what) };
        let record = records::encode(&event);
        self.file.write_all(&record).map_err(TrainError::io("write", &self.path))
    }
}

fn seconds_now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(folder: &Path) -> Vec<(i64, Option<What>)> {
        let mut paths: Vec<_> =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        let events = |path: &PathBuf| records::decode_all(&std::fs::read(path).unwrap()).0;
        paths.iter().flat_map(events).map(|event| (event.step, event.what)).collect()
    }

    #[test]
    fn a_new_file_begins_with_the_version_and_holds_what_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = EventWriter::open(folder.path(), 0).unwrap();
        writer.scalars(1, &[("loss", 0.5), ("rate", 2.0)]).unwrap();
        writer.picture(1, "samples", [8, 16], vec![1, 2, 3]).unwrap();
        let expected = [
            (0, Some(What::FileVersion("brain.Event:2".to_owned()))),
            (1, Some(What::scalars(&[("loss", 0.5), ("rate", 2.0)]))),
            (1, Some(What::picture("samples", [8, 16], vec![1, 2, 3]))),
        ];
        assert_eq!(steps(folder.path()), expected);
    }

    #[test]
    fn no_step_stands_twice_after_a_resume() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = EventWriter::open(folder.path(), 0).unwrap();
        for step in 1..=5 {
            writer.scalars(step, &[("loss", 1.0)]).unwrap();
        }
        drop(writer);
        // The torn record of a killed process.
        let path = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.extend_from_within(..20);
        std::fs::write(&path, bytes).unwrap();

        let mut writer = EventWriter::open(folder.path(), 3).unwrap();
        writer.scalars(4, &[("loss", 2.0)]).unwrap();
        let scalars: Vec<_> = steps(folder.path())
            .into_iter()
            .filter(|(_, what)| matches!(what, Some(What::Summary(_))))
            .map(|(step, _)| step)
            .collect();
        assert_eq!(scalars, [1, 2, 3, 4]);
        assert!(steps(folder.path()).contains(&(4, Some(What::session_start()))));
    }
}
