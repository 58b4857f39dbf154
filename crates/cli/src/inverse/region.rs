//! The part of an image that is unknown: from a picture, a box, or a half.

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use image::LumaA;
use std::path::{Path, PathBuf};

/// Which part of the images is to be drawn.
#[derive(Clone, Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Region {
    /// A picture of the images' size: white (from half grey on) what is known, black or transparent what is to
    /// be drawn
    #[arg(long, value_name = "FILE")]
    mask: Option<PathBuf>,
    /// The box to be drawn, in pixels: its left and upper edge, its width and height
    #[arg(long = "box", value_name = "X,Y,W,H", value_parser = rectangle, allow_hyphen_values = true)]
    rectangle: Option<Rectangle>,
    /// Draw the right half
    #[arg(long)]
    right_half: bool,
}

/// A box in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rectangle {
    x: usize,
    y: usize,
    width: usize,
    height: usize,
}

fn rectangle(text: &str) -> Result<Rectangle, String> {
    let numbers: Option<Vec<usize>> =
        text.split(',').map(|word| word.trim().parse().ok()).collect();
    match numbers.as_deref() {
        Some([x, y, width, height]) => {
            Ok(Rectangle { x: *x, y: *y, width: *width, height: *height })
        }
        _ => Err("expected four whole numbers as 4,0,4,8: left, top, width, height".to_owned()),
    }
}

/// Which pixels are known, row by row, and how that was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) pixels: Vec<bool>,
    pub(crate) words: String,
}

impl Region {
    /// The known pixels of images of this height and width; with `inverted` the others.
    ///
    /// # Errors
    /// When the mask cannot be read or has another size, the box does not lie in the image, or no pixel or
    /// every pixel is known.
    pub(crate) fn known(&self, size: [usize; 2], inverted: bool) -> Result<Known> {
        let [height, width] = size;
        let all = || (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        let (pixels, words): (Vec<bool>, _) = match (&self.mask, self.rectangle) {
            (Some(path), _) => return Known::of_picture(path, size, inverted),
            (None, Some(hole)) => {
                let Rectangle { x, y, width, height } = hole;
                let words = format!("a box of {width}x{height} at {x},{y} unknown");
                hole.check(size)?;
                (all().map(|at| !hole.holds(at)).collect(), words)
            }
            (None, None) => {
                let words = "the right half unknown".to_owned();
                (all().map(|(x, _)| x < width / 2).collect(), words)
            }
        };
        Known { pixels, words }.checked(inverted)
    }
}

impl Rectangle {
    fn check(&self, [height, width]: [usize; 2]) -> Result<()> {
        let inside = |from: usize, length: usize, end: usize| {
            from.checked_add(length).is_some_and(|last| last <= end)
        };
        let Self { x, y, width: w, height: h } = *self;
        ensure!(
            inside(x, w, width) && inside(y, h, height),
            "--box {x},{y},{w},{h} does not lie within the images, which are {width} wide and {height} high"
        );
        Ok(())
    }

    fn holds(&self, (x, y): (usize, usize)) -> bool {
        (self.x..self.x + self.width).contains(&x) && (self.y..self.y + self.height).contains(&y)
    }
}

impl Known {
    /// The white pixels of a picture of this height and width; what is transparent is as good as black.
    ///
    /// # Errors
    /// As [`Region::known`].
    pub(crate) fn of_picture(path: &Path, size: [usize; 2], inverted: bool) -> Result<Self> {
        let name = path.display();
        let picture = image::open(path).with_context(|| format!("--mask {name}"))?;
        let picture = picture.into_luma_alpha8();
        let (wide, high) = picture.dimensions();
        let [height, width] = size;
        ensure!(
            (wide as usize, high as usize) == (width, height),
            "--mask {name} is {wide} wide and {high} high, expected {width} and {height}"
        );
        // as on black
        let bright = |pixel: &LumaA<u8>| u16::from(pixel[0]) * u16::from(pixel[1]) >= 128 * 255;
        let pixels = picture.pixels().map(bright).collect();
        Self { pixels, words: format!("the mask {name}") }.checked(inverted)
    }

    fn checked(self, inverted: bool) -> Result<Self> {
        let Self { mut pixels, mut words } = self;
        if inverted {
            pixels.iter_mut().for_each(|known| *known = !*known);
            words = format!("{words}, inverted");
        }
        let (count, known) = (pixels.len(), pixels.iter().filter(|known| **known).count());
        if known == 0 {
            bail!("{words}: none of {count} pixels is known, expected at least one");
        }
        if known == count {
            bail!("{words}: all {count} pixels are known, expected at least one to be drawn");
        }
        Ok(Self { pixels, words })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        region: Region,
    }

    fn region(words: &[&str]) -> Region {
        Line::parse_from([&["x"], words].concat()).region
    }

    #[test]
    fn a_box_is_what_is_to_be_drawn() {
        let known = region(&["--box", "1,0,2,1"]).known([2, 4], false).unwrap().pixels;
        assert_eq!(known, [true, false, false, true, true, true, true, true]);
        let inverted = region(&["--box", "1,0,2,1"]).known([2, 4], true).unwrap().pixels;
        assert!(known.iter().zip(&inverted).all(|(a, b)| a != b));
        let half = region(&["--right-half"]).known([1, 5], false).unwrap().pixels;
        assert_eq!(half, [true, true, false, false, false]);
    }

    #[test]
    fn a_mask_is_white_where_it_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mask.png");
        image::GrayImage::from_raw(3, 1, vec![0, 127, 128]).unwrap().save(&path).unwrap();
        let mask = region(&["--mask", path.to_str().unwrap()]);
        assert_eq!(mask.known([1, 3], false).unwrap().pixels, [false, false, true]);
        let error = mask.known([3, 1], false).unwrap_err().to_string();
        assert!(error.contains("3 wide and 1 high, expected 1 and 3"), "{error}");
        let erased = vec![255, 0, 255, 255, 0, 255];
        image::GrayAlphaImage::from_raw(3, 1, erased).unwrap().save(&path).unwrap();
        assert_eq!(mask.known([1, 3], false).unwrap().pixels, [false, true, false]);
        image::GrayImage::from_raw(3, 1, vec![255; 3]).unwrap().save(&path).unwrap();
        let error = mask.known([1, 3], false).unwrap_err().to_string();
        assert!(error.contains("all 3 pixels are known"), "{error}");
        let error = mask.known([1, 3], true).unwrap_err().to_string();
        assert!(error.contains("none of 3 pixels is known"), "{error}");
    }

    #[test]
    fn boxes_outside_or_without_end_are_refused() {
        for (words, says) in [
            ("7,0,2,1", "does not lie within the images, which are 8 wide and 8 high"),
            ("0,8,1,1", "does not lie within"),
            ("18446744073709551615,0,2,1", "does not lie within"),
            ("0,0,0,3", "all 64 pixels are known"),
            ("0,0,8,8", "none of 64 pixels is known"),
        ] {
            let error = region(&["--box", words]).known([8, 8], false).unwrap_err().to_string();
            assert!(error.contains(says), "{words}: {error}");
        }
        for words in [&["--box", "1,2,3"][..], &["--box", "-1,0,1,1"], &[]] {
            assert!(Line::try_parse_from([&["x"], words].concat()).is_err(), "{words:?}");
        }
        assert!(Line::try_parse_from(["x", "--right-half", "--box", "0,0,1,1"]).is_err());
    }
}
