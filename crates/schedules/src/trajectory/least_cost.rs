//! The trajectory that loses the least likelihood, by dynamic programming.
//!
//! The bound on the likelihood of a chain with optimal variances is a sum of one cost a step, and the
//! cost of a step depends on its two ends alone (docs/derivations/analytic-dpm.md). So the best path
//! of `k` steps to a point is the best path of `k - 1` steps to some earlier point and one step more.

use crate::ScheduleError;

/// The `steps` of a discrete model of least total cost, noisiest first.
///
/// `betas` are those of the model, `moments[i]` the mean of `|eps_hat(x)|^2 / d` at step `i`. The
/// first and the last step are always visited.
///
/// A moment above 1 is an error of estimation, since the best prediction of the noise varies less
/// than the noise itself. From the first such step on, and for as long a stretch before it, the
/// costs are not trusted and the steps are spread evenly.
///
/// # Errors
/// When there is not one moment (finite, not negative) for each beta, a beta lies outside `(0, 1]`,
/// or no trajectory of `steps` steps exists.
///
/// # Cost
/// At most `2 N^3 / 27` additions (for `steps = N / 3`), and memory for `N^2` costs and
/// `N steps` indices: 10 MB for `N = 1000`.
pub fn least_cost(
    betas: &[f64],
    moments: &[f64],
    steps: usize,
) -> Result<Vec<usize>, ScheduleError> {
    check(betas, moments)?;
    let available = betas.len();
    let refused = ScheduleError::StepsOutOfRange { steps, available };
    let Some(split) = Split::of(moments, steps) else {
        return Err(refused);
    };
    let mut indices =
        cheapest(&Costs::new(&betas[..split.trusted], moments), split.chosen).ok_or(refused)?;
    indices.extend(split.tail(available, steps));
    indices.reverse();
    Ok(indices)
}

fn check(betas: &[f64], moments: &[f64]) -> Result<(), ScheduleError> {
    if betas.is_empty() {
        return Err(ScheduleError::EmptyTable);
    }
    if moments.len() != betas.len() {
        let (name, value) = ("number of moments", moments.len() as f64);
        let allowed = "one for each beta";
        return Err(ScheduleError::ParameterOutOfRange { name, value, allowed });
    }
    if let Some(index) = betas.iter().position(|beta| !(*beta > 0.0 && *beta <= 1.0)) {
        return Err(ScheduleError::BetaOutOfRange { index, value: betas[index] });
    }
    if let Some(value) = moments.iter().find(|moment| !(moment.is_finite() && **moment >= 0.0)) {
        let allowed = "a finite value from 0";
        return Err(ScheduleError::ParameterOutOfRange { name: "moment", value: *value, allowed });
    }
    Ok(())
}

/// How the steps are shared between the part whose costs are trusted and an even tail.
struct Split {
    /// Length of the trusted part.
    trusted: usize,
    /// Steps chosen in it by cost.
    chosen: usize,
}

impl Split {
    fn of(moments: &[f64], steps: usize) -> Option<Self> {
        let available = moments.len();
        let good = moments.iter().position(|moment| *moment > 1.0).unwrap_or(available);
        let tail = 2 * (available - good);
        let trusted = available.checked_sub(tail)?;
        if steps == 0 || steps > available {
            return None;
        }
        // the tail gets fewer steps than its share, but at least one
        let wanted = (1.0 - 0.8 * (tail as f64 / available as f64)) * steps as f64;
        let mut chosen = (wanted.ceil() as usize).min(trusted);
        if steps - chosen > tail {
            chosen = steps - tail;
        }
        if tail > 0 && chosen == steps {
            chosen = steps - 1;
        }
        Some(Self { trusted, chosen })
    }

    /// The evenly spread indices behind the trusted part, cleanest first.
    fn tail(&self, available: usize, steps: usize) -> impl Iterator<Item = usize> {
        let count = steps - self.chosen;
        let stride = (available - self.trusted) as f64 / count as f64;
        let position = move |k: usize| available as f64 - stride * k as f64;
        (0..count).rev().map(move |k| position(k).round_ties_even() as usize - 1)
    }
}

/// The costs of all steps from one index to a noisier one.
struct Costs {
    count: usize,
    /// Row by row: the costs from `s` to `s + 1`, `s + 2`, ...
    rows: Vec<Vec<f64>>,
}

impl Costs {
    /// `ln(1 - beta_(r|s) Gamma_r)` for a step from `s` to `r`, where `Gamma` is the second moment of
    /// the score. // Bao et al. 2022, sec. 4
    ///
    /// # Precision
    /// Where the moments are 1 the costs of all paths are equal, and rounding chooses. The order of
    /// operations is that of the published code, so that it chooses the same path.
    fn new(betas: &[f64], moments: &[f64]) -> Self {
        let count = betas.len();
        let product = |kept: &mut f64, beta: &f64| {
            *kept *= 1.0 - beta;
            Some(*kept)
        };
        let alpha_bars = betas.iter().scan(1.0, product);
        let gammas: Vec<f64> =
            alpha_bars.zip(moments).map(|(alpha_bar, moment)| moment / (1.0 - alpha_bar)).collect();
        let row = |s: usize| -> Vec<f64> {
            let kept = betas[s + 1..].iter().scan(1.0, product);
            // a step that forgets everything would cost minus infinity, whatever the other steps are
            let cost =
                |(kept, gamma): (f64, &f64)| (1.0 - (1.0 - kept) * gamma).max(f64::MIN_POSITIVE);
            kept.zip(&gammas[s + 1..]).map(|pair| cost(pair).ln()).collect()
        };
        Self { count, rows: (0..count).map(row).collect() }
    }
}

/// The cheapest path of `steps` points from index 0 to the last, cleanest first.
fn cheapest(costs: &Costs, steps: usize) -> Option<Vec<usize>> {
    let count = costs.count;
    if steps == count {
        return Some((0..count).collect());
    }
    if steps < 2 || steps > count {
        return None;
    }
    // The cheapest way to each index in `k` points. An index is of use only if it leaves room for the
    // points that follow, so index `i` is among the `slack + 1` ones from `k - 1` on.
    let slack = count - steps;
    let mut best = costs.rows[0][..=slack].to_vec();
    let mut sources = Vec::with_capacity(steps - 2);
    for k in 3..=steps {
        let (total, source) = extended(costs, &best, k, slack);
        best = total;
        sources.push(source);
    }
    let mut path = vec![count - 1];
    for (level, source) in sources.iter().enumerate().rev() {
        let index = path[path.len() - 1];
        path.push(source[index - (level + 2)] as usize);
    }
    path.push(0);
    path.reverse();
    Some(path)
}

/// One point more: the least cost to each of the indices from `k - 1` on, and where it comes from.
fn extended(costs: &Costs, best: &[f64], k: usize, slack: usize) -> (Vec<f64>, Vec<u32>) {
    let mut total = vec![f64::INFINITY; slack + 1];
    let mut source = vec![0; slack + 1];
    for (offset, so_far) in best.iter().enumerate() {
        let s = k - 2 + offset;
        let reached = total[offset..].iter_mut().zip(&mut source[offset..]);
        for ((total, source), cost) in reached.zip(&costs.rows[s]) {
            let sum = so_far + cost;
            // of equal costs the first counts
            if sum < *total {
                (*total, *source) = (sum, s as u32);
            }
        }
    }
    (total, source)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linear_betas;

    fn betas(count: usize) -> Vec<f64> {
        linear_betas(count, 0.1 / count as f64, (20.0 / count as f64).min(0.5)).unwrap()
    }

    /// Exact moments of normal data that is wide in half of its directions and narrow in the others.
    fn moments(betas: &[f64]) -> Vec<f64> {
        let of = |variance: f64, bar: f64| (1.0 - bar) / (variance * bar + 1.0 - bar);
        let product = |kept: &mut f64, beta: &f64| {
            *kept *= 1.0 - beta;
            Some(*kept)
        };
        let alpha_bars = betas.iter().scan(1.0, product);
        alpha_bars.map(|bar| 0.5 * (of(0.5, bar) + of(0.002, bar))).collect()
    }

    fn cost(costs: &Costs, path: &[usize]) -> f64 {
        path.windows(2).map(|pair| costs.rows[pair[0]][pair[1] - pair[0] - 1]).sum()
    }

    /// All paths of `steps` points from 0 to `count - 1`.
    fn paths(count: usize, steps: usize) -> Vec<Vec<usize>> {
        let mut paths = vec![vec![0]];
        for point in 1..steps {
            let room = count - (steps - point);
            let longer = |path: &Vec<usize>| -> Vec<Vec<usize>> {
                let from = if point + 1 == steps { count - 1 } else { path[point - 1] + 1 };
                (from..=room).map(|next| [path.as_slice(), &[next]].concat()).collect()
            };
            paths = paths.iter().flat_map(longer).collect();
        }
        paths
    }

    #[test]
    fn no_path_is_cheaper_than_the_one_found() {
        let betas = betas(12);
        let moments = moments(&betas);
        let costs = Costs::new(&betas, &moments);
        for steps in 2..=12 {
            let mut found = least_cost(&betas, &moments, steps).unwrap();
            found.reverse();
            let all = paths(12, steps);
            assert!(all.contains(&found), "{found:?}");
            let least = all.iter().map(|path| cost(&costs, path)).fold(f64::INFINITY, f64::min);
            assert!(cost(&costs, &found) < least + 1e-12, "{steps} steps: {found:?}");
            let even: Vec<_> = (0..steps).map(|k| k * 11 / (steps - 1)).collect();
            let gain = cost(&costs, &even) - cost(&costs, &found);
            assert!(gain > 0.01 || !(3..10).contains(&steps), "{steps} steps gain {gain}");
        }
    }

    #[test]
    fn for_normal_data_every_path_costs_the_same() {
        // each step is exact, so nothing can be lost: 1 - beta Gamma is (alpha_r / alpha_s)^2 V_s / V_r
        let betas = betas(100);
        let bar = |last: usize| betas[..=last].iter().map(|beta| 1.0 - beta).product::<f64>();
        let variance = |bar: f64| 0.25 * bar + 1.0 - bar;
        let normal: Vec<_> = (0..100).map(|i| (1.0 - bar(i)) / variance(bar(i))).collect();
        let costs = Costs::new(&betas, &normal);
        let expected = (bar(99) / bar(0) * variance(bar(0)) / variance(bar(99))).ln();
        for path in [&[0, 99][..], &[0, 1, 99], &[0, 10, 40, 60, 99]] {
            assert!((cost(&costs, path) - expected).abs() < 1e-9, "{path:?}");
        }
    }

    #[test]
    fn a_moment_above_one_splits_off_an_even_tail() {
        let betas = betas(100);
        let mut moments = moments(&betas);
        moments[94..].fill(1.0005); // the last 6 steps: a tail of 12
        let path = least_cost(&betas, &moments, 40).unwrap();
        assert_eq!(path[..4], [99, 95, 91, 87]);
        assert_eq!((path.len(), path[39]), (40, 0));
        assert!(path.windows(2).all(|pair| pair[0] > pair[1]));
    }

    #[test]
    fn a_thousand_steps_are_planned_in_full() {
        let betas = betas(1000);
        let moments = moments(&betas);
        for steps in [2, 333, 999, 1000] {
            let path = least_cost(&betas, &moments, steps).unwrap();
            assert_eq!((path.len(), path[0], path[steps - 1]), (steps, 999, 0));
        }
    }

    #[test]
    fn a_last_step_that_forgets_everything_is_planned() {
        let mut betas = betas(50);
        betas[49] = 1.0;
        let mut moments = moments(&betas);
        moments[49] = 1.0;
        let path = least_cost(&betas, &moments, 10).unwrap();
        assert_eq!((path.len(), path[0], path[9]), (10, 49, 0));
    }

    #[test]
    fn impossible_requests_are_refused() {
        let betas = betas(20);
        let moments = moments(&betas);
        for steps in [0, 1, 21] {
            assert!(least_cost(&betas, &moments, steps).is_err(), "{steps}");
        }
        assert!(least_cost(&betas, &moments[1..], 5).is_err());
        assert!(least_cost(&[], &[], 1).is_err());
        assert!(least_cost(&betas, &[f64::NAN; 20], 5).is_err());
        // more than half is not trusted: nothing is left to choose from
        assert!(least_cost(&betas, &[1.5; 20], 5).is_err());
    }
}
