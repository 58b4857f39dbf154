//! The binary form of CIFAR-10 and CIFAR-100: records of labels and a 32x32 colour image.
//!
//! A record of CIFAR-10 is a label and 3072 pixels (red, green and blue plane); one of CIFAR-100 has
//! a coarse label before the fine one. The fine labels are used.

use std::path::{Path, PathBuf};

use crate::{
    dataset::{Dataset, numbered_classes},
    error::DatasetError,
    splits::Splits,
};

/// Channels, height, width.
const SHAPE: [usize; 3] = [3, 32, 32];
const PIXELS: usize = 3 * 32 * 32;

/// Which of the two CIFAR sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cifar {
    /// Ten classes, 50000 and 10000 images.
    Ten,
    /// A hundred classes, 50000 and 10000 images.
    Hundred,
}

impl Cifar {
    /// Number of (fine) classes.
    fn classes(self) -> usize {
        match self {
            Self::Ten => 10,
            Self::Hundred => 100,
        }
    }

    /// Bytes before the pixels of a record, the last of them the label.
    fn label_bytes(self) -> usize {
        match self {
            Self::Ten => 1,
            Self::Hundred => 2,
        }
    }

    fn train_files(self) -> &'static [&'static str] {
        match self {
            Self::Ten => &[
                "data_batch_1.bin",
                "data_batch_2.bin",
                "data_batch_3.bin",
                "data_batch_4.bin",
                "data_batch_5.bin",
            ],
            Self::Hundred => &["train.bin"],
        }
    }

    fn test_file(self) -> &'static str {
        match self {
            Self::Ten => "test_batch.bin",
            Self::Hundred => "test.bin",
        }
    }

    /// The file with the names of the classes, one a line.
    fn names_file(self) -> &'static str {
        match self {
            Self::Ten => "batches.meta.txt",
            Self::Hundred => "fine_label_names.txt",
        }
    }

    /// Which set lies in `folder` itself, told by its first training file.
    pub(crate) fn in_folder(folder: &Path) -> Option<Self> {
        [Self::Ten, Self::Hundred]
            .into_iter()
            .find(|kind| folder.join(kind.train_files()[0]).is_file())
    }

    /// Which set a single file belongs to, told by its size.
    pub(crate) fn of_size(bytes: u64) -> Option<Self> {
        [Self::Ten, Self::Hundred]
            .into_iter()
            .find(|kind| bytes > 0 && bytes.is_multiple_of((kind.label_bytes() + PIXELS) as u64))
    }
}

/// The train and test images of a folder with the files of a CIFAR set.
///
/// # Errors
/// When a file is missing or unreadable, is no whole number of records, or holds a label that is not
/// a class.
pub fn read_cifar(kind: Cifar, folder: &Path) -> Result<Splits, DatasetError> {
    let train: Vec<PathBuf> = kind.train_files().iter().map(|name| folder.join(name)).collect();
    let test = folder.join(kind.test_file());
    if let Some(missing) = train.iter().chain([&test]).find(|path| !path.is_file()) {
        let (path, beside) = (missing.clone(), train[0].clone());
        return Err(DatasetError::MissingFile { path, beside });
    }
    let names = class_names(kind, folder);
    let name = folder.display().to_string();
    Ok(Splits {
        train: read_files(kind, &train, &names)?.named(name.clone()),
        test: read_files(kind, &[test], &names)?.named(name),
    })
}

/// The images of a single file of a CIFAR set.
///
/// # Errors
/// As [`read_cifar`].
pub fn read_cifar_file(kind: Cifar, path: &Path) -> Result<Dataset, DatasetError> {
    let names = class_names(kind, path.parent().unwrap_or(Path::new("")));
    read_files(kind, &[path.to_path_buf()], &names)
}

/// The published names of the classes, if they lie beside the data; else their numbers.
fn class_names(kind: Cifar, folder: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(folder.join(kind.names_file())).unwrap_or_default();
    let names: Vec<_> =
        text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
    if names.len() == kind.classes() { names } else { numbered_classes(kind.classes()) }
}

/// Reads the records of all files, in order.
fn read_files(
    kind: Cifar,
    paths: &[PathBuf],
    class_names: &[String],
) -> Result<Dataset, DatasetError> {
    let record = kind.label_bytes() + PIXELS;
    let (mut images, mut labels) = (Vec::new(), Vec::new());
    for path in paths {
        let bytes = std::fs::read(path)
            .map_err(|source| DatasetError::Read { path: path.clone(), source })?;
        if bytes.is_empty() || !bytes.len().is_multiple_of(record) {
            let (got, record) = (bytes.len() as u64, record as u64);
            return Err(DatasetError::CifarSize { path: path.clone(), got, record });
        }
        for (index, record) in bytes.chunks_exact(record).enumerate() {
            let (head, pixels) = record.split_at(kind.label_bytes());
            let (label, classes) = (u32::from(head[head.len() - 1]), kind.classes());
            if label as usize >= classes {
                let path = path.clone();
                return Err(DatasetError::LabelOutOfRange { path, index, label, classes });
            }
            labels.push(label);
            images.extend_from_slice(pixels);
        }
    }
    let name = paths.first().map(|path| path.display().to_string()).unwrap_or_default();
    Dataset::new(name, images, SHAPE, 256)?.with_labels(labels, class_names.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A record of the given leading bytes and of pixels all `value`.
    fn record(head: &[u8], value: u8) -> Vec<u8> {
        [head, &[value; PIXELS]].concat()
    }

    fn cifar10_folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (k, name) in Cifar::Ten.train_files().iter().enumerate() {
            let records = [record(&[k as u8], 10 + k as u8), record(&[9], 20 + k as u8)];
            std::fs::write(folder.path().join(name), records.concat()).unwrap();
        }
        std::fs::write(folder.path().join("test_batch.bin"), record(&[7], 99)).unwrap();
        folder
    }

    #[test]
    fn cifar_10_reads_its_five_batches_in_order() {
        let folder = cifar10_folder();
        assert_eq!(Cifar::in_folder(folder.path()), Some(Cifar::Ten));
        let splits = read_cifar(Cifar::Ten, folder.path()).unwrap();
        assert_eq!((splits.train.len(), splits.train.shape()), (10, SHAPE));
        assert_eq!(splits.train.labels().unwrap(), [0, 9, 1, 9, 2, 9, 3, 9, 4, 9]);
        assert_eq!((splits.train.image(3)[0], splits.train.image(8)[3071]), (21, 14));
        assert_eq!((splits.test.labels().unwrap(), splits.test.image(0)[5]), (&[7][..], 99));
        assert_eq!(splits.train.class_names()[9], "9");
    }

    #[test]
    fn class_names_are_read_when_they_are_there() {
        let folder = cifar10_folder();
        let names = "airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n\n";
        std::fs::write(folder.path().join("batches.meta.txt"), names).unwrap();
        let splits = read_cifar(Cifar::Ten, folder.path()).unwrap();
        assert_eq!(splits.test.class_names()[6], "frog");
    }

    #[test]
    fn cifar_100_uses_the_fine_label() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name| folder.path().join(name);
        std::fs::write(path("train.bin"), [record(&[3, 99], 1), record(&[19, 0], 2)].concat())
            .unwrap();
        std::fs::write(path("test.bin"), record(&[0, 55], 3)).unwrap();
        assert_eq!(Cifar::in_folder(folder.path()), Some(Cifar::Hundred));
        let splits = read_cifar(Cifar::Hundred, folder.path()).unwrap();
        assert_eq!(splits.train.labels().unwrap(), [99, 0]);
        assert_eq!((splits.test.labels().unwrap(), splits.test.classes()), (&[55][..], 100));
        assert_eq!(Cifar::of_size(2 * 3074), Some(Cifar::Hundred));
        assert_eq!((Cifar::of_size(3073), Cifar::of_size(3072)), (Some(Cifar::Ten), None));
    }

    #[test]
    fn damaged_files_are_named() {
        let folder = cifar10_folder();
        let root = format!("{}/", folder.path().display());
        let error = || {
            let error = read_cifar(Cifar::Ten, folder.path()).unwrap_err();
            error.to_string().replace(&root, "")
        };
        std::fs::write(folder.path().join("data_batch_4.bin"), record(&[10], 0)).unwrap();
        assert_eq!(
            error(),
            "label 10 of image 0 is out of range in data_batch_4.bin, expected 0 to 9"
        );
        std::fs::write(folder.path().join("data_batch_4.bin"), [0; 3072]).unwrap();
        assert_eq!(
            error(),
            "data_batch_4.bin has 3072 bytes, expected a positive multiple of 3073 (one CIFAR \
             record)"
        );
        std::fs::remove_file(folder.path().join("test_batch.bin")).unwrap();
        assert_eq!(error(), "test_batch.bin is missing, which belongs beside data_batch_1.bin");
    }
}
