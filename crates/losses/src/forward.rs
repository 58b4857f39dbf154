//! The forward process on a batch, and what the network should answer.

use tweedie_schedules::{NoiseLevel, Prediction};
use tweedie_score::Batch;

/// `x_t = alpha x_0 + sigma eps`, each sample at its own level. // Ho et al. 2020, eq. 4
///
/// # Panics
/// When the shapes differ or there is not one level a sample.
#[must_use]
pub fn noised<S: Batch>(x0: &S, eps: &S, levels: &[NoiseLevel]) -> S {
    form(x0, eps, levels, |level| (level.alpha, level.sigma))
}

/// What a network of the given prediction should return, each sample at its own level.
///
/// # Panics
/// When the shapes differ or there is not one level a sample.
#[must_use]
pub fn target<S: Batch>(prediction: Prediction, x0: &S, eps: &S, levels: &[NoiseLevel]) -> S {
    form(x0, eps, levels, |level| prediction.target(level))
}

/// A linear form of data and noise whose coefficients depend on each sample's level.
fn form<S: Batch>(
    x0: &S,
    eps: &S,
    levels: &[NoiseLevel],
    coefficients: impl Fn(NoiseLevel) -> (f64, f64),
) -> S {
    let (of_x0, of_eps): (Vec<_>, Vec<_>) = levels.iter().map(|level| coefficients(*level)).unzip();
    S::combine(&[(1.0, &x0.scale_each(&of_x0)), (1.0, &eps.scale_each(&of_eps))])
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{ArrayD, array};

    #[test]
    fn each_sample_stands_at_its_own_level() {
        let x0: ArrayD<f64> = array![[1.0, 2.0], [3.0, 4.0]].into_dyn();
        let eps: ArrayD<f64> = array![[0.5, -0.5], [1.0, -1.0]].into_dyn();
        let levels = [NoiseLevel::CLEAN, NoiseLevel { alpha: 0.6, sigma: 0.8 }];
        let x = noised(&x0, &eps, &levels);
        let expected = array![[1.0, 2.0], [1.8 + 0.8, 2.4 - 0.8]].into_dyn();
        assert!((x - expected).iter().all(|error| error.abs() < 1e-15));
        let velocity = target(Prediction::Velocity, &x0, &eps, &levels);
        let expected = array![[0.5, -0.5], [0.6 - 2.4, -0.6 - 3.2]].into_dyn();
        assert!((velocity - expected).iter().all(|error| error.abs() < 1e-15));
    }

    #[test]
    fn noise_and_data_are_their_own_targets() {
        let x0: ArrayD<f64> = array![[1.0, 2.0]].into_dyn();
        let eps: ArrayD<f64> = array![[0.5, -0.5]].into_dyn();
        let levels = [NoiseLevel { alpha: 0.6, sigma: 0.8 }];
        assert_eq!(target(Prediction::Noise, &x0, &eps, &levels), eps);
        assert_eq!(target(Prediction::Data, &x0, &eps, &levels), x0);
    }
}
