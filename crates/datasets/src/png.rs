//! Pictures on disk, whole or not at all.

use std::{
    fs::File,
    io::{Cursor, Write},
    path::Path,
};

use image::{DynamicImage, ImageFormat};

use crate::error::DatasetError;

/// Writes a picture as PNG: under a temporary name beside `path`, then renamed, so that `path` never
/// holds half a picture. Missing folders are made.
///
/// # Errors
/// When the folder or file cannot be written.
pub fn save_png(picture: &DynamicImage, path: &Path) -> Result<(), DatasetError> {
    let failed = |source| DatasetError::Write { path: path.to_path_buf(), source };
    let folder = path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(failed)?;
    // Made here rather than by `NamedTempFile`, whose errors name the temporary file; and with the
    // permissions of an ordinary file rather than for its owner alone.
    let made = tempfile::Builder::new().make_in(folder, |temporary| File::create_new(temporary));
    let mut file = made.map_err(failed)?;
    let mut bytes = Cursor::new(Vec::new());
    picture
        .write_to(&mut bytes, ImageFormat::Png)
        .map_err(|reason| DatasetError::Encode { path: path.to_path_buf(), reason })?;
    file.as_file_mut().write_all(bytes.get_ref()).map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use image::{Rgb, RgbImage};

    use super::*;

    #[test]
    fn a_picture_replaces_an_older_one_and_leaves_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("made/on/the/way.png");
        for value in [1, 2] {
            save_png(&RgbImage::from_pixel(3, 2, Rgb([value, 5, 9])).into(), &path).unwrap();
            let read = image::open(&path).unwrap().into_rgb8();
            assert_eq!((read.dimensions(), read.get_pixel(2, 1)), ((3, 2), &Rgb([value, 5, 9])));
        }
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_place_that_cannot_be_written_is_named() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("file"), "").unwrap();
        let path = folder.path().join("file/picture.png");
        let error = save_png(&DynamicImage::new_luma8(1, 1), &path).unwrap_err().to_string();
        assert_eq!(error, format!("cannot write {}", path.display()));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_temporary_file_that_cannot_be_made_is_not_named() {
        let path = Path::new("/proc/picture.png");
        let error = save_png(&DynamicImage::new_luma8(1, 1), path).unwrap_err();
        let source = std::error::Error::source(&error).unwrap();
        assert_eq!(error.to_string(), "cannot write /proc/picture.png");
        assert!(source.source().is_none() && !source.to_string().contains("/proc"), "{source}");
    }
}
