//! How a state is scaled before a network sees it.

use tweedie_schedules::NoiseLevel;

/// The factor between a state and what the network takes: a property of its checkpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum InputScaling {
    /// The state as it is.
    #[default]
    None,
    /// Divided by the deviation that states of the level have when data has deviation `sigma_data`, so
    /// that states of any size enter with unit variance.
    UnitVariance {
        /// Standard deviation of the data.
        sigma_data: f64,
    },
}

impl InputScaling {
    /// The factor at a level.
    #[must_use]
    pub fn at(self, level: NoiseLevel) -> f64 {
        match self {
            Self::None => 1.0,
            // Karras et al. 2022, table 1, c_in, at any alpha
            Self::UnitVariance { sigma_data } => {
                (level.alpha * sigma_data).hypot(level.sigma).recip()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scaled_states_have_unit_variance() {
        let scaling = InputScaling::UnitVariance { sigma_data: 0.5 };
        for (alpha, sigma) in [(1.0, 80.0), (1.0, 0.002), (0.3, 0.9)] {
            let factor = scaling.at(NoiseLevel { alpha, sigma });
            let variance = (alpha * 0.5_f64).powi(2) + sigma.powi(2);
            assert!((factor * factor * variance - 1.0).abs() < 1e-14);
        }
        assert_eq!(InputScaling::None.at(NoiseLevel { alpha: 1.0, sigma: 80.0 }), 1.0);
    }
}
