//! The bound's operations on arrays.

use super::{Bins, BoundState, Normal};
use ndarray::{ArrayD, Zip};

macro_rules! bound_state_of {
    ($real:ty) => {
        impl BoundState for ArrayD<$real> {
            fn ln(&self) -> Self {
                self.mapv(<$real>::ln)
            }

            fn exp_m1(&self) -> Self {
                self.mapv(<$real>::exp_m1)
            }

            fn detached(&self) -> Self {
                self.clone()
            }

            fn bin_log_probability(&self, mean: &Self, log_variance: &Self, bins: &Bins) -> Self {
                let shapes = (mean.shape(), log_variance.shape());
                assert_eq!(shapes, (self.shape(), self.shape()), "states of different shapes");
                let log = |x: &$real, mean: &$real, log_variance: &$real| {
                    let (mean, log_variance) = (f64::from(*mean), f64::from(*log_variance));
                    bins.log_probability(f64::from(*x), Normal { mean, log_variance }) as $real
                };
                Zip::from(self).and(mean).and(log_variance).map_collect(log)
            }

            fn mean_each_times(&self, factor: f64) -> Vec<f64> {
                self.mean_each().into_iter().map(|mean| factor * mean).collect()
            }

            fn ones(&self) -> Self {
                ArrayD::ones(self.raw_dim())
            }
        }
    };
}

bound_state_of!(f32);
bound_state_of!(f64);
