//! Every SDE of the crate, used over a stretch of time in which data and noise both count.

use tweedie_schedules::{Edm, SubVpLinear, VeGeometric, VpCosine, VpLinear};
use tweedie_sde::Sde;

/// The SDEs by name. The stretches run from almost clean to almost pure noise.
pub(crate) fn processes() -> Vec<(&'static str, Box<dyn Sde>)> {
    let vp = VpLinear::new(0.1, 20.0).unwrap().with_time_range(0.05, 0.9).unwrap();
    let cosine = VpCosine::default().with_time_range(0.1, 0.95).unwrap();
    let sub_vp = SubVpLinear::new(0.1, 20.0).unwrap().with_time_range(0.1, 0.9).unwrap();
    let ve = VeGeometric::new(0.01, 50.0).unwrap().with_time_range(0.3, 0.8).unwrap();
    let edm = Edm::new(0.1, 10.0).unwrap();
    vec![
        ("VP", Box::new(vp)),
        ("cosine", Box::new(cosine)),
        ("sub-VP", Box::new(sub_vp)),
        ("VE", Box::new(ve)),
        ("EDM", Box::new(edm)),
    ]
}
