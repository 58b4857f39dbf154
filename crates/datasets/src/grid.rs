//! Many small images as one picture.

use image::{DynamicImage, GrayImage, RgbImage};

use crate::{dataset::Dataset, error::DatasetError, scaling::picture_byte};

/// Grey of the lines between images.
const LINE: u8 = 64;

/// The longest side a picture may have, in pixels.
const LONGEST: usize = 65535;

/// How a grid is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GridLayout {
    /// Images in a row.
    pub columns: usize,
    /// Each pixel becomes a square of this many pixels a side.
    pub scale: usize,
    /// Pixels between images and around them, not scaled.
    pub padding: usize,
}

impl GridLayout {
    /// As square as it gets, small images enlarged to at least 64 pixels a side, 2 pixels between.
    ///
    /// `height` and `width` are those of one image, in pixels.
    #[must_use]
    pub fn fitting(count: usize, height: usize, width: usize) -> Self {
        let columns = (count.max(1) as f64).sqrt().ceil() as usize;
        let scale = 64usize.div_ceil(height.min(width).max(1));
        Self { columns, scale, padding: 2 }
    }
}

/// A picture of `images`, row by row; places without an image stay in the grey of the lines.
///
/// `images` is `[n, channels, height, width]` with values 0 to 255; `shape` is
/// `[channels, height, width]` with one channel or three (RGB). The picture is grey when they are.
///
/// # Errors
/// When there is no image, the bytes are no whole number of images, the channels are neither one nor
/// three, or the picture would have a side of no or of more than 65535 pixels.
pub fn grid(
    images: &[u8],
    shape: [usize; 3],
    layout: GridLayout,
) -> Result<DynamicImage, DatasetError> {
    let [channels, height, width] = shape;
    if channels != 1 && channels != 3 {
        return Err(DatasetError::Channels { channels });
    }
    let item = channels * height * width;
    if item == 0 || !images.len().is_multiple_of(item) {
        return Err(DatasetError::ByteCount { bytes: images.len(), shape });
    }
    let count = images.len() / item;
    let GridLayout { columns, scale, padding } = layout;
    let side = |cells: usize, size: usize| {
        let pitch = size.checked_mul(scale)?.checked_add(padding)?;
        cells.checked_mul(pitch)?.checked_add(padding).filter(|&side| side <= LONGEST)
    };
    let rows = count.div_ceil(columns.max(1));
    let sides = side(columns, width).zip(side(rows, height));
    let Some((wide, high)) = sides.filter(|_| count > 0 && columns > 0 && scale > 0) else {
        return Err(DatasetError::Grid { count, height, width, columns, scale });
    };
    let mut pixels = vec![LINE; channels * wide * high];
    for (k, image) in images.chunks_exact(item).enumerate() {
        let left = padding + (k % columns) * (width * scale + padding);
        let top = padding + (k / columns) * (height * scale + padding);
        draw(&mut pixels[channels * (top * wide + left)..], wide, image, shape, scale);
    }
    let (wide, high) = (wide as u32, high as u32);
    let picture = match channels {
        1 => GrayImage::from_raw(wide, high, pixels).map(DynamicImage::from),
        _ => RgbImage::from_raw(wide, high, pixels).map(DynamicImage::from),
    };
    picture.ok_or(DatasetError::Grid { count, height, width, columns, scale })
}

/// Draws one image, each pixel as a square, from the start of `picture` on, whose rows are `wide`.
fn draw(
    picture: &mut [u8],
    wide: usize,
    image: &[u8],
    [channels, height, width]: [usize; 3],
    scale: usize,
) {
    let plane = height * width;
    for y in 0..height * scale {
        for x in 0..width * scale {
            let at = y / scale * width + x / scale;
            for channel in 0..channels {
                picture[(y * wide + x) * channels + channel] = image[at + channel * plane];
            }
        }
    }
}

/// A picture of at most `rows` times `columns` images of a set.
///
/// With labels, each row shows the first images of one class, over again when it has too few, and
/// the first classes are shown when there are more than rows. Without labels, the first images.
/// Pixels are stretched from the set's levels to 0 to 255, and small images enlarged.
///
/// # Errors
/// When the set is empty or has neither one nor three channels, or the picture would be too large.
pub fn contact_sheet(
    set: &Dataset,
    rows: usize,
    columns: usize,
) -> Result<DynamicImage, DatasetError> {
    let chosen = match set.labels() {
        None => (0..set.len().min(rows.saturating_mul(columns))).collect(),
        Some(labels) => first_of_classes(labels, set.classes(), rows, columns),
    };
    let chosen = set.select(&chosen)?;
    let bytes: Vec<u8> =
        chosen.images().iter().map(|&level| picture_byte(level, set.levels())).collect();
    let [_, height, width] = set.shape();
    let layout = GridLayout { columns, ..GridLayout::fitting(chosen.len(), height, width) };
    grid(&bytes, set.shape(), layout)
}

/// The numbers of the first `columns` images of each of the first `rows` classes that have any.
fn first_of_classes(labels: &[u32], classes: usize, rows: usize, columns: usize) -> Vec<usize> {
    let mut members = vec![vec![]; classes];
    for (index, &label) in labels.iter().enumerate() {
        members[label as usize].push(index);
    }
    members.retain(|class| !class.is_empty());
    members
        .iter()
        .take(rows)
        .flat_map(|class| class.iter().cycle().take(columns))
        .copied()
        .collect()
}

#[cfg(test)]
mod tests {
    use image::Luma;

    use super::*;
    use crate::digits::digits;

    const LINES: Luma<u8> = Luma([LINE]);

    #[test]
    fn images_lie_row_by_row_between_lines() {
        let layout = GridLayout { columns: 2, scale: 2, padding: 1 };
        let picture = grid(&[10, 20, 30, 40, 50, 60], [1, 1, 2], layout).unwrap();
        let picture = picture.as_luma8().expect("grey");
        assert_eq!(picture.dimensions(), (2 * 5 + 1, 2 * 3 + 1));
        let row: Vec<u8> = (0..11).map(|x| picture.get_pixel(x, 1)[0]).collect();
        assert_eq!(row, [LINE, 10, 10, 20, 20, LINE, 30, 30, 40, 40, LINE]);
        assert_eq!(picture.get_pixel(4, 5), &Luma([60]));
        assert_eq!((picture.get_pixel(6, 5), picture.get_pixel(3, 3)), (&LINES, &LINES));
    }

    #[test]
    fn planes_become_colours() {
        let layout = GridLayout { columns: 1, scale: 1, padding: 0 };
        let picture = grid(&[1, 2, 3, 4, 5, 6], [3, 1, 2], layout).unwrap();
        assert_eq!(picture.into_bytes(), [1, 3, 5, 2, 4, 6]);
    }

    #[test]
    fn grey_images_stay_grey_on_disk() {
        let folder = tempfile::tempdir().unwrap();
        let layout = GridLayout { columns: 1, scale: 1, padding: 0 };
        for (channels, bytes) in [(1, vec![7, 9]), (3, vec![1, 2, 3, 4, 5, 6])] {
            let picture = grid(&bytes, [channels, 1, 2], layout).unwrap();
            crate::save_png(&picture, &folder.path().join("a.png")).unwrap();
            let set = crate::read_folder(folder.path(), None).unwrap();
            assert_eq!((set.shape(), set.image(0)), ([channels, 1, 2], &bytes[..]));
        }
    }

    #[test]
    fn small_images_are_enlarged_and_large_ones_left() {
        let expected = GridLayout { columns: 8, scale: 8, padding: 2 };
        assert_eq!(GridLayout::fitting(64, 8, 8), expected);
        assert_eq!(GridLayout::fitting(5, 256, 128).scale, 1);
        assert_eq!(GridLayout::fitting(5, 28, 28), GridLayout { columns: 3, scale: 3, padding: 2 });
    }

    #[test]
    fn impossible_pictures_are_refused() {
        let layout = GridLayout { columns: 2, scale: 1, padding: 0 };
        let error =
            |images: &[u8], shape, layout| grid(images, shape, layout).unwrap_err().to_string();
        assert!(error(&[], [1, 2, 2], layout).starts_with("a grid of 0 images of 2x2"));
        let none = GridLayout { columns: 0, ..layout };
        assert!(error(&[0; 4], [1, 2, 2], none).contains("in 0 columns"));
        let huge = GridLayout { scale: usize::MAX, ..layout };
        assert!(error(&[0; 4], [1, 2, 2], huge).contains("makes no picture"));
        assert_eq!(
            error(&[0; 4], [4, 1, 1], layout),
            "images of 4 channels make no picture, expected 1 or 3"
        );
        assert!(error(&[0; 5], [1, 2, 2], layout).starts_with("5 bytes are no whole number"));
    }

    #[test]
    fn a_contact_sheet_has_a_row_for_each_class() {
        let digits = digits().unwrap();
        let sheet = contact_sheet(&digits, 20, 16).unwrap().into_luma8();
        assert_eq!(sheet.dimensions(), (16 * 66 + 2, 10 * 66 + 2));
        // Row 3, column 0 is the first digit 3, image 3 of the set.
        let pixel = sheet.get_pixel(2 + 2 * 8, 2 + 3 * 66);
        assert_eq!(pixel[0], picture_byte(digits.image(3)[2], 17));
        assert_eq!(
            contact_sheet(&digits, 2, 5).unwrap().into_luma8().dimensions(),
            (5 * 66 + 2, 2 * 66 + 2)
        );
        let few = digits.select(&[0, 1]).unwrap();
        assert_eq!(
            contact_sheet(&few, 20, 16).unwrap().into_luma8().dimensions(),
            (16 * 66 + 2, 2 * 66 + 2)
        );
    }
}
