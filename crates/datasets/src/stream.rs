//! Batches made ahead on a background thread.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, sync_channel},
    },
    thread::JoinHandle,
};

use crate::{
    batch::{Batch, BatchMaker, BatchOptions},
    dataset::Dataset,
    error::DatasetError,
};

/// The batches of all steps from some step on, made ahead on a thread of their own.
///
/// An endless iterator. What it gives depends on the set, the options and the step alone, so a run
/// taken up at step `s` sees exactly what an unbroken run would have seen. Dropping it ends the
/// thread.
#[derive(Debug)]
pub struct BatchStream {
    /// `None` only while being dropped.
    batches: Option<Receiver<Batch>>,
    thread: Option<JoinHandle<()>>,
    shape: [usize; 4],
}

impl BatchStream {
    /// Starts making the batches of `first_step`, `first_step + 1`, and so on.
    ///
    /// # Errors
    /// When the batch size is 0, the set is empty, the padding is smaller than the images, or the
    /// system gives no thread.
    pub fn new(
        set: Arc<Dataset>,
        options: BatchOptions,
        first_step: u64,
    ) -> Result<Self, DatasetError> {
        let ahead = options.ahead.max(1);
        let mut maker = BatchMaker::new(set, options)?;
        let shape = maker.shape();
        // The thread itself holds one finished batch more while the queue is full.
        let (sender, batches) = sync_channel(ahead - 1);
        let thread = std::thread::Builder::new()
            .name("batches".to_owned())
            .spawn(move || {
                (first_step..).map(|step| maker.make(step)).find_map(|b| sender.send(b).err());
            })
            .map_err(|source| DatasetError::Thread { source })?;
        Ok(Self { batches: Some(batches), thread: Some(thread), shape })
    }

    /// Shape of every batch: `[batch, channels, height, width]`, after padding.
    #[must_use]
    pub fn shape(&self) -> [usize; 4] {
        self.shape
    }
}

impl Iterator for BatchStream {
    type Item = Batch;

    /// The next batch; waits for it if it is not ready. Never ends.
    fn next(&mut self) -> Option<Batch> {
        self.batches.as_ref()?.recv().ok()
    }
}

impl Drop for BatchStream {
    fn drop(&mut self) {
        // Without a receiver the next send fails, which ends the thread.
        drop(self.batches.take());
        if let Some(thread) = self.thread.take() {
            // A panic over there has already been reported by the thread itself.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digits::digits;

    fn options() -> BatchOptions {
        BatchOptions { batch_size: 100, seed: 1, flip: true, ..BatchOptions::default() }
    }

    #[test]
    fn a_stream_taken_up_at_a_step_goes_on_as_the_unbroken_one() {
        let set = Arc::new(digits().unwrap());
        let unbroken: Vec<_> =
            BatchStream::new(Arc::clone(&set), options(), 0).unwrap().take(40).collect();
        assert!(unbroken.iter().enumerate().all(|(step, batch)| batch.step == step as u64));
        let resumed: Vec<_> =
            BatchStream::new(Arc::clone(&set), options(), 25).unwrap().take(15).collect();
        assert_eq!(resumed, unbroken[25..]);
        let mut maker = BatchMaker::new(set, options()).unwrap();
        assert_eq!(maker.make(30), unbroken[30]);
    }

    #[test]
    fn dropping_a_stream_ends_its_thread() {
        let set = Arc::new(digits().unwrap());
        for taken in [0, 1, 7] {
            let mut stream = BatchStream::new(Arc::clone(&set), options(), 0).unwrap();
            stream.by_ref().take(taken).for_each(drop);
            drop(stream);
            // The thread held the only other reference.
            assert_eq!(Arc::strong_count(&set), 1);
        }
    }

    #[test]
    fn the_smallest_queue_works() {
        let set = Arc::new(digits().unwrap());
        let options = BatchOptions { ahead: 0, ..options() };
        assert_eq!(BatchStream::new(set, options, 3).unwrap().take(5).count(), 5);
    }
}
