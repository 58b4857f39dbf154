//! What a sampler may do to a state.

/// A state that can be combined linearly. The one operation every backend must have.
pub trait VectorSpace: Sized + 'static {
    /// `sum of coefficient * vector`, added from left to right.
    ///
    /// # Panics
    /// When `terms` is empty or the shapes differ: nothing is ever broadcast.
    fn combine(terms: &[(f64, &Self)]) -> Self;

    /// `own * self` and then the sum of `terms`: [`combine`](Self::combine) to the last bit, for a state
    /// that is not needed any more. Backends override it to work in the memory of `self`.
    ///
    /// # Panics
    /// When the shapes differ.
    fn combine_reusing(self, own: f64, terms: &[(f64, &Self)]) -> Self {
        let mut all = Vec::with_capacity(terms.len() + 1);
        all.push((own, &self));
        all.extend_from_slice(terms);
        Self::combine(&all)
    }
}

/// A batch of samples stacked along the first axis.
pub trait Batch: VectorSpace {
    /// Length of every axis, the batch's first.
    fn shape(&self) -> Vec<usize>;

    /// Number of samples; none in a state without axes.
    fn batch_len(&self) -> usize {
        self.shape().first().copied().unwrap_or(0)
    }

    /// Number of values in one sample.
    fn item_len(&self) -> usize {
        self.shape().iter().skip(1).product()
    }

    /// Each sample times its own factor.
    ///
    /// # Panics
    /// When there is not one factor for each sample.
    fn scale_each(&self, factors: &[f64]) -> Self;

    /// Inner product of each sample with its counterpart.
    ///
    /// # Panics
    /// When the shapes differ.
    fn dot_each(&self, other: &Self) -> Vec<f64>;

    /// Inner product of each sample with its counterpart, added up over several pairs of batches. Backends
    /// override it to fetch one number a sample from their device, not one for each pair. Without pairs
    /// there are no samples either.
    ///
    /// # Panics
    /// When the shapes differ.
    fn dot_sum_each(pairs: &[(&Self, &Self)]) -> Vec<f64> {
        let add =
            |sum: Vec<f64>, dots: Vec<f64>| sum.iter().zip(dots).map(|(a, b)| a + b).collect();
        pairs.iter().map(|(a, b)| a.dot_each(b)).reduce(add).unwrap_or_default()
    }

    /// Euclidean norm of each sample.
    fn norm_each(&self) -> Vec<f64> {
        self.dot_each(self).into_iter().map(f64::sqrt).collect()
    }

    /// Batches joined in order.
    ///
    /// # Panics
    /// When `parts` is empty or the samples have different shapes.
    fn concat(parts: &[&Self]) -> Self;

    /// The batch cut into pieces of the given numbers of samples.
    ///
    /// # Panics
    /// When the sizes do not add up to the batch.
    fn split(&self, sizes: &[usize]) -> Vec<Self>;
}

/// Operations on single values: clipping, learned variances, masks.
pub trait Elementwise: VectorSpace {
    /// Product value by value.
    ///
    /// # Panics
    /// When the shapes differ.
    fn mul(&self, other: &Self) -> Self;

    /// Exponential of each value.
    fn exp(&self) -> Self;

    /// Square root of each value.
    fn sqrt(&self) -> Self;

    /// Each value held within `[low, high]`.
    fn clamp(&self, low: f64, high: f64) -> Self;
}
