//! Nearest neighbours by Euclidean distance, in blocks of matrix products.
//!
//! `|x - y|^2 = |x|^2 - 2 x.y + |y|^2` finds a few more candidates than asked for, in f32; their
//! distances are then computed directly in f64, so that an exact copy is at distance 0 and neighbours
//! that are nearly equally near come in the right order. Cost: one product of queries by reference by
//! pixels, shared among the cores.

use std::{num::NonZero, thread};

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, Slice};

use crate::{error::EvaluationError, pixels::check};

/// Queries and reference images multiplied at a time.
const QUERY_BLOCK: usize = 256;
const REFERENCE_BLOCK: usize = 4096;

/// Candidates kept beyond those asked for, against rounding in f32.
const SPARE: usize = 8;

/// The nearest reference images of each query, nearest first.
#[derive(Debug, Clone, PartialEq)]
pub struct Neighbours {
    /// Numbers of the reference images, `[queries, k]`.
    pub indices: Array2<usize>,
    /// Distances to them, `[queries, k]`.
    pub distances: Array2<f64>,
}

impl Neighbours {
    /// Mean distance to the nearest.
    #[must_use]
    pub fn mean_nearest(&self) -> f64 {
        self.distances.column(0).mean().unwrap_or(f64::NAN)
    }
}

/// The `k` nearest of `reference` `[m, pixels]` to each of `queries` `[n, pixels]`.
///
/// Among equally near ones the lower number comes first. `progress` is called with the queries done.
///
/// # Errors
/// When `k` is 0 or above the number of reference images, a pixel is not finite, or the numbers of
/// pixels differ.
pub fn nearest(
    queries: ArrayView2<'_, f32>,
    reference: ArrayView2<'_, f32>,
    k: usize,
    progress: &mut dyn FnMut(usize),
) -> Result<Neighbours, EvaluationError> {
    search(&Search { queries, reference, k, own: None }, progress)
}

/// The `k` nearest others to the images of `reference` whose numbers are `rows`: leave one out.
///
/// # Errors
/// When `k` is 0 or above the number of other images, or a pixel is not finite.
///
/// # Panics
/// When a number in `rows` is not that of an image.
pub fn nearest_others(
    reference: ArrayView2<'_, f32>,
    rows: &[usize],
    k: usize,
    progress: &mut dyn FnMut(usize),
) -> Result<Neighbours, EvaluationError> {
    let queries = reference.select(Axis(0), rows);
    search(&Search { queries: queries.view(), reference, k, own: Some(rows) }, progress)
}

/// What is looked for where.
#[derive(Debug, Clone, Copy)]
struct Search<'a> {
    queries: ArrayView2<'a, f32>,
    reference: ArrayView2<'a, f32>,
    k: usize,
    /// For each query the reference image that does not count.
    own: Option<&'a [usize]>,
}

fn search(
    search: &Search<'_>,
    progress: &mut dyn FnMut(usize),
) -> Result<Neighbours, EvaluationError> {
    let Search { queries, reference, k, own } = *search;
    check("the reference", reference, reference.ncols(), k.max(1) + usize::from(own.is_some()))?;
    check("the queries", queries, reference.ncols(), 0)?;
    if k == 0 {
        return Err(EvaluationError::TooFew { what: "k", got: 0, expected: 1 });
    }
    // Centred, so that images far from the origin do not lose the distances between them.
    let mean = mean(reference);
    let squares = reference.rows().into_iter().map(|row| (&row - &mean).mapv(|x| x * x).sum());
    let squares: Vec<f32> = squares.collect();
    let starts: Vec<_> = (0..queries.nrows()).step_by(QUERY_BLOCK).collect();
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let mut found = Vec::with_capacity(queries.nrows());
    for starts in starts.chunks(threads) {
        let blocks: Vec<Vec<Vec<(f64, usize)>>> = thread::scope(|scope| {
            let (mean, squares) = (&mean, &squares);
            let spawn = |&start| scope.spawn(move || search_block(search, mean, squares, start));
            let running: Vec<_> = starts.iter().map(spawn).collect();
            // A panic in a block is a bug, and goes on as one.
            running.into_iter().map(|block| block.join().expect("no block panics")).collect()
        });
        found.extend(blocks.into_iter().flatten());
        progress(found.len());
    }
    let pick = |at: (usize, usize)| found[at.0][at.1];
    Ok(Neighbours {
        indices: Array2::from_shape_fn((found.len(), k), |at| pick(at).1),
        distances: Array2::from_shape_fn((found.len(), k), |at| pick(at).0),
    })
}

/// The mean image.
fn mean(images: ArrayView2<'_, f32>) -> Array1<f32> {
    let sums = images.fold_axis(Axis(0), 0.0, |sum: &f64, &pixel| sum + f64::from(pixel));
    sums.mapv(|sum| (sum / images.nrows().max(1) as f64) as f32)
}

/// The nearest of the queries from `start` on, as (distance, number), nearest first.
fn search_block(
    search: &Search<'_>,
    mean: &Array1<f32>,
    squares: &[f32],
    start: usize,
) -> Vec<Vec<(f64, usize)>> {
    let end = (start + QUERY_BLOCK).min(search.queries.nrows());
    let queries = search.queries.slice_axis(Axis(0), Slice::from(start..end));
    let centred = &queries - mean;
    let mut candidates = vec![Candidates::new(search.k + SPARE); end - start];
    for from in (0..search.reference.nrows()).step_by(REFERENCE_BLOCK) {
        let to = (from + REFERENCE_BLOCK).min(search.reference.nrows());
        let block = search.reference.slice_axis(Axis(0), Slice::from(from..to));
        let products = centred.dot(&(&block - mean).t());
        for (row, (products, candidates)) in
            products.rows().into_iter().zip(&mut candidates).enumerate()
        {
            let own = search.own.map(|own| own[start + row]);
            for (column, product) in products.iter().enumerate() {
                // |x|^2 is the same for all and left out.
                let key = squares[from + column] - 2.0 * product;
                if key < candidates.worst && own != Some(from + column) {
                    candidates.insert(key, from + column);
                }
            }
        }
    }
    queries
        .rows()
        .into_iter()
        .zip(candidates)
        .map(|(query, candidates)| candidates.ranked(query, search.reference, search.k))
        .collect()
}

/// The best so far of one query, smallest key first.
#[derive(Debug, Clone)]
struct Candidates {
    best: Vec<(f32, usize)>,
    room: usize,
    /// The key to be better than.
    worst: f32,
}

impl Candidates {
    fn new(room: usize) -> Self {
        Self { best: Vec::with_capacity(room + 1), room, worst: f32::INFINITY }
    }

    fn insert(&mut self, key: f32, index: usize) {
        let place = self.best.partition_point(|&(other, _)| other <= key);
        self.best.insert(place, (key, index));
        self.best.truncate(self.room);
        if let (true, Some(&(last, _))) = (self.best.len() == self.room, self.best.last()) {
            self.worst = last;
        }
    }

    /// The nearest `k` by their exact distances.
    fn ranked(
        self,
        query: ArrayView1<'_, f32>,
        reference: ArrayView2<'_, f32>,
        k: usize,
    ) -> Vec<(f64, usize)> {
        let distance = |index: usize| {
            let pairs = query.iter().zip(reference.row(index));
            pairs.map(|(&x, &y)| (f64::from(x) - f64::from(y)).powi(2)).sum::<f64>().sqrt()
        };
        let mut ranked: Vec<_> = self.best.iter().map(|&(_, i)| (distance(i), i)).collect();
        ranked.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        ranked.truncate(k);
        ranked
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn random(rows: usize, seed: u64) -> Array2<f32> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        Array2::from_shape_simple_fn((rows, 20), || random.random())
    }

    /// By sorting all distances.
    fn by_force(
        queries: &Array2<f32>,
        reference: &Array2<f32>,
        k: usize,
        skip: bool,
    ) -> Neighbours {
        let ranked: Vec<Vec<(f64, usize)>> = (0..queries.nrows())
            .map(|row| {
                let candidates = Candidates {
                    best: (0..reference.nrows())
                        .filter(|&index| !skip || index != row)
                        .map(|index| (0.0, index))
                        .collect(),
                    ..Candidates::new(0)
                };
                candidates.ranked(queries.row(row), reference.view(), k)
            })
            .collect();
        Neighbours {
            indices: Array2::from_shape_fn((ranked.len(), k), |(row, j)| ranked[row][j].1),
            distances: Array2::from_shape_fn((ranked.len(), k), |(row, j)| ranked[row][j].0),
        }
    }

    #[test]
    fn a_few_points_by_hand() {
        let reference = array![[0.0, 0.0], [3.0, 4.0], [1.0, 0.0], [3.0, 4.0]];
        let found = nearest(array![[3.0, 4.0]].view(), reference.view(), 4, &mut |_| {}).unwrap();
        assert_eq!(found.indices, array![[1, 3, 2, 0]]);
        assert_eq!(found.distances, array![[0.0, 0.0, 20f64.sqrt(), 5.0]]);
        let others = nearest_others(reference.view(), &[0, 3], 2, &mut |_| {}).unwrap();
        assert_eq!(others.indices, array![[2, 1], [1, 2]]);
        assert_eq!(others.mean_nearest(), 0.5);
    }

    #[test]
    fn blocks_find_what_sorting_all_distances_finds() {
        let (queries, reference) =
            (random(2 * QUERY_BLOCK + 9, 1), random(REFERENCE_BLOCK + 70, 2));
        let mut done = vec![];
        let found =
            nearest(queries.view(), reference.view(), 3, &mut |count| done.push(count)).unwrap();
        assert_eq!(found, by_force(&queries, &reference, 3, false));
        assert_eq!(done.last(), Some(&queries.nrows()));
        let reference = random(700, 3);
        let rows: Vec<_> = (0..700).collect();
        let found = nearest_others(reference.view(), &rows, 2, &mut |_| {}).unwrap();
        assert_eq!(found, by_force(&reference, &reference, 2, true));
    }

    #[test]
    fn copies_far_from_the_origin_are_at_distance_zero() {
        let reference = random(500, 4) + 1000.0;
        let queries = reference.slice_axis(Axis(0), Slice::from(100..110));
        let found = nearest(queries, reference.view(), 1, &mut |_| {}).unwrap();
        assert_eq!(found.mean_nearest(), 0.0);
    }

    #[test]
    fn impossible_searches_are_refused() {
        let three = Array2::<f32>::zeros((3, 2));
        let error = |k, queries: &Array2<f32>| {
            nearest(queries.view(), three.view(), k, &mut |_| {}).unwrap_err().to_string()
        };
        assert_eq!(error(4, &three), "the reference holds 3 images, expected at least 4");
        assert_eq!(error(0, &three), "k holds 0 images, expected at least 1");
        assert!(error(1, &Array2::zeros((3, 5))).starts_with("the queries has 5 pixels"));
        assert!(nearest_others(three.view(), &[0], 3, &mut |_| {}).is_err());
        assert!(nearest_others(three.view(), &[0], 2, &mut |_| {}).is_ok());
    }
}
