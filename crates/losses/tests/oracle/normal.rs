//! Normal data under the forward process: what is known of it at every noise level.

use crate::nodes::{column, nodes};
use ndarray::ArrayD;
use tweedie_schedules::{NoiseLevel, Prediction};

/// One value, normally distributed.
#[derive(Clone, Copy)]
pub(crate) struct NormalData {
    pub(crate) mean: f64,
    pub(crate) deviation: f64,
}

/// Data and noise as two independent variables: the state in units of its deviation, and what is left.
pub(crate) struct Cases {
    pub(crate) x0: ArrayD<f64>,
    pub(crate) eps: ArrayD<f64>,
    /// The state less its mean, in units of its deviation.
    pub(crate) state: Vec<f64>,
    pub(crate) weights: Vec<f64>,
}

impl NormalData {
    /// The deviation of the state.
    fn spread(self, level: NoiseLevel) -> f64 {
        (level.alpha * self.deviation).hypot(level.sigma)
    }

    /// All nodes of state and rest at a level, one sample each.
    pub(crate) fn cases(self, level: NoiseLevel) -> Cases {
        let (spread, d) = (self.spread(level), self.deviation);
        let NoiseLevel { alpha, sigma } = level;
        let mut cases = Cases {
            x0: ArrayD::zeros(vec![0]),
            eps: ArrayD::zeros(vec![0]),
            state: Vec::new(),
            weights: Vec::new(),
        };
        let (mut x0, mut eps) = (Vec::new(), Vec::new());
        for (state, of_state) in nodes(0.6) {
            for (rest, of_rest) in nodes(0.6) {
                x0.push(self.mean + d * (alpha * d * state + sigma * rest) / spread);
                eps.push((sigma * state - alpha * d * rest) / spread);
                cases.state.push(state);
                cases.weights.push(of_state * of_rest);
            }
        }
        cases.x0 = column(x0);
        cases.eps = column(eps);
        cases
    }

    /// What a perfect network returns, `E[target | x] = offset + slope state`, and the deviation of the
    /// target around it.
    pub(crate) fn best(self, prediction: Prediction, level: NoiseLevel) -> Best {
        let (spread, d) = (self.spread(level), self.deviation);
        let NoiseLevel { alpha, sigma } = level;
        let (of_x0, of_eps) = prediction.target(level);
        Best {
            offset: of_x0 * self.mean,
            slope: (of_x0 * alpha * d * d + of_eps * sigma) / spread,
            deviation: (d * (of_x0 * sigma - of_eps * alpha) / spread).abs(),
        }
    }
}

/// The best linear answer.
#[derive(Clone, Copy)]
pub(crate) struct Best {
    pub(crate) offset: f64,
    pub(crate) slope: f64,
    pub(crate) deviation: f64,
}
