//! Cases of PNDM.

use anyhow::{Result, bail};
use tweedie_schedules::{DiscreteTable, Interval, NoiseLevel, TimeGrid, TimePoint};
use tweedie_solvers_dpm::{HalfWay, Pndm};

use super::solved::{self, Watched};
use super::visited::by_diffusers;
use crate::parity::{Case, Produced};

/// Runs a case.
pub(super) fn run(case: &Case) -> Result<Produced> {
    let levels = Levels::of(case)?;
    let times: Vec<i64> = by_diffusers(case)?.into_iter().map(|index| index as i64).collect();
    let stride = (levels.table.len() / case.steps()?) as i64;
    let runge_kutta = !case.options().bool_or("skip_prk_steps", false)?;
    let interval = |k: usize| {
        // steps go a stride down, whatever the next time; Runge-Kutta steps go to the next time
        let to = if runge_kutta && k < 3 { times[k + 1] } else { times[k] - stride };
        Interval { from: levels.at(times[k]), to: levels.at(to) }
    };
    if runge_kutta && times.len() < 4 {
        bail!("a Runge-Kutta start takes at least 4 steps");
    }
    let grid = TimeGrid::from_intervals((0..times.len()).map(interval).collect())?;
    let solver = if runge_kutta {
        Pndm::with_runge_kutta(|interval| HalfWay {
            landed: levels.at(interval.from.t as i64 - stride / 2),
            called: levels.at(interval.to.t as i64 + stride / 2),
        })
    } else if let Some(second) = times.get(1) {
        let again = Interval { from: levels.at(second + stride), to: levels.at(*second) };
        Pndm::starting_again_over(again)
    } else {
        Pndm::new()
    };
    let model = case.model()?;
    let watched = Watched::new(&model);
    let solver = solver.averaging(case.prediction()?);
    let end = solved::states(case, &solver, &watched, &grid)?;
    // the peer shows the state after each evaluation: what the next one sees, and the end
    let mut states = watched.into_seen();
    states.remove(0);
    states.extend(end.last().cloned());
    Ok(solved::produced(states, model.evaluations()))
}

/// The levels of a table by index; below 0 stands the end of the run.
struct Levels {
    table: DiscreteTable,
    end: NoiseLevel,
}

impl Levels {
    fn of(case: &Case) -> Result<Self> {
        let table = case.schedule.table()?;
        let to_one = case.options().bool_or("set_alpha_to_one", false)?;
        let end = if to_one { NoiseLevel::CLEAN } else { table.node(0)?.level };
        Ok(Self { table, end })
    }

    /// The level of an index, which serves as its time.
    fn at(&self, index: i64) -> TimePoint {
        let node = usize::try_from(index).ok().and_then(|index| self.table.node(index).ok());
        TimePoint { t: index as f64, level: node.map_or(self.end, |node| node.level) }
    }
}
