//! The form of torch since 1.6: a zip archive, uncompressed, with `data.pkl` and one entry a storage.

use std::collections::HashMap;
use std::ops::Range;
use std::path::PathBuf;

use rawzip::{
    CompressionMethod, RECOMMENDED_BUFFER_SIZE, ZipArchive, ZipArchiveEntryWayfinder,
    ZipFileHeaderRecord, ZipLocator,
};

use super::Storages;
use crate::CheckpointError;
use crate::data_file::DataFile;
use crate::pickle::{Graph, Input, NodeId, load};

const PICKLE: &str = "data.pkl";

/// Whether the file begins as a zip archive does.
pub(super) fn is_archive(file: &DataFile) -> Result<bool, CheckpointError> {
    let start = file.read(0, file.length().min(4))?;
    Ok(start == b"PK\x03\x04")
}

/// Reads the value that was saved, and where its storages are.
pub(super) fn read(
    file: &DataFile,
    graph: &mut Graph,
) -> Result<(NodeId, Storages), CheckpointError> {
    let archive = Archive::open(file)?;
    archive.check_byte_order()?;
    let pickle = archive.range(PICKLE)?;
    let root = load(&mut Input::new(file, pickle.start, pickle.end), graph)?;
    let mut storages = Storages::new();
    for claim in &graph.storages {
        let key = graph.text(claim.key).unwrap_or_default();
        if !storages.contains_key(key) {
            storages.insert(key.to_owned(), archive.range(&format!("data/{key}"))?);
        }
    }
    Ok((root, storages))
}

/// The entries of an archive below its one folder.
struct Archive<'a> {
    file: &'a DataFile,
    zip: ZipArchive<&'a DataFile>,
    entries: HashMap<String, Entry>,
}

/// What the directory says about an entry.
struct Entry {
    place: ZipArchiveEntryWayfinder,
    is_plain: bool,
}

impl<'a> Archive<'a> {
    fn open(file: &'a DataFile) -> Result<Self, CheckpointError> {
        let failed = |source| CheckpointError::Archive { path: file.path().to_path_buf(), source };
        let mut buffer = vec![0; RECOMMENDED_BUFFER_SIZE];
        let zip = ZipLocator::new()
            .locate_in_reader(file, &mut buffer, file.length())
            .map_err(|(_, source)| failed(source))?;
        let mut archive = Self { file, zip, entries: HashMap::new() };
        let mut listed = archive.zip.entries(&mut buffer);
        while let Some(header) = listed.next_entry().map_err(failed)? {
            let name = String::from_utf8_lossy(header.file_path().as_bytes()).into_owned();
            if archive.entries.insert(name.clone(), Entry::new(&header)).is_some() {
                return Err(entry_error(file, name, "is there twice"));
            }
        }
        archive.strip_folder()?;
        Ok(archive)
    }

    /// Leaves the folder out of the entries' names: it is the file's own name, as it once was.
    fn strip_folder(&mut self) -> Result<(), CheckpointError> {
        let folders = self.entries.keys().filter_map(|name| name.strip_suffix(PICKLE));
        let folders: Vec<String> =
            folders.filter(|rest| rest.ends_with('/')).map(str::to_owned).collect();
        let [folder] = folders.as_slice() else {
            let problem = if folders.is_empty() { "is missing" } else { "is there twice" };
            return Err(entry_error(self.file, PICKLE.to_owned(), problem));
        };
        let entries = std::mem::take(&mut self.entries).into_iter();
        self.entries = entries
            .filter_map(|(name, entry)| Some((name.strip_prefix(folder)?.to_owned(), entry)))
            .collect();
        Ok(())
    }

    /// Where the bytes of an entry lie in the file.
    fn range(&self, name: &str) -> Result<Range<u64>, CheckpointError> {
        let problem = |problem| entry_error(self.file, name.to_owned(), problem);
        let entry = self.entries.get(name).ok_or_else(|| problem("is missing"))?;
        if !entry.is_plain {
            return Err(problem("is compressed or encrypted"));
        }
        let found = self.zip.get_entry(entry.place).map_err(|source| CheckpointError::Archive {
            path: self.file.path().to_path_buf(),
            source,
        })?;
        let (start, end) = found.compressed_data_range();
        if start > end || end > self.file.length() {
            return Err(problem("reaches beyond the end of the file"));
        }
        Ok(start..end)
    }

    fn check_byte_order(&self) -> Result<(), CheckpointError> {
        // files from before torch 2.1 do not say
        if !self.entries.contains_key("byteorder") {
            return Ok(());
        }
        let range = self.range("byteorder")?;
        let order = self.file.read(range.start, (range.end - range.start).min(16))?;
        if order == b"little" {
            return Ok(());
        }
        Err(CheckpointError::ByteOrder { path: self.file.path().to_path_buf() })
    }
}

impl Entry {
    fn new(header: &ZipFileHeaderRecord<'_>) -> Self {
        let is_plain = header.compression_method() == CompressionMethod::STORE
            && !header.flags().is_encrypted();
        Self { place: header.wayfinder(), is_plain }
    }
}

fn entry_error(file: &DataFile, name: String, problem: &'static str) -> CheckpointError {
    let path: PathBuf = file.path().to_path_buf();
    CheckpointError::ArchiveEntry { path, name, problem }
}
