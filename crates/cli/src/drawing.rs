//! The options that every command which draws images has.

use clap::Args;
use std::ops::Range;

/// All images are held in memory until they are written.
pub(crate) const MOST_IMAGES: usize = 1_000_000;

/// Where the noise comes from and how many images go through the network at once.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Drawing {
    /// Seed of the noise
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    pub(crate) seed: u64,
    /// Images a network call: speed and memory only, except for what finds its own steps, as the flow
    /// does: the images of a call share them
    #[arg(long, value_name = "N", default_value_t = 64, allow_negative_numbers = true, value_parser = image_count)]
    pub(crate) batch_size: usize,
}

/// A number of images.
pub(crate) fn image_count(text: &str) -> Result<usize, String> {
    count_up_to(MOST_IMAGES, text)
}

/// A number of things, of which there may be `most`.
pub(crate) fn count_up_to(most: usize, text: &str) -> Result<usize, String> {
    let count = text.parse().ok().filter(|count| (1..=most).contains(count));
    count.ok_or_else(|| format!("expected a whole number from 1 to {most}"))
}

/// The places of `count` images in batches of `size`.
pub(crate) fn batches(count: usize, size: usize) -> impl Iterator<Item = Range<usize>> {
    (0..count).step_by(size).map(move |start| start..(start + size).min(count))
}
