//! `[objective]`: what the network is asked for, and how its error is counted.

use serde::{Deserialize, Serialize};

/// `[objective]`: what the network is asked for, and how its error is counted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ObjectiveConfig {
    /// What the network returns.
    pub prediction: PredictionKind,
    /// Standard deviation of the data that EDM's scalings are made for: of prediction "edm", and of
    /// the input where noise explodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sigma_data: Option<f64>,
    /// The distance to what it should return.
    pub loss: DistanceKind,
    /// Error at which the Huber loss turns from square to line.
    pub huber_delta: f64,
}

impl Default for ObjectiveConfig {
    fn default() -> Self {
        Self {
            prediction: PredictionKind::Noise,
            sigma_data: None,
            loss: DistanceKind::Mse,
            huber_delta: 1.0,
        }
    }
}

/// What a network is trained to return.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PredictionKind {
    /// The noise `eps`.
    Noise,
    /// The data `x0`.
    Data,
    /// The velocity `alpha eps - sigma x0`.
    Velocity,
    /// EDM's `F`, a mixture of data and noise that has unit variance at every level.
    Edm,
}

/// A distance between prediction and target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DistanceKind {
    /// The square.
    Mse,
    /// The absolute value.
    L1,
    /// The square near zero, a line beyond `huber_delta`.
    Huber,
}
