//! Predictors of the reverse family without a corrector: order of the flow, moments of the SDE.

use ndarray::{ArrayD, IxDyn, arr1};
use tweedie_closed_form::{Coordinate, ExactScore, Mixture, Part};
use tweedie_samplers::{EulerMaruyama, OneStep, Predictor, ReverseDiffusion, sample};
use tweedie_schedules::{
    Edm, NoiseLevel, Prediction, SubVpLinear, TimeGrid, VeGeometric, VpCosine, VpLinear,
};
use tweedie_score::{NoiseSource, Replay, Seeded};
use tweedie_sde::{Exact, Sde};

type State = ArrayD<f64>;

/// The SDEs, used from almost clean to almost pure noise.
fn sdes() -> Vec<(&'static str, Box<dyn Sde>)> {
    let ve = VeGeometric::new(0.01, 50.0).unwrap().with_time_range(0.2, 0.9).unwrap();
    vec![
        ("VP", Box::new(VpLinear::new(0.1, 20.0).unwrap().with_time_range(0.01, 1.0).unwrap())),
        ("cosine", Box::new(VpCosine::default().with_time_range(0.02, 0.98).unwrap())),
        (
            "sub-VP",
            Box::new(SubVpLinear::new(0.1, 20.0).unwrap().with_time_range(0.05, 1.0).unwrap()),
        ),
        ("VE", Box::new(ve)),
        ("EDM", Box::new(Edm::new(0.05, 20.0).unwrap())),
    ]
}

fn predictors(sde: &dyn Sde, eta: f64) -> [(&'static str, Box<dyn Predictor + '_>); 2] {
    [
        ("Euler-Maruyama", Box::new(EulerMaruyama::new(sde, eta).unwrap())),
        ("reverse diffusion", Box::new(ReverseDiffusion::new(Exact, eta).unwrap())),
    ]
}

/// A mixture of two normals on the line, and the network that knows its score.
fn mixture() -> ExactScore {
    let part = |weight, mean, deviation| Part { weight, mean: vec![mean], deviation };
    let data = Mixture::new(vec![part(0.3, -0.8, 0.2), part(0.7, 0.6, 0.3)]).unwrap();
    ExactScore::new(data, Prediction::Noise)
}

/// The first and the last level of a grid.
fn ends(grid: &TimeGrid) -> (NoiseLevel, NoiseLevel) {
    (grid.start().level, grid.intervals()[grid.len() - 1].to.level)
}

#[test]
fn the_flow_carries_quantiles_of_a_mixture_to_quantiles_at_first_order() {
    let network = mixture();
    let states = |level| network.data().at(level).coordinate(0);
    for (sde_name, sde) in sdes() {
        for (name, predictor) in predictors(sde.as_ref(), 0.0) {
            let solver = OneStep(predictor);
            for share in [0.05, 0.8] {
                let errors = [256, 512, 1024, 2048].map(|steps| {
                    let grid = TimeGrid::uniform_lambda(sde.as_ref(), steps).unwrap();
                    let (noisy, clean) = ends(&grid);
                    let start = arr1(&[states(noisy).quantile(share)]).into_dyn();
                    let end = sample(&solver, &network, &grid, start, &mut Replay::new([]));
                    (end.unwrap()[0] - states(clean).quantile(share)).abs()
                });
                for pair in errors.windows(2) {
                    let order = (pair[0] / pair[1]).log2();
                    let found = format!("{sde_name}, {name}: order {order}, errors {errors:?}");
                    assert!((order - 1.0).abs() < 0.15, "{found}");
                }
            }
        }
    }
}

/// Holds mean and variance to 4 standard errors, and to one part in a hundred of the deviation and of
/// the variance beside: the bias of 400 steps.
#[track_caller]
fn check_moments(name: &str, x: &State, states: &Coordinate) {
    let (mean, variance, fourth) = (states.mean(), states.variance(), states.central_moment(4));
    let measured = x.mean().unwrap();
    let spread = x.mapv(|x| (x - measured).powi(2)).mean().unwrap();
    let root = (x.len() as f64).sqrt();
    let off = (measured - mean).abs();
    assert!(off < 4.0 * variance.sqrt() / root + 0.01 * variance.sqrt(), "{name}: mean off {off}");
    let (off, deviation) = ((spread - variance).abs(), (fourth - variance.powi(2)).sqrt());
    assert!(off < 4.0 * deviation / root + 0.01 * variance, "{name}: variance off {off}");
}

#[test]
fn every_member_of_the_family_reaches_the_moments_of_a_mixture() {
    let network = mixture();
    let states = |level| network.data().at(level).coordinate(0);
    for eta in [0.5, 1.0, 1.3] {
        for (sde_name, sde) in sdes() {
            let grid = TimeGrid::uniform_lambda(sde.as_ref(), 400).unwrap();
            let (noisy, clean) = ends(&grid);
            for (name, predictor) in predictors(sde.as_ref(), eta) {
                let mut noise = Seeded::new(1);
                let z: State = noise.normal_like(&ArrayD::zeros(IxDyn(&[1, 2000]))).unwrap();
                let start = states(noisy);
                let x = z.mapv(|z| start.mean() + z * start.variance().sqrt());
                let x = sample(&OneStep(predictor), &network, &grid, x, &mut noise).unwrap();
                check_moments(&format!("{sde_name}, {name}, eta {eta}"), &x, &states(clean));
            }
        }
    }
}
