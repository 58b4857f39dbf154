//! Which methods are compared on what, and the rows of the tables.

use crate::methods::{By, Steps, Way};
use crate::problem::Problem;
use anyhow::Result;

/// Numbers of noise levels.
pub(crate) const LEVELS: [usize; 4] = [30, 60, 120, 240];

/// The problems, each with a table of its own.
pub(crate) fn problems() -> Result<Vec<Problem>> {
    Ok(vec![Problem::mask()?, Problem::grey()?, Problem::boxes()?, Problem::noisy()?])
}

/// The methods, each with a row.
pub(crate) fn ways() -> Vec<Way> {
    let mut ways = Vec::new();
    for by in [By::ExactScore, By::Jacobian, By::Isotropic, By::Projection] {
        for steps in [Steps::Ancestral, Steps::Ddim, Steps::Multistep] {
            ways.push(Way { by, steps });
        }
    }
    ways.push(Way { by: By::Ddrm, steps: Steps::Ancestral });
    let replaced = [(0, 1), (1, 1), (4, 1), (16, 1), (64, 1), (0, 4), (0, 12), (0, 40), (4, 4)];
    ways.extend(replaced.map(|(corrections, walks)| Way::replacement(corrections, walks)));
    ways.push(Way { by: By::Published { iterations: 16 }, steps: Steps::Ancestral });
    ways
}

/// The first cell of a method's row.
pub(crate) fn title(way: Way) -> String {
    format!("| {} |", way.name())
}
