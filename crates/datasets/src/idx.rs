//! The IDX format of the MNIST family: a big-endian header, then unsigned bytes; plain or gzipped.
//!
//! Images: magic `0x00000803`, count, height, width, then `count * height * width` pixels.
//! Labels: magic `0x00000801`, count, then `count` labels. Whether a file is gzipped is read off its
//! first two bytes, not its name.

use std::{
    fs::File,
    io::{BufRead, BufReader, ErrorKind, Read},
    path::Path,
};

use flate2::bufread::MultiGzDecoder;

use crate::{
    dataset::{Dataset, numbered_classes},
    error::DatasetError,
};

const IMAGES: u32 = 0x0803;
const LABELS: u32 = 0x0801;

/// The largest data set that is read: far above any published one, far below what a damaged header
/// can announce.
const LIMIT_BYTES: u64 = 1 << 34;

/// Images `[n, 1, height, width]` of 256 levels from an IDX file, and the labels of another.
///
/// # Errors
/// When a file cannot be read, has the wrong magic, is truncated or too long, announces dimensions
/// that cannot be meant, when the counts differ, or when a label is not below `classes`.
pub fn read_idx(
    images: &Path,
    labels: Option<&Path>,
    classes: usize,
) -> Result<Dataset, DatasetError> {
    let set = parse_images(&mut *open(images)?, images, 256)?;
    match labels {
        None => Ok(set),
        Some(path) => {
            let labels = parse_labels(&mut *open(path)?, path)?;
            set.with_labels_from(labels, numbered_classes(classes), path)
        }
    }
}

/// Parses the images in `source`, whose name for errors is `path`.
pub(crate) fn parse_images(
    source: &mut dyn Read,
    path: &Path,
    levels: u32,
) -> Result<Dataset, DatasetError> {
    let [count, height, width] = header(source, path, IMAGES, "images")?;
    let bytes = u128::from(count) * u128::from(height) * u128::from(width);
    if bytes == 0 || bytes > u128::from(LIMIT_BYTES) {
        let path = path.to_path_buf();
        return Err(DatasetError::Dimensions { path, count, height, width, limit: LIMIT_BYTES });
    }
    let pixels = body(source, path, bytes as u64, "images")?;
    let shape = [1, height as usize, width as usize];
    Dataset::new(path.display().to_string(), pixels, shape, levels)
}

/// Parses the labels in `source`, whose name for errors is `path`.
pub(crate) fn parse_labels(source: &mut dyn Read, path: &Path) -> Result<Vec<u32>, DatasetError> {
    let [count] = header(source, path, LABELS, "labels")?;
    let labels = body(source, path, u64::from(count), "labels")?;
    Ok(labels.into_iter().map(u32::from).collect())
}

/// Whether the file starts like an IDX file of labels, gzipped or not.
pub(crate) fn is_idx_labels(path: &Path) -> Result<bool, DatasetError> {
    let mut magic = [0; 4];
    let read = open(path)?.read_exact(&mut magic);
    Ok(read.is_ok() && u32::from_be_bytes(magic) == LABELS)
}

/// Opens a file, through a decoder if it is gzipped.
fn open(path: &Path) -> Result<Box<dyn Read>, DatasetError> {
    let failed = |source| DatasetError::Read { path: path.to_path_buf(), source };
    let mut file = BufReader::new(File::open(path).map_err(failed)?);
    let gzipped = file.fill_buf().map_err(failed)?.starts_with(&[0x1f, 0x8b]);
    Ok(if gzipped { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) })
}

/// Reads the magic, which must be `expected`, and the `N` dimensions after it.
fn header<const N: usize>(
    source: &mut dyn Read,
    path: &Path,
    expected: u32,
    what: &'static str,
) -> Result<[u32; N], DatasetError> {
    let bytes = read_up_to(source, path, 4 * (N as u64 + 1))?;
    let number = |k: usize| bytes.get(4 * k..4 * k + 4).map(|b| [b[0], b[1], b[2], b[3]]);
    match number(0).map(u32::from_be_bytes) {
        Some(got) if got != expected => {
            Err(DatasetError::WrongMagic { path: path.to_path_buf(), got, expected, what })
        }
        _ if bytes.len() < 4 * (N + 1) => Err(DatasetError::Truncated {
            path: path.to_path_buf(),
            what: "header",
            got: bytes.len() as u64,
            expected: 4 * (N as u64 + 1),
        }),
        _ => Ok(std::array::from_fn(|k| u32::from_be_bytes(number(k + 1).unwrap_or_default()))),
    }
}

/// Reads exactly `expected` bytes, which must be the last ones.
fn body(
    source: &mut dyn Read,
    path: &Path,
    expected: u64,
    what: &'static str,
) -> Result<Vec<u8>, DatasetError> {
    let bytes = read_up_to(source, path, expected + 1)?;
    let (path, got) = (path.to_path_buf(), bytes.len() as u64);
    if got < expected {
        return Err(DatasetError::Truncated { path, what, got, expected });
    }
    if got > expected {
        return Err(DatasetError::TrailingBytes { path, what, expected });
    }
    Ok(bytes)
}

/// Reads until the end or `limit` bytes. Memory grows with what is there, not with `limit`; a gzip
/// stream that breaks off counts as ended.
fn read_up_to(source: &mut dyn Read, path: &Path, limit: u64) -> Result<Vec<u8>, DatasetError> {
    let mut bytes = Vec::new();
    match source.take(limit).read_to_end(&mut bytes) {
        Err(source) if source.kind() != ErrorKind::UnexpectedEof => {
            Err(DatasetError::Read { path: path.to_path_buf(), source })
        }
        _ => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Write, path::PathBuf};

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn images(count: u32, height: u32, width: u32, pixels: &[u8]) -> Vec<u8> {
        let header = [IMAGES, count, height, width];
        header.iter().flat_map(|n| n.to_be_bytes()).chain(pixels.iter().copied()).collect()
    }

    fn labels(count: u32, labels: &[u8]) -> Vec<u8> {
        [LABELS, count].iter().flat_map(|n| n.to_be_bytes()).chain(labels.iter().copied()).collect()
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(vec![], Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    /// Writes `bytes` as `images` and as `labels` into a fresh folder and reads them.
    fn read(image_bytes: &[u8], label_bytes: Option<&[u8]>) -> Result<Dataset, String> {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| -> PathBuf {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            path
        };
        let images = write("some-images", image_bytes);
        let labels = label_bytes.map(|bytes| write("some-labels", bytes));
        let root = format!("{}/", folder.path().display());
        read_idx(&images, labels.as_deref(), 10).map_err(|e| e.to_string().replace(&root, ""))
    }

    #[test]
    fn plain_and_gzipped_files_read_the_same() {
        let (images, labels) = (images(2, 2, 3, b"abcdefghijkl"), labels(2, &[9, 0]));
        let plain = read(&images, Some(&labels)).unwrap();
        assert_eq!((plain.shape(), plain.images()), ([1, 2, 3], &b"abcdefghijkl"[..]));
        assert_eq!((plain.labels(), plain.classes()), (Some(&[9, 0][..]), 10));
        let zipped = read(&gzip(&images), Some(&gzip(&labels))).unwrap();
        assert_eq!(zipped.images(), plain.images());
        assert_eq!(zipped.labels(), plain.labels());
    }

    #[test]
    fn damaged_files_are_named_with_what_is_wrong() {
        let check = |images: &[u8], labels: Option<&[u8]>, expected: &str| {
            assert_eq!(read(images, labels).unwrap_err(), expected);
        };
        let good = images(2, 1, 2, b"abcd");
        check(
            &good[..19],
            None,
            "some-images is truncated: it holds 3 bytes of images, expected 4",
        );
        check(
            &good[..7],
            None,
            "some-images is truncated: it holds 7 bytes of header, expected 16",
        );
        check(b"", None, "some-images is truncated: it holds 0 bytes of header, expected 16");
        check(
            &images(2, 1, 2, b"abcde"),
            None,
            "some-images goes on after its 4 announced bytes of images",
        );
        check(
            &labels(2, b"ab"),
            None,
            "some-images starts with 0x00000801, expected 0x00000803 (IDX images, unsigned bytes)",
        );
        check(
            &good,
            Some(&good),
            "some-labels starts with 0x00000803, expected 0x00000801 (IDX labels, unsigned bytes)",
        );
        check(
            &good,
            Some(&labels(2, &[1])),
            "some-labels is truncated: it holds 1 bytes of labels, expected 2",
        );
        check(&good, Some(&labels(1, &[1])), "some-labels holds 1 labels for 2 images");
        check(
            &good,
            Some(&labels(2, &[1, 10])),
            "label 10 of image 1 is out of range in some-labels, expected 0 to 9",
        );
    }

    #[test]
    fn a_gzip_stream_that_breaks_off_is_truncated() {
        let pixels: Vec<u8> = (0..4000u32).map(|k| (k * k % 251) as u8).collect();
        let whole = gzip(&images(10, 20, 20, &pixels));
        let error = read(&whole[..whole.len() / 2], None).unwrap_err();
        assert!(error.starts_with("some-images is truncated: it holds "), "{error}");
        let mut corrupt = whole.clone();
        let middle = whole.len() / 2;
        corrupt[middle..middle + 8].fill(0xff);
        assert!(read(&corrupt, None).unwrap_err().contains("some-images"));
    }

    #[test]
    fn a_header_of_absurd_dimensions_reserves_no_memory() {
        let most = u32::MAX;
        let error = read(&images(most, most, most, b"abc"), None).unwrap_err();
        assert!(error.contains("announces 4294967295 images of 4294967295x4294967295"), "{error}");
        let error = read(&images(60_000, 500, 500, b"abc"), None).unwrap_err();
        assert_eq!(
            error,
            "some-images is truncated: it holds 3 bytes of images, expected 15000000000"
        );
        assert!(read(&images(0, 28, 28, b""), None).unwrap_err().contains("announces 0 images"));
        assert!(read(&images(1, 0, 28, b""), None).unwrap_err().contains("1 images of 0x28"));
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = read_idx(Path::new("no/such/images"), None, 10).unwrap_err().to_string();
        assert_eq!(error, "cannot read no/such/images");
    }
}
