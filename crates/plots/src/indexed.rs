//! PNG files with a palette: charts have few colours, but for the soft edges between them.

use crate::PlotError;
use image::RgbImage;
use std::collections::HashMap;

/// Colours of a palette: enough for soft edges, few enough for small files.
const MOST: usize = 64;

/// Distance within which one colour may stand for another, if that gives few enough: about a hundredth
/// of the way from black to white.
const CLOSE: i32 = 5;

type Pixel = [u8; 3];

/// The picture as a PNG file with a palette; colours that fill areas are kept as they are.
pub(crate) fn png(picture: &RgbImage) -> Result<Vec<u8>, PlotError> {
    let counts = counts(picture);
    let palette = palette(&counts);
    let index: HashMap<Pixel, u8> =
        counts.iter().map(|(colour, _)| (*colour, nearest(&palette, *colour))).collect();
    let indices: Vec<u8> = picture.pixels().map(|pixel| index[&pixel.0]).collect();
    let mut bytes = Vec::new();
    let (width, height) = picture.dimensions();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_palette(palette.concat());
    encoder.set_compression(png::Compression::High);
    // the neighbours of an index say nothing about its value
    encoder.set_filter(png::Filter::NoFilter);
    let mut writer = encoder.write_header().map_err(PlotError::Encode)?;
    writer.write_image_data(&indices).map_err(PlotError::Encode)?;
    writer.finish().map_err(PlotError::Encode)?;
    Ok(bytes)
}

/// How often each colour occurs, the most frequent first.
fn counts(picture: &RgbImage) -> Vec<(Pixel, usize)> {
    let mut counts: HashMap<Pixel, usize> = HashMap::new();
    for pixel in picture.pixels() {
        *counts.entry(pixel.0).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(colour, count)| (std::cmp::Reverse(*count), *colour));
    counts
}

/// Frequent colours that are not close to one another, so that every other is close to one of them.
fn palette(counts: &[(Pixel, usize)]) -> Vec<Pixel> {
    for close in CLOSE.. {
        let mut chosen: Vec<Pixel> = Vec::new();
        for (colour, _) in counts {
            if chosen.iter().all(|other| squared_distance(*colour, *other) > close * close) {
                chosen.push(*colour);
            }
        }
        if chosen.len() <= MOST {
            return chosen;
        }
    }
    unreachable!("at a distance above that from black to white one colour is left")
}

fn nearest(palette: &[Pixel], colour: Pixel) -> u8 {
    let distance = |index: &usize| squared_distance(palette[*index], colour);
    (0..palette.len()).min_by_key(distance).unwrap_or(0) as u8
}

fn squared_distance(a: Pixel, b: Pixel) -> i32 {
    let square = |i: usize| (i32::from(a[i]) - i32::from(b[i])).pow(2);
    square(0) + square(1) + square(2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    #[test]
    fn areas_keep_their_colours_and_edges_come_close() {
        let mut picture = RgbImage::from_pixel(64, 64, Rgb([255, 255, 255]));
        for x in 0..64 {
            picture.put_pixel(x, 10, Rgb([0, 114, 178]));
            let share = x as f64 / 63.0;
            let soft = [255.0 - 255.0 * share, 255.0 - 141.0 * share, 255.0 - 77.0 * share];
            picture.put_pixel(x, 11, Rgb(soft.map(|value| value as u8)));
        }
        let read = image::load_from_memory(&png(&picture).unwrap()).unwrap().into_rgb8();
        assert_eq!(read.dimensions(), (64, 64));
        for (got, expected) in read.pixels().zip(picture.pixels()) {
            assert!(squared_distance(got.0, expected.0) <= CLOSE.pow(2));
        }
        assert_eq!(read.get_pixel(5, 5), &Rgb([255, 255, 255]));
        assert_eq!(read.get_pixel(5, 10), &Rgb([0, 114, 178]));
    }
}
