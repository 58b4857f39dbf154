//! The bundled UCI handwritten digits: 1797 grey images of 8x8 pixels, 17 levels, 10 classes.
//!
//! "Optical Recognition of Handwritten Digits" by E. Alpaydin and C. Kaynak, CC BY 4.0; the notice
//! lies beside the data, in `data/NOTICE.md` of this crate.

use std::path::Path;

use flate2::bufread::GzDecoder;

use crate::{
    dataset::{Dataset, numbered_classes},
    error::DatasetError,
    idx::{parse_images, parse_labels},
    splits::Splits,
};

const IMAGES: &[u8] = include_bytes!("../data/digits-images-idx3-ubyte.gz");
const LABELS: &[u8] = include_bytes!("../data/digits-labels-idx1-ubyte.gz");

/// Pixel values of the digits: 0 to 16.
const LEVELS: u32 = 17;

/// Images of each class that are held out: 180 in all.
const HELD_OUT_PER_CLASS: usize = 18;

/// All 1797 digits, in their published order.
///
/// # Errors
/// Never, as long as the data in the binary is whole.
pub fn digits() -> Result<Dataset, DatasetError> {
    let path = Path::new("digits");
    let images = parse_images(&mut GzDecoder::new(IMAGES), path, LEVELS)?;
    let labels = parse_labels(&mut GzDecoder::new(LABELS), path)?;
    images.with_labels(labels, numbered_classes(10))
}

/// The digits divided for good: 18 of each class held out (180), 1617 to train on.
///
/// Of the `m` images of a class, those at positions `floor((2 j + 1) m / 36)`, j = 0 to 17, are held
/// out: evenly spread, since the set lists its writers one after the other.
///
/// # Errors
/// Never, as long as the data in the binary is whole.
pub fn digits_splits() -> Result<Splits, DatasetError> {
    Splits::hold_out(&digits()?, |_| HELD_OUT_PER_CLASS)
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    fn sum(bytes: impl AsRef<[u8]>) -> String {
        Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn the_digits_are_the_published_ones() {
        let set = digits().unwrap();
        assert_eq!((set.len(), set.shape(), set.levels()), (1797, [1, 8, 8], 17));
        let mut counts = [0; 10];
        set.labels().unwrap().iter().for_each(|&label| counts[label as usize] += 1);
        assert_eq!(counts, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);
        assert_eq!(set.image(0)[..8], [0, 0, 5, 13, 9, 1, 0, 0]);
        // Sums of the values of sklearn/datasets/data/digits.csv.gz, read apart from this code.
        assert_eq!(
            sum(set.images()),
            "8f26b2bd9d135c256808f68f14fdabddde6d9c7f869ae419704b051f0f14b3b3"
        );
        let labels: Vec<u8> = set.labels().unwrap().iter().map(|&label| label as u8).collect();
        assert_eq!(sum(labels), "8ba4f891220f5e4c9c819638d1602d74b83618f167043c6da52a2a247841ddf0");
    }

    #[test]
    fn the_held_out_digits_never_change() {
        let splits = digits_splits().unwrap();
        assert_eq!((splits.train.len(), splits.test.len()), (1617, 180));
        for class in 0..10 {
            let held_out = splits.test.labels().unwrap().iter().filter(|&&label| label == class);
            assert_eq!(held_out.count(), 18, "class {class}");
        }
        assert_eq!(splits.test.labels().unwrap()[..10], [5, 0, 9, 8, 7, 2, 1, 3, 6, 4]);
        assert_eq!(
            sum(splits.test.images()),
            "f7eafabafb0976b84d576cb79aeea0b12e68e0feba60c2e5cad512a9a6e165ff"
        );
        assert_eq!(
            sum(splits.train.images()),
            "c8506eafde7c31d5e68a4535ea41877b31ba0ae65ffd56c7c26503ebe993e8af"
        );
    }
}
