//! Estimated moments as a file beside the checkpoint they belong to.

use super::NoiseMoments;
use crate::SampleError;
use serde::{Deserialize, Serialize};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use tweedie_schedules::{NoiseLevel, TimePoint};

/// Name of the file of moments in the folder of a checkpoint.
pub const MOMENTS_FILE: &str = "noise-moments.json";

/// Version of the file's layout.
const FORMAT_VERSION: u32 = 1;

/// Share by which the levels of a file may differ from those asked for.
const ROUNDING: f64 = 1e-9;

/// Moments with their standard errors, and what they were measured on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EstimatedMoments {
    format_version: u32,
    name: String,
    moments: Vec<Estimate>,
}

/// One moment.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Estimate {
    t: f64,
    alpha: f64,
    sigma: f64,
    value: f64,
    standard_error: f64,
    samples: u64,
}

impl EstimatedMoments {
    pub(super) fn new(
        name: String,
        moments: impl Iterator<Item = (TimePoint, f64, f64, u64)>,
    ) -> Self {
        let estimate = |(point, value, standard_error, samples): (TimePoint, f64, f64, u64)| {
            let TimePoint { t, level: NoiseLevel { alpha, sigma } } = point;
            Estimate { t, alpha, sigma, value, standard_error, samples }
        };
        Self { format_version: FORMAT_VERSION, name, moments: moments.map(estimate).collect() }
    }

    /// The network they were measured on.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Means of `|eps_hat|^2 / d`, cleanest time first.
    #[must_use]
    pub fn values(&self) -> Vec<f64> {
        self.moments.iter().map(|moment| moment.value).collect()
    }

    /// Standard errors of [`values`](Self::values).
    #[must_use]
    pub fn standard_errors(&self) -> Vec<f64> {
        self.moments.iter().map(|moment| moment.standard_error).collect()
    }

    /// Samples that each value is the mean of.
    #[must_use]
    pub fn samples(&self) -> Vec<u64> {
        self.moments.iter().map(|moment| moment.samples).collect()
    }

    /// The moments as a sampler takes them.
    ///
    /// # Errors
    /// When a file was edited by hand into something that is not a list of moments.
    pub fn moments(&self) -> Result<NoiseMoments, SampleError> {
        let level = |moment: &Estimate| NoiseLevel { alpha: moment.alpha, sigma: moment.sigma };
        let levels: Vec<_> = self.moments.iter().map(level).collect();
        NoiseMoments::new(&levels, &self.values())
    }

    /// Checks that they were measured on network `name` at `points`.
    ///
    /// # Errors
    /// When they belong to another network, or to another schedule or list of times.
    pub fn check(&self, name: &str, points: &[TimePoint]) -> Result<(), SampleError> {
        if self.name != name {
            let (got, expected) = (self.name.clone(), name.to_owned());
            return Err(SampleError::MomentsOfAnotherNetwork { got, expected });
        }
        if self.moments.len() != points.len() {
            let (levels, values) = (points.len(), self.moments.len());
            return Err(SampleError::MomentCount { levels, values });
        }
        let close = |a: f64, b: f64| (a - b).abs() <= ROUNDING * (a.abs() + b.abs());
        for (index, (moment, point)) in self.moments.iter().zip(points).enumerate() {
            let NoiseLevel { alpha, sigma } = point.level;
            let same = [(moment.t, point.t), (moment.alpha, alpha), (moment.sigma, sigma)];
            if !same.iter().all(|(a, b)| close(*a, *b)) {
                let (got, expected) = ((moment.t, moment.alpha), (point.t, alpha));
                return Err(SampleError::MomentsOfAnotherSchedule { index, got, expected });
            }
        }
        Ok(())
    }

    /// Writes them to `path` as JSON, under a temporary name first: a file of moments is whole or
    /// absent.
    ///
    /// # Errors
    /// When the folder is missing or not writable, or the disk is full.
    pub fn save(&self, path: &Path) -> Result<(), SampleError> {
        let failed = |source| SampleError::MomentFile { path: path.to_owned(), source };
        let text = serde_json::to_vec_pretty(self).map_err(|error| failed(error.into()))?;
        let partial = partial_name(path);
        let written = write_whole(&partial, &text).and_then(|()| fs::rename(&partial, path));
        if written.is_err() {
            let _ = fs::remove_file(&partial); // the first error is the one that matters
        }
        written.map_err(failed)
    }

    /// Reads the moments of network `name` at `points` from `path`.
    ///
    /// # Errors
    /// When the file cannot be read, is no file of moments, or belongs to another network, schedule
    /// or list of times.
    pub fn load(path: &Path, name: &str, points: &[TimePoint]) -> Result<Self, SampleError> {
        let failed = |source| SampleError::MomentFile { path: path.to_owned(), source };
        let text = fs::read_to_string(path).map_err(failed)?;
        let read: Self = serde_json::from_str(&text).map_err(|error| failed(error.into()))?;
        if read.format_version != FORMAT_VERSION {
            let (got, expected) = (read.format_version, FORMAT_VERSION);
            return Err(SampleError::MomentFormat { path: path.to_owned(), got, expected });
        }
        read.check(name, points)?;
        read.moments()?;
        Ok(read)
    }
}

/// A name in the same folder that no other process takes and that marks a leftover as one.
fn partial_name(path: &Path) -> PathBuf {
    let name = path.file_name().and_then(OsStr::to_str).unwrap_or(MOMENTS_FILE);
    path.with_file_name(format!(".partial-{name}-{}", std::process::id()))
}

fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(log_alpha: f64) -> TimePoint {
        TimePoint { t: -log_alpha, level: NoiseLevel::variance_preserving(log_alpha) }
    }

    fn points() -> Vec<TimePoint> {
        vec![point(-0.1), point(-1.0 / 3.0), point(-2.0)]
    }

    fn estimated() -> EstimatedMoments {
        let values = [0.1, 1.0 / 3.0, 0.9];
        let moments = points().into_iter().zip(values);
        EstimatedMoments::new("net-500".into(), moments.map(|(at, value)| (at, value, 0.01, 64)))
    }

    #[test]
    fn moments_survive_the_disk_bit_for_bit_and_leave_nothing_else_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(MOMENTS_FILE);
        estimated().save(&path).unwrap();
        assert_eq!(EstimatedMoments::load(&path, "net-500", &points()).unwrap(), estimated());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_wrong_pairing_is_refused() {
        let estimated = estimated();
        let error = estimated.check("net-600", &points()).unwrap_err();
        let expected = "the moments are those of network net-500, expected net-600";
        assert_eq!(error.to_string(), expected);
        let mut other = points();
        other[1] = point(-0.34);
        let error = estimated.check("net-500", &other).unwrap_err();
        assert!(matches!(error, SampleError::MomentsOfAnotherSchedule { index: 1, .. }), "{error}");
        assert!(estimated.check("net-500", &other[..2]).is_err());
    }

    #[test]
    fn a_file_that_is_missing_damaged_or_of_another_version_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(MOMENTS_FILE);
        let load = || EstimatedMoments::load(&path, "net-500", &points());
        assert!(matches!(load(), Err(SampleError::MomentFile { .. })));
        fs::write(&path, "{\"format_version\": 1").unwrap();
        assert!(matches!(load(), Err(SampleError::MomentFile { .. })));
        EstimatedMoments { format_version: 2, ..estimated() }.save(&path).unwrap();
        assert!(matches!(load(), Err(SampleError::MomentFormat { got: 2, expected: 1, .. })));
    }

    #[test]
    fn a_failed_write_leaves_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("absent").join(MOMENTS_FILE);
        assert!(matches!(estimated().save(&path), Err(SampleError::MomentFile { .. })));
    }
}
