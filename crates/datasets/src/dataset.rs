//! A set of images in memory, as unsigned bytes.

use std::path::Path;

use crate::{error::DatasetError, padding::pad_into};

/// Images `[n, channels, height, width]` as unsigned bytes, with labels or without.
///
/// Pixel values are *levels*: whole numbers from 0 to `levels() - 1`. Most sets have 256 levels, the
/// bundled digits 17. Scaling to `[-1, 1]` and dequantization follow from that number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dataset {
    name: String,
    images: Vec<u8>,
    shape: [usize; 3],
    labels: Option<Vec<u32>>,
    class_names: Vec<String>,
    levels: u32,
}

impl Dataset {
    /// A set of images without labels.
    ///
    /// `images` holds the pixels in the order `[n, channels, height, width]`; `shape` is
    /// `[channels, height, width]`; `levels` is the number of values a pixel can take.
    ///
    /// # Errors
    /// When the bytes are no whole number of images, `levels` is not in 2 to 256, or a pixel is above
    /// `levels - 1`.
    pub fn new(
        name: impl Into<String>,
        images: Vec<u8>,
        shape: [usize; 3],
        levels: u32,
    ) -> Result<Self, DatasetError> {
        if !(2..=256).contains(&levels) {
            return Err(DatasetError::LevelsOutOfRange { levels });
        }
        let item = shape.iter().try_fold(1usize, |size, &side| size.checked_mul(side));
        if !item.is_some_and(|item| item > 0 && images.len().is_multiple_of(item)) {
            return Err(DatasetError::ByteCount { bytes: images.len(), shape });
        }
        if let Some(index) = images.iter().position(|&value| u32::from(value) >= levels) {
            return Err(DatasetError::PixelOutOfRange { index, value: images[index], levels });
        }
        Ok(Self { name: name.into(), images, shape, labels: None, class_names: vec![], levels })
    }

    /// The same images with one label each, numbers below `class_names.len()`.
    ///
    /// # Errors
    /// When there are not as many labels as images, or a label is not the number of a class. The
    /// error calls the set by its name.
    pub fn with_labels(
        self,
        labels: Vec<u32>,
        class_names: Vec<String>,
    ) -> Result<Self, DatasetError> {
        let name = self.name.clone();
        self.with_labels_from(labels, class_names, Path::new(&name))
    }

    /// As [`Dataset::with_labels`], with errors that name the file the labels came from.
    pub(crate) fn with_labels_from(
        self,
        labels: Vec<u32>,
        class_names: Vec<String>,
        path: &Path,
    ) -> Result<Self, DatasetError> {
        let (path, classes) = (path.to_path_buf(), class_names.len());
        if labels.len() != self.len() {
            return Err(DatasetError::LabelCount {
                path,
                labels: labels.len(),
                images: self.len(),
            });
        }
        if let Some(index) = labels.iter().position(|&label| label as usize >= classes) {
            let label = labels[index];
            return Err(DatasetError::LabelOutOfRange { path, index, label, classes });
        }
        Ok(Self { labels: Some(labels), class_names, ..self })
    }

    /// What the set is called: `digits`, or where it was read from.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Number of images.
    #[must_use]
    pub fn len(&self) -> usize {
        self.images.len() / self.item_len()
    }

    /// Whether there are no images.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.images.is_empty()
    }

    /// Shape of one image: `[channels, height, width]`.
    #[must_use]
    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// Bytes of one image: channels times height times width.
    #[must_use]
    pub fn item_len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Number of values a pixel can take; the highest is one less.
    #[must_use]
    pub fn levels(&self) -> u32 {
        self.levels
    }

    /// Number of classes; 0 when the set has no labels.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.class_names.len()
    }

    /// What the classes are called, in the order of their numbers; empty without labels.
    #[must_use]
    pub fn class_names(&self) -> &[String] {
        &self.class_names
    }

    /// All pixels, `[n, channels, height, width]`.
    #[must_use]
    pub fn images(&self) -> &[u8] {
        &self.images
    }

    /// All labels, when there are any.
    #[must_use]
    pub fn labels(&self) -> Option<&[u32]> {
        self.labels.as_deref()
    }

    /// The pixels of image `index`, `[channels, height, width]`.
    ///
    /// # Panics
    /// When there is no such image.
    #[must_use]
    pub fn image(&self, index: usize) -> &[u8] {
        let size = self.item_len();
        &self.images[index * size..(index + 1) * size]
    }

    /// The label of image `index`, when the set has labels.
    ///
    /// # Panics
    /// When the set has labels but no such image.
    #[must_use]
    pub fn label(&self, index: usize) -> Option<u32> {
        self.labels.as_ref().map(|labels| labels[index])
    }

    /// The images of the given numbers, in the order given; a number may come twice.
    ///
    /// # Errors
    /// When there is no image of such a number.
    pub fn select(&self, indices: &[usize]) -> Result<Self, DatasetError> {
        let len = self.len();
        if let Some(&index) = indices.iter().find(|&&index| index >= len) {
            return Err(DatasetError::IndexOutOfRange { index, len, name: self.name.clone() });
        }
        Ok(Self {
            name: self.name.clone(),
            images: indices.iter().flat_map(|&index| self.image(index)).copied().collect(),
            shape: self.shape,
            labels: self.labels.as_ref().map(|all| indices.iter().map(|&i| all[i]).collect()),
            class_names: self.class_names.clone(),
            levels: self.levels,
        })
    }

    /// The same images in the middle of larger ones of level 0, `[height, width]` pixels each.
    ///
    /// # Errors
    /// When the images are larger than that.
    pub fn padded(self, pad: [usize; 2]) -> Result<Self, DatasetError> {
        let [channels, height, width] = self.shape;
        let size = [height, width];
        if pad[0] < height || pad[1] < width {
            return Err(DatasetError::PadTooSmall { pad, size });
        }
        let shape = [channels, pad[0], pad[1]];
        let mut images = vec![0; self.len() * shape.iter().product::<usize>()];
        let places = images.chunks_exact_mut(shape.iter().product());
        for (image, place) in self.images.chunks_exact(self.item_len()).zip(places) {
            pad_into(image, size, pad, place);
        }
        Ok(Self { images, shape, ..self })
    }

    /// The images of this set and after them those of another, with labels if both have them; the
    /// name and the names of the classes are those of this set.
    ///
    /// # Errors
    /// When shapes or levels differ.
    pub fn joined(&self, other: &Self) -> Result<Self, DatasetError> {
        if other.shape != self.shape {
            let (path, got, expected) = (other.name.clone().into(), other.shape, self.shape);
            return Err(DatasetError::ShapeMismatch { path, got, expected });
        }
        let images = [self.images(), other.images()].concat();
        let set = Self::new(self.name.clone(), images, self.shape, self.levels)?;
        match (self.labels(), other.labels()) {
            (Some(a), Some(b)) => set.with_labels([a, b].concat(), self.class_names.clone()),
            _ => Ok(set),
        }
    }

    /// The same set under another name.
    #[must_use]
    pub fn named(self, name: impl Into<String>) -> Self {
        Self { name: name.into(), ..self }
    }
}

/// The names "0", "1", ... of classes that have none.
pub(crate) fn numbered_classes(count: usize) -> Vec<String> {
    (0..count).map(|class| class.to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three_images() -> Dataset {
        Dataset::new("three", (0..12).collect(), [1, 2, 2], 17)
            .and_then(|set| set.with_labels(vec![1, 0, 1], numbered_classes(2)))
            .unwrap()
    }

    #[test]
    fn images_and_labels_come_back_as_given() {
        let set = three_images();
        assert_eq!((set.len(), set.shape(), set.classes(), set.levels()), (3, [1, 2, 2], 2, 17));
        assert_eq!(set.image(1), [4, 5, 6, 7]);
        assert_eq!(set.label(2), Some(1));
    }

    #[test]
    fn a_selection_keeps_its_order_and_repeats() {
        let set = three_images().select(&[2, 0, 2]).unwrap();
        assert_eq!(set.images(), [8, 9, 10, 11, 0, 1, 2, 3, 8, 9, 10, 11]);
        assert_eq!(set.labels(), Some(&[1, 1, 1][..]));
        let error = three_images().select(&[0, 3]).unwrap_err().to_string();
        assert_eq!(error, "image 3 is out of range, expected 0 to 2 in three");
    }

    #[test]
    fn padding_keeps_the_images_in_the_middle_and_the_labels() {
        let set = three_images().padded([3, 2]).unwrap();
        assert_eq!((set.shape(), set.len()), ([1, 3, 2], 3));
        assert_eq!(set.image(1), [4, 5, 6, 7, 0, 0]);
        assert_eq!(set.labels(), three_images().labels());
        assert!(three_images().padded([2, 1]).is_err());
    }

    #[test]
    fn two_sets_are_joined_in_order() {
        let both = three_images().joined(&three_images().select(&[1]).unwrap()).unwrap();
        assert_eq!((both.len(), both.image(3)), (4, &[4, 5, 6, 7][..]));
        assert_eq!(both.labels(), Some(&[1, 0, 1, 0][..]));
        let plain = Dataset::new("plain", vec![0; 4], [1, 2, 2], 17).unwrap();
        assert_eq!(both.joined(&plain).unwrap().labels(), None);
        let wide = Dataset::new("wide", vec![0; 4], [1, 1, 4], 17).unwrap();
        let error = both.joined(&wide).unwrap_err().to_string();
        assert!(error.contains("wide") && error.contains("[1, 1, 4]"), "{error}");
    }

    #[test]
    fn bad_sets_are_refused_with_their_values() {
        let error = |set: Result<Dataset, DatasetError>| set.unwrap_err().to_string();
        assert_eq!(
            error(Dataset::new("x", vec![0; 5], [1, 2, 2], 256)),
            "5 bytes are no whole number of images of shape [1, 2, 2] (channels, height, width)"
        );
        assert!(Dataset::new("x", vec![], [0, 2, 2], 256).is_err());
        assert!(Dataset::new("x", vec![0; 4], [usize::MAX, 2, 2], 256).is_err());
        assert_eq!(
            error(Dataset::new("x", vec![0, 17], [1, 1, 2], 17)),
            "pixel 1 is 17, expected 0 to 16"
        );
        assert_eq!(
            error(Dataset::new("x", vec![0], [1, 1, 1], 257)),
            "levels is 257, expected 2 to 256"
        );
        let two = || Dataset::new("two", vec![0, 1], [1, 1, 1], 256).unwrap();
        assert_eq!(
            error(two().with_labels(vec![0], numbered_classes(2))),
            "two holds 1 labels for 2 images"
        );
        assert_eq!(
            error(two().with_labels(vec![0, 2], numbered_classes(2))),
            "label 2 of image 1 is out of range in two, expected 0 to 1"
        );
    }
}
