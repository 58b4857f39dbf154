//! Correctors: steps that stay at a noise level and bring the state closer to its distribution there.

mod annealed_langevin;
mod langevin;
mod none;
mod repeated;
mod watch;

pub use annealed_langevin::AnnealedLangevin;
pub use langevin::Langevin;
pub use none::NoCorrector;
pub use repeated::Repeated;
pub use watch::WatchCorrector;

use crate::SampleError;
use tweedie_schedules::{Interval, Prediction, TimePoint};
use tweedie_score::{NoiseSource, ScoreFn, Times, VectorSpace};

/// A move within the distribution at one noise level.
///
/// A corrector does not know the number of the step it serves: it numbers its errors 0, and
/// [`PredictorCorrector`](crate::PredictorCorrector) puts the right number in.
pub trait Corrector<S> {
    /// Moves `x`, a state at the noisier end of `interval`, within its distribution there.
    ///
    /// # Errors
    /// When the network or the noise source fails.
    fn correct(
        &self,
        x: S,
        interval: Interval,
        score: &dyn ScoreFn<S>,
        noise: &mut dyn NoiseSource<S>,
    ) -> Result<S, SampleError>;

    /// Network evaluations of one correction.
    fn evaluations(&self) -> usize;

    /// Whether a correction leaves every state as it is, so that none need be made.
    fn is_idle(&self) -> bool {
        self.evaluations() == 0
    }
}

impl<S, C: Corrector<S> + ?Sized> Corrector<S> for Box<C> {
    fn correct(
        &self,
        x: S,
        interval: Interval,
        score: &dyn ScoreFn<S>,
        noise: &mut dyn NoiseSource<S>,
    ) -> Result<S, SampleError> {
        (**self).correct(x, interval, score, noise)
    }

    fn evaluations(&self) -> usize {
        (**self).evaluations()
    }

    fn is_idle(&self) -> bool {
        (**self).is_idle()
    }
}

/// The score itself at `at`, whatever the network predicts.
fn score_at<S: VectorSpace>(
    score: &dyn ScoreFn<S>,
    x: &S,
    at: TimePoint,
) -> Result<S, SampleError> {
    let failed = |source| SampleError::Score { step: 0, t: at.t, source };
    let (of_x, of_output) = score.conversion(Prediction::Score, at).map_err(failed)?;
    let output = score.predict(x, Times::Shared(at)).map_err(failed)?;
    Ok(match (of_x, of_output) {
        (0.0, 1.0) => output,
        (0.0, _) => S::combine(&[(of_output, &output)]),
        _ => S::combine(&[(of_x, x), (of_output, &output)]),
    })
}

fn normal_like<S>(noise: &mut dyn NoiseSource<S>, x: &S) -> Result<S, SampleError> {
    noise.normal_like(x).map_err(|source| SampleError::Noise { step: 0, source })
}

/// Checks the two options that Langevin correctors share.
fn check_options(snr: f64, iterations: usize) -> Result<(), SampleError> {
    if !(snr > 0.0 && snr.is_finite()) {
        let allowed = "a finite value above 0";
        return Err(SampleError::ParameterOutOfRange { name: "snr", value: snr, allowed });
    }
    if iterations == 0 {
        let (name, allowed) = ("iterations", "at least 1");
        return Err(SampleError::ParameterOutOfRange { name, value: 0.0, allowed });
    }
    Ok(())
}
