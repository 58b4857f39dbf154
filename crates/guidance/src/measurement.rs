//! A measurement of the data: what is known of each decoupled coordinate, and how well.
//!
//! `y = A x_0 + n` with noise of standard deviation `d` says of a coordinate with singular value `s` that
//! it is `S^+ U^T y`, off by noise of deviation `tau = d / s`. At a noise level that adds more than that,
//! `sigma >= alpha tau`, a state with this coordinate is made from it: `alpha` times what is known, and as
//! much noise as is missing, of variance `sigma^2 - alpha^2 tau^2`. At cleaner levels the measurement
//! is the noisier of the two, and says no more: the sampler is left to remove its noise, as any other.

use crate::{GuidanceError, LinearOperator, SingularValues, Spectrum};
use tweedie_schedules::NoiseLevel;
use tweedie_score::{DataMap, Draw, Elementwise, NoiseError, NoiseSource, ScoreError, Times};

/// What is known of a batch of data.
///
/// As a [`DataMap`] it puts what is known into every estimate of the data: with
/// [`MapData`](tweedie_score::MapData) around the score function any solver samples so. See
/// [`Reimposed`](crate::Reimposed) for the way that works on states.
#[derive(Debug)]
pub struct Measurement<S> {
    operator: Box<dyn LinearOperator<S>>,
    /// The measurement itself, 0 where it measures nothing.
    y: S,
    /// 1 for each coordinate that is known, 0 for the others.
    seen: S,
    /// What is known of the coordinates, 0 for what is not.
    values: S,
    deviation: f64,
    /// Deviation by coordinate of a sample, where it differs; not finite for what is not known.
    deviations: Option<Vec<f64>>,
}

impl<S: Elementwise + Draw> Measurement<S> {
    /// The measurement `y = operator x_0 + noise` with noise of standard deviation `deviation` in each of
    /// its values; 0 for none.
    ///
    /// # Errors
    /// When the shapes do not fit, nothing is known or every value (to within ten times the rounding of the
    /// measurement), or the deviation is negative or not finite.
    pub fn new(
        operator: impl LinearOperator<S> + 'static,
        y: &S,
        deviation: f64,
    ) -> Result<Self, GuidanceError> {
        if !(deviation >= 0.0 && deviation.is_finite()) {
            let (name, allowed) = ("measurement noise", "a finite value of at least 0");
            return Err(GuidanceError::ParameterOutOfRange { name, value: deviation, allowed });
        }
        let values = operator.seen_in(y)?;
        let Spectrum { seen, singular_values } = operator.spectrum(&values);
        let exact = deviation == 0.0 && singular_values.are_alike();
        check_extent(&seen, exact)?;
        let deviations = match singular_values {
            SingularValues::Each(each) if deviation > 0.0 => {
                Some(each.iter().map(|s| deviation / s).collect())
            }
            _ => None,
        };
        let y = operator.measured(y);
        Ok(Self { operator: Box::new(operator), y, seen, values, deviation, deviations })
    }

    /// The map from data to measurements.
    #[must_use]
    pub fn operator(&self) -> &dyn LinearOperator<S> {
        self.operator.as_ref()
    }

    /// The smallest data that agrees with the measurement, `A^+ y`: 0 in every unknown coordinate.
    #[must_use]
    pub fn pseudo_inverse(&self) -> S {
        self.operator.couple(&self.values)
    }

    /// Length of every axis of the states that it is for, the batch's first.
    #[must_use]
    pub fn shape(&self) -> Vec<usize> {
        self.seen.shape()
    }

    /// Refuses states of another shape, which no method could make agree with it.
    ///
    /// # Errors
    /// When `x` has another shape than the states that it is for.
    pub fn check(&self, x: &S) -> Result<(), GuidanceError> {
        let (got, expected) = (x.shape(), self.shape());
        if got == expected {
            return Ok(());
        }
        Err(GuidanceError::ShapeMismatch { what: "state", got, expected })
    }

    /// A state to start from at `level`: noise of deviation `prior_std` in what is unknown, and what is known
    /// at its noise there. Two draws.
    ///
    /// # Errors
    /// When the noise source fails.
    pub fn start(
        &self,
        level: NoiseLevel,
        prior_std: f64,
        noise: &mut dyn NoiseSource<S>,
    ) -> Result<S, NoiseError> {
        let z = noise.normal_like(&self.seen)?;
        self.impose(&S::combine(&[(prior_std, &z)]), level, noise)
    }

    /// `x`, a state at `level`, with what is known put in, at its noise there.
    ///
    /// One draw, of the coordinates, unless no noise is to be added. Without noise in measurement and
    /// level the known coordinates are those measured, to the last bit.
    ///
    /// # Errors
    /// When the noise source fails.
    pub fn impose(
        &self,
        x: &S,
        level: NoiseLevel,
        noise: &mut dyn NoiseSource<S>,
    ) -> Result<S, NoiseError> {
        let NoiseLevel { alpha, sigma } = level;
        let missing = |tau: f64| (sigma - alpha * tau) * (sigma + alpha * tau);
        let taken = |tau: f64| if is_imposed(tau, level) { 1.0 } else { 0.0 };
        let coordinates = self.operator.decouple(x);
        let taken = self.by_coordinate(&taken);
        let kept = (coordinates.mul(&taken), self.values.mul(&taken));
        let known = [(1.0, &coordinates), (-1.0, &kept.0), (alpha, &kept.1)];
        if sigma == 0.0 {
            return Ok(self.operator.couple(&S::combine(&known)));
        }
        let added = self.by_coordinate(&|tau| missing(tau).max(0.0).sqrt());
        let z = noise.normal_like(x)?.mul(&added);
        Ok(self.operator.couple(&S::combine(&[known[0], known[1], known[2], (1.0, &z)])))
    }

    /// What is known of the coordinates `coordinates` beyond what they are, `V^T A^+ y - coordinates`; 0 for
    /// those of which nothing is.
    pub(crate) fn innovation(&self, coordinates: &S) -> S {
        S::combine(&[(1.0, &self.values), (-1.0, &coordinates.mul(&self.seen))])
    }

    /// 1 for each coordinate that is known, 0 for the others.
    pub(crate) fn seen(&self) -> &S {
        &self.seen
    }

    /// What is known of the coordinates, 0 for what is not.
    pub(crate) fn values(&self) -> &S {
        &self.values
    }

    /// The estimate `data`, whose unknown part has variance `variance` a coordinate, with what is known
    /// put in: the mean of the two, each weighted by its precision. Without noise in the measurement it
    /// is taken as it is.
    #[must_use]
    pub fn project(&self, data: &S, variance: f64) -> S {
        let weight = |tau: f64| {
            if tau == 0.0 { 1.0 } else { variance / (variance + tau * tau) }
        };
        let weights = self.by_coordinate(&weight);
        let coordinates = self.operator.decouple(data);
        let (old, new) = (coordinates.mul(&weights), self.values.mul(&weights));
        self.operator.couple(&S::combine(&[(1.0, &coordinates), (-1.0, &old), (1.0, &new)]))
    }

    /// `after` with those of its coordinates taken from `before` that are measured, but too noisily to be put in
    /// at `level`: what they hold of the measurement is in the state alone, and a correction that knows
    /// only the data would wash it out.
    pub(crate) fn hold(&self, before: &S, after: S, level: NoiseLevel) -> S {
        let held = |tau: f64| if is_imposed(tau, level) { 0.0 } else { 1.0 };
        let held = self.by_coordinate(&held);
        let moved = S::combine(&[(1.0, &after), (-1.0, before)]);
        let moved = self.operator.decouple(&moved).mul(&held);
        S::combine(&[(1.0, &after), (-1.0, &self.operator.couple(&moved))])
    }

    /// Whether some of what is known is too noisy to be put into a state at `level`.
    pub(crate) fn is_noisier_than(&self, level: NoiseLevel) -> bool {
        !is_imposed(self.largest_deviation(), level)
    }

    /// The deviations of what is known of the coordinates, in units of the data.
    pub(crate) fn known_deviations(&self) -> Vec<f64> {
        let Some(deviations) = &self.deviations else { return vec![self.deviation] };
        deviations.iter().copied().filter(|tau| tau.is_finite()).collect()
    }

    /// The largest deviation of what is known of a coordinate, in units of the data. At cleaner levels,
    /// `sigma / alpha` below it, what was measured is in the state alone.
    #[must_use]
    pub fn largest_deviation(&self) -> f64 {
        self.known_deviations().into_iter().fold(0.0, f64::max)
    }

    /// The residual `|A x - y|` of each sample.
    #[must_use]
    pub fn residual_each(&self, x: &S) -> Vec<f64> {
        S::combine(&[(1.0, &self.operator.apply(x)), (-1.0, &self.y)]).norm_each()
    }

    /// How far each sample is from the measurement: the root of the sum of squares over the known
    /// coordinates, in units of the data.
    #[must_use]
    pub fn misfit_each(&self, x: &S) -> Vec<f64> {
        let coordinates = self.operator.decouple(x).mul(&self.seen);
        S::combine(&[(1.0, &coordinates), (-1.0, &self.values)]).norm_each()
    }

    /// A function of the deviation, for each coordinate that is seen; 0 for the others.
    pub(crate) fn by_coordinate(&self, value: &dyn Fn(f64) -> f64) -> S {
        let Some(deviations) = &self.deviations else {
            return S::combine(&[(value(self.deviation), &self.seen)]);
        };
        let mut each = deviations.iter().cycle();
        let mut next = || {
            let tau = each.next().copied().unwrap_or(f64::INFINITY);
            if tau.is_finite() { value(tau) } else { 0.0 }
        };
        S::draw_like(&self.seen, &mut next)
    }
}

/// Whether a level has at least as much noise as a measurement of deviation `tau`, or as much but for rounding.
fn is_imposed(tau: f64, NoiseLevel { alpha, sigma }: NoiseLevel) -> bool {
    sigma >= alpha * tau * (1.0 - 1e-9)
}

/// Refuses what knows nothing, or everything as well as its own values. Noise, or a strong blur of all
/// coordinates, is left to be undone.
fn check_extent<S: Draw>(seen: &S, exact: bool) -> Result<(), GuidanceError> {
    let values = seen.batch_len() * seen.item_len();
    let known: f64 = seen.dot_each(seen).iter().sum();
    match known {
        0.0 => Err(GuidanceError::NothingKnown { values }),
        known if exact && known == values as f64 => Err(GuidanceError::EverythingKnown { values }),
        _ => Ok(()),
    }
}

/// Wang et al. 2023, sec. 3.2: the range of `A` from the measurement, the null space from the estimate.
/// With noise in the measurement, the estimate counts as data that is off by `sigma^2 / (alpha^2 +
/// sigma^2)`, its variance for data of variance 1 (as in Song et al. 2023).
impl<S: Elementwise + Draw> DataMap<S> for &Measurement<S> {
    fn map(&self, data: S, at: Times<'_>) -> Result<S, ScoreError> {
        let NoiseLevel { alpha, sigma } = match at {
            Times::Shared(point) => point.level,
            // without noise in the measurement the level does not count
            Times::PerSample(_) if self.deviation == 0.0 => NoiseLevel::CLEAN,
            Times::PerSample(points) => {
                return Err(ScoreError::TimesNotShared { times: points.len() });
            }
        };
        Ok(self.project(&data, sigma.powi(2) / (alpha.powi(2) + sigma.powi(2))))
    }
}
