//! What a likelihood owes to its two ends, where a model says less than the integration.
//!
//! The flow's density is exact but for its ends: its far end is given the prior's density instead of that
//! of noised data, and its data are taken to be at the lower time limit instead of clean. Both shares are
//! reported apart from the likelihood, and not taken off it.

use crate::LikelihoodError;
use crate::divergence::Divergence;
use crate::flow::check_data;
use tweedie_losses::prior_kl_each;
use tweedie_schedules::{Prediction, TimePoint};
use tweedie_score::{DifferentiableScoreFn, Draw, NoiseSource};
use tweedie_sde::Sde;

/// The most that the prior takes from the mean log likelihood of data `x0`, in nats for each sample:
/// the Kullback-Leibler divergence of its noised state, at the noisiest time, from the prior.
///
/// Averaged over data it bounds the divergence of the noised data from the prior, which is what the mean
/// log likelihood under the prior falls short by.
///
/// # Errors
/// When the batch is empty or holds values that are not finite.
pub fn prior_share<S: Draw>(sde: &dyn Sde, x0: &S) -> Result<Vec<f64>, LikelihoodError> {
    check_data(x0)?;
    let (_, noisy) = sde.time_range();
    Ok(prior_kl_each(x0, sde.level(noisy), sde.prior_std()))
}

/// What the lower time limit `at` adds to the log density of data `x`, in nats for each sample: the log
/// density of the slightly noised data at `x`, less that of the clean data there.
///
/// To first order in the noise of the limit, by the score and its divergence there; one evaluation of the
/// network. It is of use while the noise is small beside what the data vary over.
///
/// # Errors
/// When `x` is empty or not finite, the exact trace is asked of large samples, or network or noise fails.
pub fn lower_limit_share<S: Draw>(
    at: TimePoint,
    score: &dyn DifferentiableScoreFn<S>,
    x: &S,
    divergence: Divergence,
    noise: &mut dyn NoiseSource<S>,
) -> Result<Vec<f64>, LikelihoodError> {
    check_data(x)?;
    let failed = |source| LikelihoodError::Score { t: at.t, source };
    let directions = divergence.directions(x, noise)?;
    let (of_x, of_output) = score.conversion(Prediction::Score, at).map_err(failed)?;
    let (output, products) = score.predict_vjps(x, at, &directions.vectors).map_err(failed)?;
    let trace = directions.trace(of_x, of_output, &products);
    let score = S::combine(&[(of_x, x), (of_output, &output)]);
    let (along, squares) = (x.dot_each(&score), score.dot_each(&score));
    // the data shrink by alpha, then take up noise by the heat equation of the log density
    let (shrinking, heat) = (-at.level.alpha.ln(), 0.5 * at.level.sigma.powi(2));
    let dimensions = x.item_len() as f64;
    let share = |k: usize| shrinking * (dimensions + along[k]) + heat * (trace[k] + squares[k]);
    Ok((0..x.batch_len()).map(share).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::ArrayD;
    use tweedie_closed_form::{ExactScore, Mixture, Part};
    use tweedie_schedules::{NoiseLevel, NoiseSchedule, VeGeometric, VpLinear};
    use tweedie_score::{Seeded, Silent};

    fn data() -> Mixture {
        let part = |weight, mean: [f64; 2]| Part { weight, mean: mean.to_vec(), deviation: 0.3 };
        Mixture::new(vec![part(0.6, [0.5, -0.2]), part(0.4, [-0.7, 0.1])]).unwrap()
    }

    fn log_densities(level: NoiseLevel, x: &ArrayD<f64>) -> Vec<f64> {
        let values: Vec<f64> = x.iter().copied().collect();
        let noisy = data().at(level);
        values.chunks_exact(2).map(|point| noisy.log_density(point)).collect()
    }

    #[test]
    fn the_share_of_the_lower_limit_is_that_of_the_closed_form_to_first_order() {
        let vp = VpLinear::new(0.1, 20.0).unwrap();
        let ve = VeGeometric::new(0.01, 50.0).unwrap();
        let schedules: [&dyn NoiseSchedule; 2] = [&vp, &ve];
        for at in schedules.map(|schedule| schedule.point(1e-3)) {
            let network = ExactScore::new(data(), Prediction::Noise);
            let x = data().draw(20, &mut Seeded::new(1)).unwrap();
            let shares =
                lower_limit_share(at, &network, &x, Divergence::Exact, &mut Silent).unwrap();
            let (noisy, clean) =
                (log_densities(at.level, &x), log_densities(NoiseLevel::CLEAN, &x));
            // second order: the square of what the noise is beside the deviation of the data
            let small = (at.level.sigma / 0.3).powi(2);
            for ((share, noisy), clean) in shares.iter().zip(noisy).zip(clean) {
                let exact = noisy - clean;
                assert!((share - exact).abs() < 20.0 * small * small, "{share}, not {exact}");
            }
        }
    }

    #[test]
    fn the_share_of_the_prior_bounds_its_divergence_from_noised_data() {
        let vp = VpLinear::new(0.1, 6.0).unwrap();
        let x = data().draw(20_000, &mut Seeded::new(2)).unwrap();
        let bounds = prior_share(&vp, &x).unwrap();
        let level = vp.level(1.0);
        let noised = data().at(level).draw(20_000, &mut Seeded::new(3)).unwrap();
        let prior =
            |point: &[f64]| vp.prior_log_density(point.iter().map(|value| value * value).sum(), 2);
        let values: Vec<f64> = noised.iter().copied().collect();
        let exact = log_densities(level, &noised);
        let gaps = values.chunks_exact(2).zip(exact).map(|(point, exact)| exact - prior(point));
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let (divergence, bound) = (mean(&gaps.collect::<Vec<_>>()), mean(&bounds));
        assert!(divergence > 0.0 && divergence < bound, "{divergence}, bounded by {bound}");
    }
}
