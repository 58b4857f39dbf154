//! The picture of a noise schedule: signal, noise, half log-SNR and SNR over time.

use crate::{Axis, Chart, Line, Picture, Style};
use tweedie_schedules::{NoiseLevel, NoiseSchedule};

/// Times at which a curve is drawn, evenly spread; as many again crowd towards both ends, where
/// lambda is steep.
const TIMES: usize = 400;

/// Above this noise of variance-exploding schedules is drawn on a logarithmic axis.
const LINEAR_SIGMA: f64 = 1.5;

/// Four charts over time: alpha, sigma, lambda and the SNR of each schedule, by name.
///
/// Time is that of the schedules when all end at nearly the same time, else a share of each one's
/// range, from its cleanest time to its noisiest. Levels without a finite lambda are left out where it would
/// be drawn.
#[must_use]
pub fn schedule_picture(schedules: &[(&str, &dyn NoiseSchedule)]) -> Picture {
    let curves: Vec<Curve> = schedules.iter().map(|(name, of)| Curve::new(name, *of)).collect();
    let latest = || curves.iter().map(|curve| curve.range.1);
    let ends_together =
        latest().fold(0.0, f64::max) < 1.05 * latest().fold(f64::INFINITY, f64::min);
    let time = if ends_together { "time t" } else { "share of the time range" };
    let noisiest = curves.iter().flat_map(Curve::sigmas).fold(0.0, f64::max);
    let sigma = match noisiest {
        high if high > LINEAR_SIGMA => Axis::log("noise σ"),
        _ => Axis::linear("noise σ").over(-0.02, 1.04),
    };
    let chart = |y: Axis, value: fn(NoiseLevel) -> f64| {
        let line = |(index, curve): (usize, &Curve)| {
            let points = curve.points.iter().map(|(t, level)| {
                (if ends_together { *t } else { curve.share(*t) }, value(*level))
            });
            let style = Style { width: 2.0, ..Style::of_series(index) };
            let line = Line::new(points.collect(), style);
            if curves.len() > 1 { line.named(&curve.name) } else { line }
        };
        Chart::new("", Axis::linear(time), y).with_all(curves.iter().enumerate().map(line))
    };
    let charts = vec![
        chart(Axis::linear("signal α").over(-0.02, 1.04), |level| level.alpha),
        chart(sigma, |level| level.sigma),
        chart(Axis::linear("λ = ln(α / σ)"), NoiseLevel::lambda),
        chart(Axis::log("SNR = α² / σ²"), NoiseLevel::snr),
    ];
    let title = match &curves[..] {
        [only] => only.name.clone(),
        _ => "Noise schedules".to_owned(),
    };
    Picture::new(title, charts).in_columns(2, 260)
}

/// A schedule at the times it is drawn at.
struct Curve {
    name: String,
    range: (f64, f64),
    points: Vec<(f64, NoiseLevel)>,
}

impl Curve {
    fn new(name: &str, schedule: &dyn NoiseSchedule) -> Self {
        let (clean, noisy) = schedule.time_range();
        let even = (0..=TIMES).map(|k| k as f64 / TIMES as f64);
        // u^2 (3 - 2u) is flat at both ends, and its square crowds further towards the clean one
        let crowded = (0..=TIMES).map(|k| {
            let u = k as f64 / TIMES as f64;
            (u * u * (3.0 - 2.0 * u)).powi(2)
        });
        let mut shares: Vec<f64> = even.chain(crowded).collect();
        shares.sort_by(f64::total_cmp);
        shares.dedup();
        let time = |share: f64| clean * (1.0 - share) + noisy * share;
        let point = |share| (time(share), schedule.level(time(share)));
        let points = shares.into_iter().map(point).collect();
        Self { name: name.to_owned(), range: (clean, noisy), points }
    }

    fn share(&self, t: f64) -> f64 {
        (t - self.range.0) / (self.range.1 - self.range.0)
    }

    fn sigmas(&self) -> impl Iterator<Item = f64> {
        self.points.iter().map(|(_, level)| level.sigma)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tweedie_schedules::DiscreteTable;

    #[test]
    fn one_schedule_gives_its_name_to_the_picture_and_several_to_the_legend() {
        let (linear, cosine) =
            (DiscreteTable::linear(1000, 1e-4, 0.02).unwrap(), DiscreteTable::cosine(10).unwrap());
        let alone = schedule_picture(&[("linear", &linear)]);
        assert_eq!((alone.title.as_str(), crate::legend::entries(&alone).len()), ("linear", 0));
        let both = schedule_picture(&[("linear", &linear), ("cosine", &cosine)]);
        assert_eq!(crate::legend::entries(&both).len(), 2);
    }
}
