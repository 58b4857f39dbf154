//! A folder of pictures: PNG, JPEG and WebP, each subfolder a class.

use std::{
    fs::File,
    io::BufReader,
    path::{Path, PathBuf},
};

use image::{
    DynamicImage, ImageDecoder, ImageReader, ImageResult, Limits, imageops::FilterType,
    metadata::Orientation,
};

use crate::{dataset::Dataset, error::DatasetError};

const ENDINGS: [&str; 4] = ["png", "jpg", "jpeg", "webp"];
const LARGEST_SIDE: usize = 16384;

/// The images of a folder, of 256 levels; if it has subfolders, each of them is a class.
///
/// Classes are numbered in the order of their names. With a size `[height, width]` each image is
/// scaled (Lanczos) until it just covers that size, and its middle is cut out; without one, all must
/// have the same size. The set is grey (one channel) when every file is, else RGB (a WebP file always is); transparency
/// is dropped, 16-bit images are rounded to 8 bits, and an orientation noted in EXIF data is applied. Other files, and files and folders whose names
/// start with a dot, are passed over.
///
/// # Errors
/// When a folder or file cannot be read, a file cannot be decoded, sizes differ, a folder holds no
/// image, or images lie both in the folder and in its subfolders. The error names the file.
pub fn read_folder(folder: &Path, size: Option<[usize; 2]>) -> Result<Dataset, DatasetError> {
    let sides = 1..=LARGEST_SIDE;
    if let Some(size) = size.filter(|size| size.iter().any(|side| !sides.contains(side))) {
        return Err(DatasetError::SizeOutOfRange { size });
    }
    let Listing { paths, labels, class_names } = list(folder)?;
    let images = paths.iter().map(|path| load(path, size)).collect::<Result<Vec<_>, _>>()?;
    let (height, width) = one_size(&paths, &images)?;
    let grey = images.iter().all(|image| matches!(image, DynamicImage::ImageLuma8(_)));
    let shape = [if grey { 1 } else { 3 }, height, width];
    let mut pixels = Vec::with_capacity(images.len() * shape.iter().product::<usize>());
    for image in images {
        append(image, grey, &mut pixels);
    }
    let set = Dataset::new(folder.display().to_string(), pixels, shape, 256)?;
    if class_names.is_empty() { Ok(set) } else { set.with_labels(labels, class_names) }
}

/// Whether a file's name ends as that of a picture.
pub(crate) fn is_picture(path: &Path) -> bool {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
    ending.is_some_and(|ending| ENDINGS.contains(&&*ending))
}

/// A set of one picture, read as those of a folder are.
pub(crate) fn read_picture(path: &Path, size: Option<[usize; 2]>) -> Result<Dataset, DatasetError> {
    let image = load(path, size)?;
    let grey = matches!(image, DynamicImage::ImageLuma8(_));
    let shape = [if grey { 1 } else { 3 }, image.height() as usize, image.width() as usize];
    let mut pixels = Vec::with_capacity(shape.iter().product());
    append(image, grey, &mut pixels);
    Dataset::new(path.display().to_string(), pixels, shape, 256)
}

/// The image files of a folder.
#[derive(Debug, Default)]
struct Listing {
    paths: Vec<PathBuf>,
    /// One for each path, or none when there are no classes.
    labels: Vec<u32>,
    class_names: Vec<String>,
}

fn list(folder: &Path) -> Result<Listing, DatasetError> {
    let (images, subfolders) = entries(folder)?;
    let Some(subfolder) = subfolders.first().cloned() else {
        if images.is_empty() {
            return Err(DatasetError::EmptyFolder { path: folder.to_path_buf() });
        }
        return Ok(Listing { paths: images, ..Listing::default() });
    };
    if let Some(image) = images.into_iter().next() {
        let path = folder.to_path_buf();
        return Err(DatasetError::MixedLayout { path, image, subfolder });
    }
    let mut listing = Listing::default();
    for (class, subfolder) in subfolders.into_iter().enumerate() {
        let (images, _) = entries(&subfolder)?;
        if images.is_empty() {
            return Err(DatasetError::EmptyFolder { path: subfolder });
        }
        listing.labels.extend(images.iter().map(|_| class as u32));
        listing.paths.extend(images);
        listing.class_names.push(file_name(&subfolder));
    }
    Ok(listing)
}

/// The image files and the subfolders of a folder, each sorted by name.
fn entries(folder: &Path) -> Result<(Vec<PathBuf>, Vec<PathBuf>), DatasetError> {
    let failed = |source| DatasetError::Read { path: folder.to_path_buf(), source };
    let (mut images, mut subfolders) = (vec![], vec![]);
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if file_name(&path).starts_with('.') {
            continue;
        }
        if path.is_dir() {
            subfolders.push(path);
        } else if is_picture(&path) {
            images.push(path);
        }
    }
    images.sort();
    subfolders.sort();
    Ok((images, subfolders))
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Decodes a file, told by its content, to 8 bits, grey or RGB, and brings it to size.
fn load(path: &Path, size: Option<[usize; 2]>) -> Result<DynamicImage, DatasetError> {
    let read = |source| DatasetError::Read { path: path.to_path_buf(), source };
    let reader =
        ImageReader::open(path).and_then(ImageReader::with_guessed_format).map_err(read)?;
    let image = upright(reader)
        .map_err(|reason| DatasetError::Image { path: path.to_path_buf(), reason })?;
    let image = match image.color().has_color() {
        true => DynamicImage::ImageRgb8(image.into_rgb8()),
        false => DynamicImage::ImageLuma8(image.into_luma8()),
    };
    Ok(match size {
        Some([height, width])
            if (image.height(), image.width()) != (height as u32, width as u32) =>
        {
            image.resize_to_fill(width as u32, height as u32, FilterType::Lanczos3)
        }
        _ => image,
    })
}

/// Decodes a picture and turns it as its camera was held; a damaged note of that counts as none.
fn upright(reader: ImageReader<BufReader<File>>) -> ImageResult<DynamicImage> {
    let mut decoder = reader.into_decoder()?;
    let mut limits = Limits::default();
    limits.reserve(decoder.total_bytes())?;
    decoder.set_limits(limits)?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut image = DynamicImage::from_decoder(decoder)?;
    image.apply_orientation(orientation);
    Ok(image)
}

/// Height and width of all images.
fn one_size(paths: &[PathBuf], images: &[DynamicImage]) -> Result<(usize, usize), DatasetError> {
    let size = |image: &DynamicImage| [image.height() as usize, image.width() as usize];
    let expected = size(&images[0]);
    match images.iter().position(|image| size(image) != expected) {
        None => Ok((expected[0], expected[1])),
        Some(k) => Err(DatasetError::MixedSizes {
            path: paths[k].clone(),
            got: size(&images[k]),
            first: paths[0].clone(),
            expected,
        }),
    }
}

/// Appends the pixels plane by plane.
fn append(image: DynamicImage, grey: bool, pixels: &mut Vec<u8>) {
    if grey {
        pixels.extend(image.into_luma8().into_raw());
        return;
    }
    let interleaved = image.into_rgb8().into_raw();
    for channel in 0..3 {
        pixels.extend(interleaved.iter().skip(channel).step_by(3));
    }
}

#[cfg(test)]
mod tests {
    use image::{GrayImage, Luma, Rgb, RgbImage};

    use super::*;

    /// A folder made for a test, which errors are shown relative to.
    struct Folder(tempfile::TempDir);

    impl Folder {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn path(&self, name: &str) -> PathBuf {
            let path = self.0.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            path
        }

        fn grey(&self, name: &str, width: u32, height: u32, value: u8) {
            GrayImage::from_pixel(width, height, Luma([value])).save(self.path(name)).unwrap();
        }

        fn read(&self, size: Option<[usize; 2]>) -> Result<Dataset, String> {
            let root = format!("{}/", self.0.path().display());
            read_folder(self.0.path(), size).map_err(|e| e.to_string().replace(&root, ""))
        }
    }

    #[test]
    fn subfolders_are_classes_in_the_order_of_their_names() {
        let folder = Folder::new();
        folder.grey("dog/b.png", 2, 2, 30);
        folder.grey("dog/a.PNG", 2, 2, 20);
        folder.grey("cat/z.png", 2, 2, 10);
        std::fs::write(folder.path("dog/notes.txt"), "passed over").unwrap();
        std::fs::write(folder.path(".hidden/x.png"), "passed over").unwrap();
        let set = folder.read(None).unwrap();
        assert_eq!(set.class_names(), ["cat", "dog"]);
        assert_eq!(set.labels(), Some(&[0, 1, 1][..]));
        assert_eq!(set.shape(), [1, 2, 2]);
        assert_eq!(set.images().iter().step_by(4).copied().collect::<Vec<_>>(), [10, 20, 30]);
    }

    #[test]
    fn a_flat_folder_has_no_labels_and_one_colour_image_makes_it_rgb() {
        let folder = Folder::new();
        folder.grey("a.png", 2, 1, 7);
        let colours = [Rgb([1, 2, 3]), Rgb([4, 5, 6])];
        RgbImage::from_fn(2, 1, |x, _| colours[x as usize]).save(folder.path("b.png")).unwrap();
        let set = folder.read(None).unwrap();
        assert_eq!((set.labels(), set.shape()), (None, [3, 1, 2]));
        assert_eq!(set.images(), [7, 7, 7, 7, 7, 7, 1, 4, 2, 5, 3, 6]);
    }

    #[test]
    fn webp_and_jpeg_read_and_content_decides_not_the_name() {
        let folder = Folder::new();
        folder.grey("a.jpeg", 8, 8, 100);
        std::fs::rename(folder.path("a.jpeg"), folder.path("a.png")).unwrap();
        folder.grey("b.jpg", 8, 8, 100);
        folder.grey("c.webp", 8, 8, 100);
        let set = folder.read(None).unwrap();
        assert_eq!(set.shape(), [3, 8, 8]);
        assert!(set.images().iter().all(|&value| value.abs_diff(100) <= 1));
    }

    #[test]
    fn a_picture_taken_with_the_camera_on_its_side_is_turned_upright() {
        let folder = Folder::new();
        let halves = |x: u32, _| Luma([if x < 8 { 20 } else { 220 }]);
        GrayImage::from_fn(16, 8, halves).save(folder.path("a.jpg")).unwrap();
        let lying = std::fs::read(folder.path("a.jpg")).unwrap();
        // One entry in a TIFF header: orientation (0x0112), a short, 1 value, 6 (turn right).
        let tiff = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
        let length = (2 + 6 + tiff.len() as u16).to_be_bytes();
        let exif = [&[0xff, 0xe1][..], &length, b"Exif\0\0", tiff].concat();
        let turned = [&lying[..2], &exif, &lying[2..]].concat();
        std::fs::write(folder.path("a.jpg"), turned).unwrap();
        let set = folder.read(None).unwrap();
        assert_eq!(set.shape(), [1, 16, 8]);
        let (top, bottom) = set.image(0).split_at(64);
        assert!(top.iter().all(|&value| value < 60), "{top:?}");
        assert!(bottom.iter().all(|&value| value > 180), "{bottom:?}");
    }

    #[test]
    fn a_size_cuts_out_the_middle_and_scales_it() {
        let folder = Folder::new();
        // Three bands of 6x6; the middle one is what a square keeps.
        let bands = |x: u32, _| Luma([if (6..12).contains(&x) { 200 } else { 0 }]);
        GrayImage::from_fn(18, 6, bands).save(folder.path("wide.png")).unwrap();
        folder.grey("small.png", 3, 3, 50);
        let set = folder.read(Some([6, 6])).unwrap();
        assert_eq!((set.len(), set.shape()), (2, [1, 6, 6]));
        assert_eq!(set.image(0), [50; 36]);
        assert_eq!(set.image(1), [200; 36]);
    }

    #[test]
    fn damaged_folders_are_named_with_what_is_wrong() {
        let folder = Folder::new();
        let error = |size| folder.read(size).unwrap_err();
        assert!(error(None).ends_with(" holds no images (png, jpg, jpeg, webp)"));
        assert!(error(Some([0, 8])).starts_with("image size 0x8 is out of range"));
        folder.grey("a.png", 3, 2, 0);
        folder.grey("b.png", 2, 3, 0);
        assert_eq!(
            error(None),
            "b.png is 2x3 pixels but a.png is 3x2: expected one size for all; give a size to crop \
             and resize to"
        );
        std::fs::write(folder.path("b.png"), "just words").unwrap();
        assert!(error(None).starts_with("b.png is not a readable image: "), "{}", error(None));
        std::fs::create_dir(folder.path("empty")).unwrap();
        assert!(error(None).contains("holds both images (a.png) and subfolders with images"));
        std::fs::remove_file(folder.path("a.png")).unwrap();
        std::fs::remove_file(folder.path("b.png")).unwrap();
        assert_eq!(error(None), "empty holds no images (png, jpg, jpeg, webp)");
    }

    #[test]
    fn a_truncated_png_and_one_of_absurd_size_are_named() {
        let folder = Folder::new();
        folder.grey("a.png", 64, 64, 9);
        let whole = std::fs::read(folder.path("a.png")).unwrap();
        std::fs::write(folder.path("a.png"), &whole[..whole.len() / 2]).unwrap();
        assert!(folder.read(None).unwrap_err().starts_with("a.png is not a readable image: "));
        let mut absurd = whole;
        absurd[16..24].fill(0x7f);
        std::fs::write(folder.path("a.png"), absurd).unwrap();
        assert!(folder.read(None).unwrap_err().starts_with("a.png is not a readable image: "));
    }
}
