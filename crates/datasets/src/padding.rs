//! Zero padding and mirroring of one image, on levels.

/// Writes the image into the middle of a larger one of level 0.
///
/// `image` is `[channels, height, width]` with `size = [height, width]`; `padded` is
/// `[channels, pad[0], pad[1]]`. An odd row or column goes below or to the right.
///
/// # Panics
/// When `pad` is smaller than `size`, or the lengths do not match.
pub(crate) fn pad_into(image: &[u8], size: [usize; 2], pad: [usize; 2], padded: &mut [u8]) {
    let (top, left) = ((pad[0] - size[0]) / 2, (pad[1] - size[1]) / 2);
    let planes = image.chunks_exact(size[0] * size[1]);
    for (plane, target) in planes.zip(padded.chunks_exact_mut(pad[0] * pad[1])) {
        target.fill(0);
        for (row, pixels) in plane.chunks_exact(size[1]).enumerate() {
            let start = (top + row) * pad[1] + left;
            target[start..start + size[1]].copy_from_slice(pixels);
        }
    }
}

/// Mirrors each row of `width` pixels, left to right.
pub(crate) fn flip_rows(image: &mut [u8], width: usize) {
    image.chunks_exact_mut(width).for_each(<[u8]>::reverse);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_image_lies_in_the_middle_of_zeros() {
        let mut padded = vec![9; 2 * 4 * 5];
        pad_into(&[1, 2, 3, 4, 5, 6, 7, 8], [2, 2], [4, 5], &mut padded);
        let first = [0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 3, 4, 0, 0, 0, 0, 0, 0, 0];
        let second = [0, 0, 0, 0, 0, 0, 5, 6, 0, 0, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(padded, [first, second].concat());
    }

    #[test]
    fn rows_are_mirrored_one_by_one() {
        let mut image = [1, 2, 3, 4, 5, 6];
        flip_rows(&mut image, 3);
        assert_eq!(image, [3, 2, 1, 6, 5, 4]);
    }
}
