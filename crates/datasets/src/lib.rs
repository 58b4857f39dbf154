//! Image data sets: readers, batches, downloads, pictures of many images.
//!
//! Images stay in memory as unsigned bytes ([`Dataset`]), and become numbers in `[-1, 1]` when a
//! batch is made ([`BatchStream`], on a thread of its own). Everything random, the order of the images
//! as well as flips and dequantization noise, is a pure function of the seed and the step.
//!
//! ```
//! use std::sync::Arc;
//! use tweedie_datasets::{BatchOptions, BatchStream, digits_splits};
//!
//! let digits = Arc::new(digits_splits()?.train);
//! let options = BatchOptions { batch_size: 32, seed: 7, ..BatchOptions::default() };
//! let batch = BatchStream::new(digits, options, 0)?.next().expect("a stream never ends");
//! assert_eq!(batch.shape, [32, 1, 8, 8]);
//! # Ok::<(), tweedie_datasets::DatasetError>(())
//! ```

mod batch;
mod cifar;
mod dataset;
mod digits;
mod error;
mod fetch;
mod folder;
mod grid;
mod idx;
mod info;
mod open;
mod padding;
mod png;
mod scaling;
mod shuffle;
mod splits;
mod stream;

pub use batch::{Batch, BatchMaker, BatchOptions};
pub use cifar::{Cifar, read_cifar, read_cifar_file};
pub use dataset::Dataset;
pub use digits::{digits, digits_splits};
pub use error::DatasetError;
pub use fetch::{FetchProgress, FetchSet, fetch};
pub use folder::read_folder;
pub use grid::{GridLayout, contact_sheet, grid};
pub use idx::read_idx;
pub use info::Info;
pub use open::{OpenOptions, open};
pub use png::save_png;
pub use scaling::{
    dequantize, level_of_interval, nearest_level, picture_byte, scale, to_picture,
    to_picture_dequantized,
};
pub use shuffle::epoch_order;
pub use splits::Splits;
pub use stream::BatchStream;
