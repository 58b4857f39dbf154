//! The bytes of a pickle, read through a window.

use rawzip::ReaderAt;

use super::PickleError;
use crate::CheckpointError;
use crate::data_file::DataFile;

/// Bytes read at once.
const WINDOW: u64 = 1 << 16;

/// A longer text or number than any that a checkpoint holds.
const LONGEST: u64 = 64 << 20;

/// A part of a file, read from front to back.
#[derive(Debug)]
pub(crate) struct Input<'a> {
    file: &'a DataFile,
    window: Vec<u8>,
    /// Where in the file the window begins.
    window_start: u64,
    position: u64,
    end: u64,
}

impl<'a> Input<'a> {
    /// The part of `file` between these places, which must be inside it.
    pub(crate) fn new(file: &'a DataFile, start: u64, end: u64) -> Self {
        Self { file, window: Vec::new(), window_start: start, position: start, end }
    }

    /// Where the next byte is, from the start of the file.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    pub(crate) fn byte(&mut self) -> Result<u8, CheckpointError> {
        let at = (self.position - self.window_start) as usize;
        if let Some(byte) = self.window.get(at) {
            self.position += 1;
            return Ok(*byte);
        }
        let left = self.end - self.position;
        if left == 0 {
            return Err(self.fault(PickleError::Truncated { wanted: 1, left }));
        }
        self.fill(left.min(WINDOW))?;
        self.byte()
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], CheckpointError> {
        let mut bytes = [0; N];
        for byte in &mut bytes {
            *byte = self.byte()?;
        }
        Ok(bytes)
    }

    /// The next `count` bytes. Nothing is allocated for bytes that are not there.
    pub(crate) fn take(&mut self, count: u64) -> Result<Vec<u8>, CheckpointError> {
        let left = self.end - self.position;
        if count > left {
            return Err(self.fault(PickleError::Truncated { wanted: count, left }));
        }
        if count > LONGEST {
            return Err(self.fault(PickleError::TooLarge { limit: LONGEST }));
        }
        let at = (self.position - self.window_start) as usize;
        let held = self.window.get(at..at + count as usize).map(<[u8]>::to_vec);
        let bytes = held.map_or_else(|| self.file.read(self.position, count), Ok)?;
        self.position += count;
        if self.position > self.window_start + self.window.len() as u64 {
            self.window.clear();
            self.window_start = self.position;
        }
        Ok(bytes)
    }

    /// The bytes up to the end of the line, which is passed over.
    pub(crate) fn line(&mut self) -> Result<Vec<u8>, CheckpointError> {
        let mut line = Vec::new();
        loop {
            match self.byte()? {
                b'\n' => return Ok(line),
                _ if line.len() as u64 == LONGEST => {
                    return Err(self.fault(PickleError::TooLarge { limit: LONGEST }));
                }
                byte => line.push(byte),
            }
        }
    }

    /// The error at the place reached so far.
    pub(crate) fn fault(&self, source: PickleError) -> CheckpointError {
        self.fault_at(self.position, source)
    }

    pub(crate) fn fault_at(&self, position: u64, source: PickleError) -> CheckpointError {
        CheckpointError::Pickle { path: self.file.path().to_path_buf(), position, source }
    }

    fn fill(&mut self, count: u64) -> Result<(), CheckpointError> {
        self.window.resize(count as usize, 0);
        self.window_start = self.position;
        self.file
            .read_exact_at(&mut self.window, self.position)
            .map_err(CheckpointError::io("read", self.file.path()))
    }
}
