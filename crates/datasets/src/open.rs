//! Opening a data set by name or path, whatever its kind.

use std::path::{Path, PathBuf};

use crate::{
    cifar::{Cifar, read_cifar, read_cifar_file},
    dataset::Dataset,
    digits::digits_splits,
    error::DatasetError,
    folder::{is_picture, read_folder, read_picture},
    idx::{is_idx_labels, read_idx},
    splits::Splits,
};

/// How to read what the source itself leaves open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenOptions {
    /// Height and width to crop and resize the pictures of a folder to; other kinds keep their size.
    pub size: Option<[usize; 2]>,
    /// Number of classes of an IDX set, whose labels must lie below it; other kinds know theirs.
    pub idx_classes: usize,
}

impl Default for OpenOptions {
    /// Pictures keep their size; IDX sets have the ten classes of MNIST and Fashion-MNIST.
    fn default() -> Self {
        Self { size: None, idx_classes: 10 }
    }
}

/// Reads the data set called `source`, divided into images to train on and images held out.
///
/// | source | kind | held out |
/// | --- | --- | --- |
/// | `digits` | the bundled digits | 18 of each class, fixed |
/// | folder with `train-images-idx3-ubyte[.gz]` | MNIST family | its `t10k` files, else one in ten |
/// | folder with `data_batch_1.bin` or `train.bin`, or with `cifar-10-batches-bin` or `cifar-100-binary` in it | CIFAR | its test file |
/// | folder with `train` and `test` | pictures | those in `test` |
/// | any other folder | pictures | one in ten of each class |
/// | file `*.png`, `*.jpg`, `*.jpeg` or `*.webp` | one picture | none |
/// | file `*.bin` | one CIFAR file | one in ten of each class |
/// | any other file | one IDX file of images, with its labels if they lie beside it | one in ten |
///
/// The bundled set goes before a folder `digits`, which is `./digits`.
///
/// # Errors
/// When there is no such source, or it cannot be read or is damaged; the error names the file.
pub fn open(source: &str, options: &OpenOptions) -> Result<Splits, DatasetError> {
    if source == "digits" {
        return digits_splits();
    }
    let path = Path::new(source);
    if path.is_dir() {
        open_folder(path, options)
    } else if path.is_file() {
        Splits::one_in_ten(&open_file(path, options)?)
    } else {
        Err(DatasetError::NotFound { path: path.to_path_buf() })
    }
}

fn open_folder(folder: &Path, options: &OpenOptions) -> Result<Splits, DatasetError> {
    if let Some(images) = idx_file(folder, "train", Content::Images) {
        return open_idx_folder(folder, &images, options);
    }
    for inner in ["", "cifar-10-batches-bin", "cifar-100-binary"] {
        let folder = if inner.is_empty() { folder.to_path_buf() } else { folder.join(inner) };
        if let Some(kind) = Cifar::in_folder(&folder) {
            return read_cifar(kind, &folder);
        }
    }
    let (train, test) = (folder.join("train"), folder.join("test"));
    if train.is_dir() && test.is_dir() {
        return open_divided(&train, &test, options);
    }
    Splits::one_in_ten(&read_folder(folder, options.size)?)
}

/// A folder of the MNIST family.
fn open_idx_folder(
    folder: &Path,
    images: &Path,
    options: &OpenOptions,
) -> Result<Splits, DatasetError> {
    let part = |part: &str, images: &Path| {
        let labels = idx_file(folder, part, Content::Labels).ok_or_else(|| {
            let path = folder.join(format!("{part}-labels-idx1-ubyte.gz"));
            DatasetError::MissingFile { path, beside: images.to_path_buf() }
        })?;
        let set = read_idx(images, Some(&labels), options.idx_classes)?;
        Ok(set.named(folder.display().to_string()))
    };
    let train: Dataset = part("train", images)?;
    let Some(test_images) = idx_file(folder, "t10k", Content::Images) else {
        return Splits::one_in_ten(&train);
    };
    let test = part("t10k", &test_images)?;
    same_shape(&train, &test, &test_images)?;
    Ok(Splits { train, test })
}

/// A folder of pictures whose subfolders `train` and `test` divide them.
fn open_divided(
    train_folder: &Path,
    test_folder: &Path,
    options: &OpenOptions,
) -> Result<Splits, DatasetError> {
    let train = read_folder(train_folder, options.size)?;
    let test = read_folder(test_folder, options.size)?;
    if train.class_names() != test.class_names() {
        return Err(DatasetError::ClassMismatch {
            path: test_folder.to_path_buf(),
            got: test.class_names().to_vec(),
            expected: train.class_names().to_vec(),
        });
    }
    same_shape(&train, &test, test_folder)?;
    Ok(Splits { train, test })
}

fn same_shape(train: &Dataset, test: &Dataset, path: &Path) -> Result<(), DatasetError> {
    let (got, expected) = (test.shape(), train.shape());
    if got == expected {
        return Ok(());
    }
    Err(DatasetError::ShapeMismatch { path: path.to_path_buf(), got, expected })
}

/// A single file: a picture or CIFAR records if it ends so, else IDX.
fn open_file(path: &Path, options: &OpenOptions) -> Result<Dataset, DatasetError> {
    if is_picture(path) {
        return read_picture(path, options.size);
    }
    if path.extension().is_some_and(|ending| ending == "bin") {
        let size = std::fs::metadata(path)
            .map_err(|source| DatasetError::Read { path: path.to_path_buf(), source })?
            .len();
        return read_cifar_file(Cifar::of_size(size).unwrap_or(Cifar::Ten), path);
    }
    let labels = labels_beside(path);
    let labels = match labels {
        Some(labels) if is_idx_labels(&labels)? => Some(labels),
        _ => None,
    };
    read_idx(path, labels.as_deref(), options.idx_classes)
}

/// The label file that goes with a file of images by its name, if it is there.
fn labels_beside(images: &Path) -> Option<PathBuf> {
    let name = images.file_name()?.to_str()?;
    let labels = name.replace("images", "labels").replace("idx3", "idx1");
    let path = images.with_file_name(&labels);
    (labels != name && path.is_file()).then_some(path)
}

/// What an IDX file holds.
#[derive(Debug, Clone, Copy)]
enum Content {
    Images,
    Labels,
}

/// A file of the MNIST family, under any of the names it goes by.
fn idx_file(folder: &Path, part: &str, content: Content) -> Option<PathBuf> {
    let (what, dims) = match content {
        Content::Images => ("images", 3),
        Content::Labels => ("labels", 1),
    };
    ["-idx", ".idx"]
        .iter()
        .flat_map(|idx| ["", ".gz"].map(|zip| format!("{part}-{what}{idx}{dims}-ubyte{zip}")))
        .map(|name| folder.join(name))
        .find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use image::{GrayImage, Luma};

    use super::*;

    fn write(folder: &Path, name: &str, dims: &[u32], body: &[u8]) {
        let magic = 0x0800 + dims.len() as u32;
        let head = [&[magic], dims].concat();
        let bytes: Vec<u8> =
            head.iter().flat_map(|n| n.to_be_bytes()).chain(body.iter().copied()).collect();
        std::fs::write(folder.join(name), bytes).unwrap();
    }

    fn open_path(path: &Path) -> Result<Splits, String> {
        let root = format!("{}/", path.display());
        open(path.to_str().unwrap(), &OpenOptions::default())
            .map_err(|error| error.to_string().replace(&root, ""))
    }

    #[test]
    fn digits_is_the_bundled_set() {
        let splits = open("digits", &OpenOptions::default()).unwrap();
        assert_eq!((splits.train.len(), splits.test.len()), (1617, 180));
    }

    #[test]
    fn what_is_not_there_is_named() {
        let error = open("no/such/place", &OpenOptions::default()).unwrap_err().to_string();
        assert!(error.starts_with("there is no data set `no/such/place`: expected `digits`"));
    }

    #[test]
    fn an_mnist_folder_has_its_own_test_files() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        write(folder, "train-images-idx3-ubyte", &[3, 1, 2], &[1, 2, 3, 4, 5, 6]);
        let missing = "train-labels-idx1-ubyte.gz is missing, which belongs beside \
                       train-images-idx3-ubyte";
        assert_eq!(open_path(folder).unwrap_err(), missing);
        write(folder, "train-labels-idx1-ubyte", &[3], &[1, 0, 9]);
        let alone = open_path(folder).unwrap();
        assert_eq!((alone.train.len(), alone.test.len()), (3, 0));
        write(folder, "t10k-images-idx3-ubyte", &[1, 1, 2], &[7, 8]);
        write(folder, "t10k-labels-idx1-ubyte", &[1], &[4]);
        let splits = open_path(folder).unwrap();
        assert_eq!(splits.train.labels().unwrap(), [1, 0, 9]);
        assert_eq!((splits.test.images(), splits.test.label(0)), (&[7, 8][..], Some(4)));
        write(folder, "t10k-images-idx3-ubyte", &[1, 2, 1], &[7, 8]);
        let error = open_path(folder).unwrap_err();
        assert!(error.starts_with("t10k-images-idx3-ubyte holds images of shape [1, 2, 1]"));
    }

    #[test]
    fn a_single_idx_file_takes_the_labels_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let images = folder.path().join("train-images-idx3-ubyte");
        write(folder.path(), "train-images-idx3-ubyte", &[20, 1, 1], &[5; 20]);
        let splits = open_path(&images).unwrap();
        assert_eq!((splits.train.labels(), splits.test.len()), (None, 2));
        write(folder.path(), "train-labels-idx1-ubyte", &[20], &[3; 20]);
        let splits = open_path(&images).unwrap();
        assert_eq!(splits.train.labels(), Some(&[3; 18][..]));
        let labels = folder.path().join("train-labels-idx1-ubyte");
        assert!(open_path(&labels).unwrap_err().contains("expected 0x00000803"));
    }

    #[test]
    fn cifar_is_found_in_the_folder_it_unpacks_to_and_as_a_single_file() {
        let outer = tempfile::tempdir().unwrap();
        let inner = outer.path().join("cifar-10-batches-bin");
        std::fs::create_dir(&inner).unwrap();
        for k in 1..=5 {
            std::fs::write(inner.join(format!("data_batch_{k}.bin")), vec![2; 3073]).unwrap();
        }
        std::fs::write(inner.join("test_batch.bin"), vec![1; 3073]).unwrap();
        for path in [outer.path(), &inner] {
            let splits = open_path(path).unwrap();
            assert_eq!((splits.train.len(), splits.test.len()), (5, 1));
        }
        assert_eq!(open_path(&inner.join("test_batch.bin")).unwrap().train.label(0), Some(1));
    }

    #[test]
    fn a_picture_is_a_set_of_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("seven.PNG");
        GrayImage::from_pixel(3, 2, Luma([7])).save(&path).unwrap();
        let splits = open_path(&path).unwrap();
        assert_eq!((splits.train.len(), splits.test.len()), (1, 0));
        assert_eq!((splits.train.shape(), splits.train.image(0)), ([1, 2, 3], &[7; 6][..]));
    }

    #[test]
    fn a_folder_of_pictures_is_divided_by_its_subfolders_or_by_share() {
        let folder = tempfile::tempdir().unwrap();
        let save = |name: &str, value: u8| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            GrayImage::from_pixel(2, 2, Luma([value])).save(path).unwrap();
        };
        for k in 0..10 {
            save(&format!("train/a/{k}.png"), k);
            save(&format!("train/b/{k}.png"), 100 + k);
        }
        let splits = open_path(&folder.path().join("train")).unwrap();
        assert_eq!((splits.train.len(), splits.test.labels()), (18, Some(&[0, 1][..])));
        save("test/a/0.png", 77);
        let error = open_path(folder.path()).unwrap_err();
        assert_eq!(error, "test has the classes [a], expected those of its train folder: [a, b]");
        save("test/b/0.png", 78);
        let splits = open_path(folder.path()).unwrap();
        assert_eq!((splits.train.len(), splits.test.images()[4]), (20, 78));
    }
}
