//! What training objectives look at: the weight of likelihood training, and where each loss is spent.

use anyhow::Result;
use std::f64::consts::TAU;
use tweedie_losses::{ImportanceTime, TimeSampler, Weighting};
use tweedie_plots::{Axis, Chart, Line, Picture, Style};
use tweedie_schedules::{Edm, Prediction, SubVpLinear, TimePoint, VeGeometric, VpCosine, VpLinear};
use tweedie_sde::Sde;

/// The cleanest time that is drawn in training.
const EARLIEST: f64 = 1e-5;

/// Half log-SNRs that are shown, noise on the left.
const LAMBDAS: (f64, f64) = (-5.0, 6.0);

/// Points of a curve.
type Points = Vec<(f64, f64)>;

/// The weight on the error of the noise over time, and the share of the draws before each time.
pub(crate) fn likelihood_weighting() -> Result<Picture> {
    let vp = VpLinear::new(0.1, 20.0)?.with_time_range(EARLIEST, 1.0)?;
    let sub_vp = SubVpLinear::new(0.1, 20.0)?.with_time_range(EARLIEST, 1.0)?;
    let ve = VeGeometric::new(0.01, 50.0)?.with_time_range(EARLIEST, 1.0)?;
    let curves = [
        ("VP", weight_and_draws(vp)?),
        ("sub-VP", weight_and_draws(sub_vp)?),
        ("VE", weight_and_draws(ve)?),
    ];
    let time = || Axis::log("time t").over(EARLIEST, 1.0);
    let mut weight = Chart::new("", time(), Axis::log("weight g² / σ²"));
    let mut draws = Chart::new("", time(), Axis::linear("share of the draws before t"));
    for (index, (name, (weights, shares))) in curves.into_iter().enumerate() {
        weight = weight.with(Line::new(weights, style(index)).named(name));
        draws = draws.with(Line::new(shares, style(index)).named(name));
    }
    Ok(Picture::new("Likelihood weighting, and the times drawn for it", vec![weight, draws])
        .in_columns(2, 330))
}

fn weight_and_draws(sde: impl Sde + Copy + std::fmt::Debug) -> Result<(Points, Points)> {
    let time = |k: i32| (EARLIEST.ln() * (1.0 - f64::from(k) / 200.0)).exp();
    let weight = |t| (t, Weighting::Likelihood.weight(Prediction::Noise, sde.point(t), &sde));
    let sampler = ImportanceTime::new(sde, EARLIEST, 1.0)?;
    let shares: Vec<f64> = (0..400).map(|k| f64::from(k) / 400.0).collect();
    let drawn = sampler.draw(&shares).into_iter().map(|drawn| drawn.t);
    Ok(((0..=200).map(time).map(weight).collect(), drawn.zip(shares.clone()).collect()))
}

/// How much of each loss is spent at which signal-to-noise ratio.
pub(crate) fn spent() -> Result<Picture> {
    let (linear, cosine) = (VpLinear::new(0.1, 20.0)?, VpCosine::default());
    let edm = Edm::new(0.002, 80.0)?;
    let log_normal = |at: TimePoint| {
        let z = (at.level.sigma.ln() + 1.2) / 1.2; // Karras et al. 2022, table 1
        (-0.5 * z * z).exp() / (1.2 * TAU.sqrt())
    };
    let curves = [
        ("plain, linear β", over_times(&linear, Weighting::SIGMA)),
        ("plain, cosine", over_times(&cosine, Weighting::SIGMA)),
        ("min-SNR 5, cosine", over_times(&cosine, Weighting::min_snr(5.0)?)),
        ("EDM", over_lambda(&edm, |at| log_normal(at) * on_noise(&edm, Weighting::Of(EDM), at))),
        ("likelihood, plain VE", over_times(&linear, Weighting::Likelihood)),
    ];
    let axes = (Axis::linear("λ = ln(α / σ)"), Axis::linear("share of the loss"));
    let chart = Chart::new("", axes.0.over(LAMBDAS.0, LAMBDAS.1), axes.1.over(0.0, 0.45));
    let lines = curves.into_iter().enumerate();
    let lines = lines.map(|(index, (name, points))| Line::new(points, style(index)).named(name));
    Ok(Picture::new(
        "Where each loss is spent: noise on the left, data on the right",
        vec![chart.with_all(lines)],
    )
    .in_columns(1, 400))
}

/// EDM's network output for data of deviation 0.5.
const EDM: Prediction = Prediction::EdmF { sigma_data: 0.5 };

fn on_noise(sde: &dyn Sde, weighting: Weighting, at: TimePoint) -> f64 {
    weighting.weight(Prediction::Noise, at, sde)
}

/// The share of a loss whose times are uniform: its weight by the density that they have in lambda.
fn over_times(sde: &dyn Sde, weighting: Weighting) -> Points {
    over_lambda(sde, |at| {
        let fall = 0.5 * sde.diffusion_squared(at.t) / at.level.sigma.powi(2); // -d lambda / dt
        on_noise(sde, weighting, at) / fall
    })
}

/// A curve over lambda with an area of one.
fn over_lambda(sde: &dyn Sde, share: impl Fn(TimePoint) -> f64) -> Points {
    let count = 440;
    let step = (LAMBDAS.1 - LAMBDAS.0) / f64::from(count);
    let lambda = |k: i32| LAMBDAS.0 + step * (f64::from(k) + 0.5);
    let at = |lambda| (lambda, share(sde.point(sde.time_at_lambda(lambda))));
    let points: Points = (0..count).map(lambda).map(at).collect();
    let area: f64 = points.iter().map(|point| step * point.1).sum();
    points.into_iter().map(|(lambda, share)| (lambda, share / area)).collect()
}

fn style(index: usize) -> Style {
    Style { width: 2.0, ..Style::of_series(index) }
}
