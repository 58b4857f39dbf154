//! Everything that can go wrong with a data set, each with the values that explain it.

use std::path::PathBuf;

/// What went wrong while reading, preparing or fetching a data set.
///
/// A message leaves out its source, which follows in the chain. The decoder's and encoder's errors are
/// no sources but part of the message: their own messages repeat their sources.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatasetError {
    /// A file or folder could not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file or folder could not be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Neither a bundled set nor something that exists.
    #[error(
        "there is no data set `{}`: expected `digits`, or the path of an IDX file, a CIFAR .bin \
         file, or a folder with a data set in it", path.display()
    )]
    NotFound {
        /// What was asked for.
        path: PathBuf,
    },
    /// A data set folder lacks one of its files.
    #[error("{} is missing, which belongs beside {}", path.display(), beside.display())]
    MissingFile {
        /// The file that should be there.
        path: PathBuf,
        /// The file that was found and needs it.
        beside: PathBuf,
    },
    /// An IDX file starts with the wrong four bytes.
    #[error(
        "{} starts with {got:#010x}, expected {expected:#010x} (IDX {what}, unsigned bytes)",
        path.display()
    )]
    WrongMagic {
        /// The file.
        path: PathBuf,
        /// Its first four bytes, big-endian.
        got: u32,
        /// What they should have been.
        expected: u32,
        /// "images" or "labels".
        what: &'static str,
    },
    /// A file ends before the data its header announces.
    #[error("{} is truncated: it holds {got} bytes of {what}, expected {expected}", path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
        /// "header", "images" or "labels".
        what: &'static str,
        /// Bytes there.
        got: u64,
        /// Bytes announced.
        expected: u64,
    },
    /// A file goes on after the data its header announces.
    #[error("{} goes on after its {expected} announced bytes of {what}", path.display())]
    TrailingBytes {
        /// The file.
        path: PathBuf,
        /// "images" or "labels".
        what: &'static str,
        /// Bytes announced.
        expected: u64,
    },
    /// A header announces no images, images without pixels, or more than could be meant.
    #[error(
        "the header of {} announces {count} images of {height}x{width}, expected at least one \
         image of at least 1x1 and at most {limit} bytes in all",
        path.display()
    )]
    Dimensions {
        /// The file.
        path: PathBuf,
        /// Images announced.
        count: u32,
        /// Rows announced.
        height: u32,
        /// Columns announced.
        width: u32,
        /// The largest data set that is read, in bytes.
        limit: u64,
    },
    /// A CIFAR file is not a whole number of records.
    #[error(
        "{} has {got} bytes, expected a positive multiple of {record} (one CIFAR record)",
        path.display()
    )]
    CifarSize {
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        got: u64,
        /// The size of a record in bytes.
        record: u64,
    },
    /// A label is not the number of a class.
    #[error(
        "label {label} of image {index} is out of range in {}, expected 0 to {}",
        path.display(), classes - 1
    )]
    LabelOutOfRange {
        /// The file (or, for a set made in memory, its name).
        path: PathBuf,
        /// Which image.
        index: usize,
        /// Its label.
        label: u32,
        /// How many classes there are.
        classes: usize,
    },
    /// As many labels as images are needed.
    #[error("{} holds {labels} labels for {images} images", path.display())]
    LabelCount {
        /// The label file (or, for a set made in memory, its name).
        path: PathBuf,
        /// Labels there.
        labels: usize,
        /// Images there.
        images: usize,
    },
    /// A folder without any image.
    #[error("{} holds no images (png, jpg, jpeg, webp)", path.display())]
    EmptyFolder {
        /// The folder.
        path: PathBuf,
    },
    /// Images lie both in a folder and in its subfolders.
    #[error(
        "{} holds both images ({}) and subfolders with images ({}): expected one or the other",
        path.display(), image.display(), subfolder.display()
    )]
    MixedLayout {
        /// The folder.
        path: PathBuf,
        /// An image that lies in it.
        image: PathBuf,
        /// A subfolder that lies beside that image.
        subfolder: PathBuf,
    },
    /// The folders `train` and `test` do not have the same classes.
    #[error(
        "{} has the classes [{}], expected those of its train folder: [{}]",
        path.display(), got.join(", "), expected.join(", ")
    )]
    ClassMismatch {
        /// The test folder.
        path: PathBuf,
        /// Its subfolders.
        got: Vec<String>,
        /// The subfolders of the train folder.
        expected: Vec<String>,
    },
    /// A file could not be decoded as an image.
    #[error("{} is not a readable image: {reason}", path.display())]
    Image {
        /// The file.
        path: PathBuf,
        /// What the decoder said.
        reason: image::ImageError,
    },
    /// Not all images have one size.
    #[error(
        "{} is {}x{} pixels but {} is {}x{}: expected one size for all; \
         give a size to crop and resize to",
        path.display(), got[1], got[0], first.display(), expected[1], expected[0]
    )]
    MixedSizes {
        /// The file that differs.
        path: PathBuf,
        /// Its height and width.
        got: [usize; 2],
        /// The first file of the set.
        first: PathBuf,
        /// The height and width of that one.
        expected: [usize; 2],
    },
    /// A set of pictures needs one shape for all of its parts.
    #[error(
        "{} holds images of shape {got:?} (channels, height, width), expected {expected:?} \
         as in the train images",
        path.display()
    )]
    ShapeMismatch {
        /// The file or folder.
        path: PathBuf,
        /// Shape there.
        got: [usize; 3],
        /// Shape of the training images.
        expected: [usize; 3],
    },
    /// A crop and resize to nothing, or to more than could be meant.
    #[error("image size {}x{} is out of range, expected 1x1 to 16384x16384", size[0], size[1])]
    SizeOutOfRange {
        /// Height and width asked for.
        size: [usize; 2],
    },
    /// Bytes and shape of a data set made in memory do not agree.
    #[error(
        "{bytes} bytes are no whole number of images of shape {shape:?} (channels, height, width)"
    )]
    ByteCount {
        /// Bytes given.
        bytes: usize,
        /// Channels, height, width.
        shape: [usize; 3],
    },
    /// The number of levels does not fit a byte.
    #[error("levels is {levels}, expected 2 to 256")]
    LevelsOutOfRange {
        /// Levels asked for.
        levels: u32,
    },
    /// A pixel is above the highest level.
    #[error("pixel {index} is {value}, expected 0 to {}", levels - 1)]
    PixelOutOfRange {
        /// Position in the bytes.
        index: usize,
        /// Its value.
        value: u8,
        /// Levels of the set.
        levels: u32,
    },
    /// A selection names an image that is not there.
    #[error("image {index} is out of range, expected 0 to {} in {name}", len.saturating_sub(1))]
    IndexOutOfRange {
        /// The image asked for.
        index: usize,
        /// Images there.
        len: usize,
        /// Name of the set.
        name: String,
    },
    /// Batches of no images.
    #[error("batch_size is 0, expected at least 1")]
    EmptyBatch,
    /// Batches from no images.
    #[error("{name} holds no images to make batches of")]
    EmptyDataset {
        /// Name of the set.
        name: String,
    },
    /// The system gave no thread to make batches on.
    #[error("cannot start the thread that makes batches")]
    Thread {
        /// What the system said.
        source: std::io::Error,
    },
    /// Padding to less than the image.
    #[error("pad is {}x{}, expected at least the images' own {}x{}", pad[0], pad[1], size[0], size[1])]
    PadTooSmall {
        /// Height and width asked for.
        pad: [usize; 2],
        /// Height and width of the images.
        size: [usize; 2],
    },
    /// A picture needs images of one or three channels.
    #[error("images of {channels} channels make no picture, expected 1 or 3")]
    Channels {
        /// Channels there.
        channels: usize,
    },
    /// A picture of nothing, or one larger than a picture can be.
    #[error(
        "a grid of {count} images of {height}x{width} in {columns} columns at scale {scale} makes \
         no picture, expected at least one of each and at most 65535 pixels a side"
    )]
    Grid {
        /// Images.
        count: usize,
        /// Their height.
        height: usize,
        /// Their width.
        width: usize,
        /// Columns asked for.
        columns: usize,
        /// Factor asked for.
        scale: usize,
    },
    /// A picture could not be encoded.
    #[error("cannot encode {}: {reason}", path.display())]
    Encode {
        /// The file.
        path: PathBuf,
        /// What the encoder said.
        reason: image::ImageError,
    },
    /// A server answered, but not with the file.
    #[error("{url} answered with status {status}, expected the file")]
    HttpStatus {
        /// The address.
        url: String,
        /// The status.
        status: u16,
    },
    /// No answer, or a connection that kept breaking off.
    #[error(
        "downloading {url} stopped after {received} bytes (run the same command again to resume)"
    )]
    Download {
        /// The address.
        url: String,
        /// Bytes received so far, kept for a later run.
        received: u64,
        /// What the client said.
        source: Box<ureq::Error>,
    },
    /// A server sends more than the published file holds.
    #[error(
        "the server sent at least {got} bytes of {}, expected {expected}; it was removed: run the \
         same command again, or use another base address",
        path.display()
    )]
    TooLong {
        /// The file.
        path: PathBuf,
        /// Bytes received when it was given up.
        got: u64,
        /// Bytes of the published file.
        expected: u64,
    },
    /// A downloaded file is not the published one.
    #[error(
        "{} has the wrong sha256 sum {got}, expected {expected}; it was removed: run the same \
         command again, or use another base address",
        path.display()
    )]
    Checksum {
        /// The file.
        path: PathBuf,
        /// The sum of what was downloaded.
        got: String,
        /// The published sum.
        expected: String,
    },
    /// A file of the name to be fetched is there, but is not the published one.
    #[error(
        "{} is already there but is another file (sha256 {got}, expected {expected}): remove it, \
         or fetch to another folder",
        path.display()
    )]
    InTheWay {
        /// The file.
        path: PathBuf,
        /// Its sum.
        got: String,
        /// The published sum.
        expected: String,
    },
    /// An archive could not be unpacked.
    #[error("cannot unpack {}", path.display())]
    Unpack {
        /// The archive.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Not the name of a set that can be fetched.
    #[error("there is no set `{name}` to fetch, expected mnist, fashion-mnist or cifar10")]
    UnknownSet {
        /// What was asked for.
        name: String,
    },
}
