//! Dormand-Prince 5(4): order 5 in 6 evaluations, the workhorse.
//!
//! Coefficients: Dormand and Prince 1980, table 2; the interpolant of order 4 is the best of
//! Shampine 1986, given by its value in the middle of the step.

use super::{DenseRows, ErrorWeights, Tableau};

impl Tableau {
    /// Order 5(4): 6 evaluations a step (Dormand and Prince 1980).
    pub const DORMAND_PRINCE: Self = Self {
        order: 5,
        error_order: 4,
        nodes: &[0.0, 1.0 / 5.0, 3.0 / 10.0, 4.0 / 5.0, 8.0 / 9.0, 1.0],
        stages: &STAGES,
        weights: &WEIGHTS,
        error: ErrorWeights::One(&ERROR),
        dense: DenseRows { nodes: &[], stages: &[], rows: &[&QUARTIC] },
    };

    /// The same method with the milder error estimate of Shampine 1986, two thirds of the original.
    pub const DORMAND_PRINCE_SHAMPINE: Self =
        Self { error: ErrorWeights::One(&MILD_ERROR), ..Self::DORMAND_PRINCE };
}

const STAGES: [&[f64]; 6] = [
    &[],
    &[1.0 / 5.0],
    &[3.0 / 40.0, 9.0 / 40.0],
    &[44.0 / 45.0, -56.0 / 15.0, 32.0 / 9.0],
    &[19372.0 / 6561.0, -25360.0 / 2187.0, 64448.0 / 6561.0, -212.0 / 729.0],
    &[9017.0 / 3168.0, -355.0 / 33.0, 46732.0 / 5247.0, 49.0 / 176.0, -5103.0 / 18656.0],
];

const WEIGHTS: [f64; 6] =
    [35.0 / 384.0, 0.0, 500.0 / 1113.0, 125.0 / 192.0, -2187.0 / 6784.0, 11.0 / 84.0];

const ERROR: [f64; 7] = [
    -71.0 / 57600.0,
    0.0,
    71.0 / 16695.0,
    -71.0 / 1920.0,
    17253.0 / 339_200.0,
    -22.0 / 525.0,
    1.0 / 40.0,
];

const MILD_ERROR: [f64; 7] = {
    let mut weights = ERROR;
    let mut stage = 0;
    while stage < 7 {
        weights[stage] *= 2.0 / 3.0;
        stage += 1;
    }
    weights
};

/// Twice the weights of the state in the middle of the step.
const TWICE_MIDDLE: [f64; 7] = [
    6_025_192_743.0 / 30_085_553_152.0,
    0.0,
    51_252_292_925.0 / 65_400_821_598.0,
    -2_691_868_925.0 / 45_128_329_728.0,
    187_940_372_067.0 / 1_594_534_317_056.0,
    -1_776_094_331.0 / 19_743_644_256.0,
    11_237_099.0 / 235_043_384.0,
];

/// 16 times what the middle of the step has beyond the cubic through its ends and slopes.
const QUARTIC: [f64; 7] = {
    let mut row = [0.0; 7];
    let mut stage = 0;
    while stage < 7 {
        let weight = if stage < 6 { WEIGHTS[stage] } else { 0.0 };
        row[stage] = 8.0 * (TWICE_MIDDLE[stage] - weight);
        stage += 1;
    }
    row[0] -= 2.0;
    row[6] += 2.0;
    row
};
