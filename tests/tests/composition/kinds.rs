//! The schedules, and the grids of each.

use std::sync::Arc;

use tweedie_schedules::{
    DiscreteTable, Edm, NoiseSchedule, Spacing, SubVpLinear, TimeGrid, VeGeometric, VpCosine,
    VpLinear, cosine_betas,
};
use tweedie_sde::Sde;

const STEPS: usize = 8;

/// A schedule as an SDE, and its table where it has one.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) sde: Arc<dyn Sde>,
    pub(crate) table: Option<DiscreteTable>,
}

impl Kind {
    /// Whether the schedule's noisiest level is pure noise, with no lambda.
    pub(crate) fn ends_in_pure_noise(&self) -> bool {
        self.sde.level(self.sde.time_range().1).alpha == 0.0
    }
}

fn continuous(name: &'static str, sde: impl Sde + 'static) -> Kind {
    Kind { name, sde: Arc::new(sde), table: None }
}

fn discrete(name: &'static str, table: DiscreteTable) -> Kind {
    Kind { name, sde: Arc::new(table.clone()), table: Some(table) }
}

pub(crate) fn kinds() -> Vec<Kind> {
    let linear = DiscreteTable::linear(1000, 1e-4, 0.02).unwrap();
    let betas: Vec<f64> = cosine_betas(1000).unwrap();
    vec![
        continuous("vp linear", VpLinear::new(0.1, 20.0).unwrap()),
        continuous("vp cosine", VpCosine::default()),
        continuous("sub-vp", SubVpLinear::new(0.1, 20.0).unwrap()),
        continuous("ve", VeGeometric::new(0.01, 50.0).unwrap()),
        continuous("edm", Edm::new(0.002, 80.0).unwrap()),
        discrete("linear", linear.clone()),
        discrete("linear, zero terminal SNR", linear.rescaled_to_zero_snr().unwrap()),
        discrete("quadratic", DiscreteTable::quadratic(1000, 8.5e-4, 0.012).unwrap()),
        discrete("sigmoid", DiscreteTable::sigmoid(1000, 1e-4, 0.02).unwrap()),
        discrete("constant", DiscreteTable::constant(1000, 0.01).unwrap()),
        discrete("cosine", DiscreteTable::from_betas(&betas).unwrap()),
        discrete("jsd", DiscreteTable::jsd(200).unwrap()),
    ]
}

/// The grids of a schedule, by name; some end with the data, some before.
pub(crate) fn grids(kind: &Kind) -> Vec<(&'static str, TimeGrid)> {
    let schedule: &dyn NoiseSchedule = &kind.sde;
    let mut grids = Vec::new();
    if let Some(table) = &kind.table {
        for (name, spacing) in [
            ("trailing", Spacing::Trailing),
            ("leading", Spacing::Leading),
            ("linspace", Spacing::Linspace),
        ] {
            grids.push((name, TimeGrid::discrete(table, STEPS, spacing).unwrap().ending_clean()));
        }
        let ending_noisy = TimeGrid::discrete(table, STEPS, Spacing::Trailing).unwrap();
        grids.push(("trailing, ending noisy", ending_noisy));
    }
    grids.push(("time", TimeGrid::uniform_time(schedule, STEPS).unwrap().ending_clean()));
    if kind.ends_in_pure_noise() {
        // without a finite lambda at its end, grids in lambda are refused
        assert!(TimeGrid::uniform_lambda(schedule, STEPS).is_err());
        assert!(TimeGrid::karras(schedule, STEPS, 7.0).is_err());
        return grids;
    }
    grids.push(("karras", TimeGrid::karras(schedule, STEPS, 7.0).unwrap().ending_clean()));
    grids.push(("lambda", TimeGrid::uniform_lambda(schedule, STEPS).unwrap()));
    grids
}
