//! The noise levels of improved DDPM as Karras et al. 2022 sample it.

/// Relative noise `sigma / alpha` of the `steps` levels of improved DDPM's cosine table, noisiest
/// first, and 0 after them.
///
/// `offset` is that of the cosine (published: 0.008); the ratio of neighbouring `alpha_bar` is held
/// above `smallest_ratio` (published: 0.001).
#[must_use]
pub fn iddpm_sigmas(steps: usize, offset: f64, smallest_ratio: f64) -> Vec<f64> {
    let turned = |j: usize| 0.5 * std::f64::consts::PI * j as f64 / steps as f64 / (offset + 1.0);
    let alpha_bar = |j: usize| turned(j).sin().powi(2);
    let mut sigmas = vec![0.0_f64; steps + 1];
    for j in (1..=steps).rev() {
        // Karras et al. 2022, table 1, iDDPM, "Time steps"
        let ratio = (alpha_bar(j - 1) / alpha_bar(j)).max(smallest_ratio);
        sigmas[j - 1] = ((sigmas[j].powi(2) + 1.0) / ratio - 1.0).sqrt();
    }
    sigmas
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DiscreteTable, cosine_betas};

    #[test]
    fn the_levels_are_those_of_the_cosine_table_where_no_beta_is_cut() {
        // the table counts from clean to noisy, and its alpha_bar is 1 at step -1
        let sigmas = iddpm_sigmas(1000, 0.008, 1e-3);
        let table = DiscreteTable::from_betas(&cosine_betas(1000).unwrap()).unwrap();
        for index in 0..900 {
            let expected = (-table.node(index).unwrap().level.lambda()).exp();
            let got = sigmas[999 - index];
            assert!((got / expected - 1.0).abs() < 1e-9, "step {index}: {got}, {expected}");
        }
        assert_eq!(sigmas[1000], 0.0);
    }

    #[test]
    fn noise_falls_strictly() {
        assert!(iddpm_sigmas(100, 0.008, 1e-3).windows(2).all(|pair| pair[0] > pair[1]));
    }
}
