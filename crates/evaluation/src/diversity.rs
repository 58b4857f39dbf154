//! How different the images of a class are from each other.

use ndarray::{ArrayView2, Axis};

/// The root mean square distance between two images of the same class: over all pairs within a class,
/// the classes by their number of images. Without classes all images are one.
///
/// `images` is `[n, pixels]`, `classes` one an image. The mean over pairs is twice the variance summed over
/// the pixels, so that no pair is formed. A class of one image does not count; 0 where none has two.
///
/// # Panics
/// When there are not as many classes as images.
#[must_use]
pub fn diversity(images: ArrayView2<'_, f32>, classes: Option<&[u32]>) -> f64 {
    let count = classes.map_or(1, |classes| classes.iter().max().map_or(0, |last| last + 1));
    let (mut squares, mut counted) = (0.0, 0);
    for class in 0..count {
        let of_class = |row: &usize| classes.is_none_or(|classes| classes[*row] == class);
        let rows: Vec<_> = (0..images.nrows()).filter(of_class).collect();
        if rows.len() > 1 {
            squares += rows.len() as f64 * mean_square_distance(images, &rows);
            counted += rows.len();
        }
    }
    (squares / counted.max(1) as f64).sqrt()
}

/// The mean of the squared distances between two of these images.
fn mean_square_distance(images: ArrayView2<'_, f32>, rows: &[usize]) -> f64 {
    let images = images.select(Axis(0), rows).mapv(f64::from);
    images.var_axis(Axis(0), 1.0).sum() * 2.0
}

#[cfg(test)]
mod tests {
    use approx::assert_relative_eq;
    use ndarray::{Array2, array};

    use super::*;

    #[test]
    fn it_is_the_root_mean_square_over_pairs_within_classes() {
        let images =
            array![[0.0_f32, 0.0], [3.0, 4.0], [1.0, 1.0], [1.0, 1.0], [1.0, 4.0], [9.0, 9.0]];
        // class 0: one pair 5 apart; class 1: pairs 0, 3 and 3 apart; class 2: nothing to compare
        let classes = [0, 0, 1, 1, 1, 2];
        let expected = ((2.0 * 25.0 + 3.0 * (0.0 + 9.0 + 9.0) / 3.0) / 5.0_f64).sqrt();
        assert_relative_eq!(
            diversity(images.view(), Some(&classes)),
            expected,
            max_relative = 1e-12
        );
    }

    #[test]
    fn copies_have_none_and_all_images_are_one_class_without_classes() {
        let same = Array2::from_elem((5, 3), 0.25_f32);
        assert_eq!(diversity(same.view(), None), 0.0);
        assert_eq!(diversity(Array2::<f32>::zeros((1, 3)).view(), None), 0.0);
        let two = array![[0.0_f32], [2.0]];
        assert_relative_eq!(diversity(two.view(), None), 2.0);
    }
}
