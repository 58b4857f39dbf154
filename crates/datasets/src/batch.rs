//! Batches as a pure function of the seed and the step.
//!
//! The images come in the order of epoch 0, then of epoch 1, and so on without a gap: batch `step`
//! takes the places `step * batch_size` to `(step + 1) * batch_size` of that endless sequence. So a
//! batch may straddle two epochs, no image is left out, every batch is full, and a set may hold
//! fewer images than a batch.

use std::sync::Arc;

use rand::RngExt;

use crate::{
    dataset::Dataset,
    error::DatasetError,
    padding::{flip_rows, pad_into},
    scaling::{dequantize, scale},
    shuffle::{Purpose, epoch_order, stream},
};

/// How batches are made of a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchOptions {
    /// Images in a batch, at least 1.
    pub batch_size: usize,
    /// Seed of the order, the flips and the dequantization noise.
    pub seed: u64,
    /// Mirror each image left to right with probability 1/2.
    pub flip: bool,
    /// Add uniform noise within each level instead of scaling levels to single numbers.
    pub dequantize: bool,
    /// Height and width to pad to with level 0, the image in the middle. Padding comes before
    /// scaling, so padded pixels are -1, or, dequantized, noise within level 0 like any such pixel.
    pub pad: Option<[usize; 2]>,
    /// Batches prepared ahead of the one being used, at least 1.
    pub ahead: usize,
}

impl Default for BatchOptions {
    /// 128 images, seed 0, scaled and nothing else, four batches ahead.
    fn default() -> Self {
        Self { batch_size: 128, seed: 0, flip: false, dequantize: false, pad: None, ahead: 4 }
    }
}

/// Images ready for a network.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Pixels in `[-1, 1]`, in the order `[batch, channels, height, width]`.
    pub images: Vec<f32>,
    /// `[batch, channels, height, width]`.
    pub shape: [usize; 4],
    /// One label an image, when the set has labels.
    pub labels: Option<Vec<u32>>,
    /// The step this batch is for.
    pub step: u64,
}

/// Makes the batch of any step.
#[derive(Debug)]
pub struct BatchMaker {
    set: Arc<Dataset>,
    options: BatchOptions,
    /// The epoch last used and its order.
    order: (u64, Vec<usize>),
}

impl BatchMaker {
    /// Batches of `set` as `options` say.
    ///
    /// # Errors
    /// When the batch size is 0, the set is empty, or the padding is smaller than the images.
    pub fn new(set: Arc<Dataset>, options: BatchOptions) -> Result<Self, DatasetError> {
        if options.batch_size == 0 {
            return Err(DatasetError::EmptyBatch);
        }
        if set.is_empty() {
            return Err(DatasetError::EmptyDataset { name: set.name().to_owned() });
        }
        let [_, height, width] = set.shape();
        if let Some(pad) = options.pad.filter(|pad| pad[0] < height || pad[1] < width) {
            return Err(DatasetError::PadTooSmall { pad, size: [height, width] });
        }
        let order = (0, epoch_order(options.seed, 0, set.len()));
        Ok(Self { set, options, order })
    }

    /// Shape of a batch: `[batch, channels, height, width]`, after padding.
    #[must_use]
    pub fn shape(&self) -> [usize; 4] {
        let [channels, height, width] = self.set.shape();
        let [height, width] = self.options.pad.unwrap_or([height, width]);
        [self.options.batch_size, channels, height, width]
    }

    /// The batch of `step`, the same whatever was made before.
    pub fn make(&mut self, step: u64) -> Batch {
        let indices = self.indices(step);
        let shape = self.shape();
        let [height, width] = [self.set.shape()[1], self.set.shape()[2]];
        let mut random = stream(self.options.seed, Purpose::Batch, step);
        let scaled: [f32; 256] = std::array::from_fn(|level| scale(level as u8, self.set.levels()));
        let mut padded = vec![0; shape[1..].iter().product()];
        let mut images = Vec::with_capacity(shape.iter().product());
        for &index in &indices {
            pad_into(self.set.image(index), [height, width], [shape[2], shape[3]], &mut padded);
            if self.options.flip && random.random::<bool>() {
                flip_rows(&mut padded, shape[3]);
            }
            if self.options.dequantize {
                let levels = self.set.levels();
                images.extend(padded.iter().map(|&v| dequantize(v, levels, random.random())));
            } else {
                images.extend(padded.iter().map(|&level| scaled[usize::from(level)]));
            }
        }
        let labels = self.set.labels().map(|all| indices.iter().map(|&i| all[i]).collect());
        Batch { images, shape, labels, step }
    }

    /// The numbers of the images in the batch of `step`.
    pub fn indices(&mut self, step: u64) -> Vec<usize> {
        let (size, len) = (self.options.batch_size as u64, self.set.len() as u64);
        // Wide, so that no step is too far to be multiplied by the batch size.
        let first = u128::from(step) * u128::from(size);
        (0..u128::from(size))
            .map(|k| {
                let place = first + k;
                let epoch = (place / u128::from(len)) as u64;
                if self.order.0 != epoch {
                    self.order = (epoch, epoch_order(self.options.seed, epoch, self.set.len()));
                }
                self.order.1[(place % u128::from(len)) as usize]
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::numbered_classes;

    /// `len` images of 1x3 pixels, image k being `[k, 0, 20]`, of 21 levels, labelled k mod 3.
    fn maker(len: u8, options: BatchOptions) -> BatchMaker {
        let images = (0..len).flat_map(|k| [k, 0, 20]).collect();
        let labels = (0..len).map(|k| u32::from(k % 3)).collect();
        let set = Dataset::new("counted", images, [1, 1, 3], 21)
            .and_then(|set| set.with_labels(labels, numbered_classes(3)))
            .unwrap();
        BatchMaker::new(Arc::new(set), options).unwrap()
    }

    fn options(batch_size: usize) -> BatchOptions {
        BatchOptions { batch_size, seed: 3, ..BatchOptions::default() }
    }

    #[test]
    fn batches_run_through_the_epochs_without_a_gap() {
        let mut maker = maker(10, options(4));
        let seen: Vec<_> = (0..5).flat_map(|step| maker.indices(step)).collect();
        assert_eq!(seen, [epoch_order(3, 0, 10), epoch_order(3, 1, 10)].concat());
    }

    #[test]
    fn a_set_smaller_than_a_batch_is_repeated() {
        let mut maker = maker(3, options(8));
        let orders: Vec<_> = (0..6).flat_map(|epoch| epoch_order(3, epoch, 3)).collect();
        assert_eq!(maker.indices(0), orders[..8]);
        assert_eq!(maker.indices(1), orders[8..16]);
    }

    #[test]
    fn a_batch_depends_on_seed_and_step_alone() {
        let all = BatchOptions { flip: true, dequantize: true, ..options(7) };
        let mut one = maker(10, all.clone());
        let forward: Vec<_> = (0..6).map(|step| one.make(step)).collect();
        for step in [5, 0, 3, 3] {
            assert_eq!(maker(10, all.clone()).make(step), forward[step as usize]);
            assert_eq!(one.make(step), forward[step as usize]);
        }
        let other = BatchOptions { seed: 4, ..all };
        assert_ne!(maker(10, other).make(0).images, forward[0].images);
    }

    #[test]
    fn value_stability() {
        let all = BatchOptions { flip: true, dequantize: true, ..options(3) };
        let batch = maker(10, all).make(11);
        assert_eq!(batch.labels, Some(vec![2, 0, 0]));
        let first = [0.9787566, -0.9519604, -0.42894062, 0.92945117, -0.94355375, -0.3811568];
        assert_eq!(batch.images[..6], first);
    }

    #[test]
    fn pixels_are_scaled_and_labels_go_with_their_images() {
        let mut maker = maker(10, options(4));
        let batch = maker.make(2);
        assert_eq!((batch.shape, batch.step), ([4, 1, 1, 3], 2));
        for (k, index) in maker.indices(2).into_iter().enumerate() {
            let pixel = scale(index as u8, 21);
            assert_eq!(batch.images[3 * k..3 * k + 3], [pixel, -1.0, 1.0]);
            assert_eq!(batch.labels.as_ref().unwrap()[k], index as u32 % 3);
        }
    }

    #[test]
    fn about_half_of_the_images_are_mirrored() {
        let mut maker = maker(10, BatchOptions { flip: true, ..options(1000) });
        let batch = maker.make(0);
        let mirrored = batch.images.chunks(3).filter(|image| image[0] == 1.0).count();
        // Binomial(1000, 1/2) has a standard deviation of 15.8; five of them.
        assert!((mirrored as f64 - 500.0).abs() < 5.0 * 15.8, "{mirrored}");
        assert!(batch.images.chunks(3).all(|image| image[1] == -1.0));
    }

    #[test]
    fn dequantized_pixels_are_uniform_within_their_level() {
        let mut maker = maker(10, BatchOptions { dequantize: true, ..options(3000) });
        let batch = maker.make(0);
        // Level 20 of 21 fills [1 - 2/21, 1].
        let offsets: Vec<f64> = batch
            .images
            .iter()
            .skip(2)
            .step_by(3)
            .map(|&x| (f64::from(x) - (1.0 - 2.0 / 21.0)) * 21.0 / 2.0)
            .collect();
        assert!(offsets.iter().all(|u| (-1e-6..=1.0 + 1e-6).contains(u)));
        let mean = offsets.iter().sum::<f64>() / 3000.0;
        let square = offsets.iter().map(|u| u * u).sum::<f64>() / 3000.0;
        // Standard errors of mean and mean square: sqrt(1/12/3000), sqrt(4/45/3000); five of each.
        assert!((mean - 0.5).abs() < 5.0 * 0.0053, "{mean}");
        assert!((square - 1.0 / 3.0).abs() < 5.0 * 0.0055, "{square}");
    }

    #[test]
    fn padding_is_minus_one_around_the_image() {
        let mut maker = maker(10, BatchOptions { pad: Some([3, 5]), ..options(1) });
        let batch = maker.make(0);
        let pixel = scale(maker.indices(0)[0] as u8, 21);
        let mut expected = [-1.0; 15];
        expected[6..9].copy_from_slice(&[pixel, -1.0, 1.0]);
        assert_eq!((batch.shape, &batch.images[..]), ([1, 1, 3, 5], &expected[..]));
    }

    #[test]
    fn impossible_batches_are_refused() {
        let set = Arc::new(Dataset::new("one", vec![0; 4], [1, 2, 2], 256).unwrap());
        let empty = Arc::new(set.select(&[]).unwrap());
        let error = |set: &Arc<Dataset>, options| {
            BatchMaker::new(Arc::clone(set), options).unwrap_err().to_string()
        };
        assert_eq!(error(&set, options(0)), "batch_size is 0, expected at least 1");
        assert_eq!(error(&empty, options(1)), "one holds no images to make batches of");
        assert_eq!(
            error(&set, BatchOptions { pad: Some([4, 1]), ..options(1) }),
            "pad is 4x1, expected at least the images' own 2x2"
        );
    }
}
