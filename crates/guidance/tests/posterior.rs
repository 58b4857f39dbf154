//! How far the methods for linear inverse problems are from the posterior, on normal data with the exact
//! score; what docs/posterior.md says of it.

#[path = "../examples/posterior/methods.rs"]
mod methods;
#[path = "../examples/posterior/problem.rs"]
mod problem;
#[path = "../examples/posterior/table.rs"]
mod table;

use methods::{By, Steps, Way};
use problem::{Off, Problem, State, grid};
use tweedie_guidance::{PosteriorGuided, Spread};
use tweedie_samplers::{Ancestral, OneStep, ProbabilityFlow, RungeKutta, Solver, sample};
use tweedie_schedules::{NoiseSchedule, VpLinear};
use tweedie_score::{ScoreFn, Seeded};
use tweedie_solvers_dpm::{Multistep, Order};

const PAGE: &str = include_str!("../../../docs/posterior.md");

fn off(problem: &Problem, way: Way, levels: usize) -> Off {
    let grid = grid(levels).unwrap();
    let off =
        if way.remembers() { problem.run_through(&way, &grid) } else { problem.run(&way, &grid) };
    off.unwrap()
}

fn ancestral(by: By) -> Way {
    Way { by, steps: Steps::Ancestral }
}

#[test]
fn the_tables_of_the_page_are_what_the_methods_give() {
    for problem in table::problems().unwrap() {
        let section =
            PAGE.split("\n### ").find(|section| section.starts_with(problem.name)).unwrap();
        for way in table::ways() {
            let title = table::title(way);
            let row = section.lines().find(|line| line.starts_with(&title)).expect(&title);
            let cells: Vec<_> = row[title.len()..].split('|').map(str::trim).collect();
            // the columns of more levels take minutes
            let (mean, covariance) = cells[0].split_once(", ").unwrap();
            let got = off(&problem, way, table::LEVELS[0]);
            for (got, said) in [(got.mean, mean), (got.covariance, covariance)] {
                let said: f64 = said.parse().unwrap();
                assert!((got - said).abs() < 6e-4, "{}: {title} {got} not {said}", problem.name);
            }
        }
    }
}

#[test]
fn the_bias_of_replacement_shrinks_with_corrections_and_with_walks() {
    for problem in table::problems().unwrap() {
        let mean = |corrections, walks, levels| {
            off(&problem, Way::replacement(corrections, walks), levels).mean
        };
        let by_corrections = [0, 1, 4, 16, 64].map(|corrections| mean(corrections, 1, 60));
        let of_short_steps = [0, 1, 4, 16].map(|corrections| mean(corrections, 1, 120));
        let by_walks = [1, 2, 4, 12].map(|walks| mean(0, walks, 30));
        for means in [&by_corrections[..], &of_short_steps, &by_walks] {
            for pair in means.windows(2) {
                assert!(pair[1] < pair[0], "{}: {means:?}", problem.name);
            }
            let (first, last) = (means[0], means[means.len() - 1]);
            assert!(last < 0.5 * first, "{}: {means:?}", problem.name);
        }
        assert!(by_corrections[4] < 0.05 * by_corrections[0], "{}", problem.name);
    }
}

/// The iterations of one corrector follow the known part as it moves away from the measurement.
#[test]
fn what_is_known_is_to_be_put_back_after_each_correction() {
    for problem in [Problem::mask().unwrap(), Problem::noisy().unwrap()] {
        let each = off(&problem, Way::replacement(16, 1), 60).mean;
        let all_at_once = Way { by: By::Published { iterations: 16 }, steps: Steps::Ancestral };
        assert!(each < 0.6 * off(&problem, all_at_once, 60).mean, "{}", problem.name);
    }
}

/// Midway between two levels the measurement's noise leaves a bias that no correction takes away.
#[test]
fn a_level_at_the_noise_of_the_measurement_takes_the_last_of_the_bias_away() {
    let problem = Problem::noisy().unwrap();
    let way = Way::replacement(16, 1);
    let schedule = VpLinear::new(0.1, 20.0).unwrap();
    let known = problem.measurement(1).unwrap();
    let met = known.meeting(&grid(30).unwrap(), &schedule).unwrap();
    let (without, with) = (off(&problem, way, 30).mean, problem.run(&way, &met).unwrap().mean);
    assert!(without > 0.04 && with < 0.5 * without, "{without} {with}");
}

#[test]
fn more_levels_alone_do_not_take_the_bias_away_but_more_time_at_each_does() {
    let problem = Problem::mask().unwrap();
    for by in [By::Projection, By::Replacement { corrections: 0, walks: 1 }] {
        let (few, many) = (off(&problem, ancestral(by), 30), off(&problem, ancestral(by), 240));
        assert!(many.mean > 0.1 && many.mean > 0.8 * few.mean, "{by:?}: {few:?}, {many:?}");
    }
    let corrected = |levels| off(&problem, Way::replacement(4, 1), levels);
    let (few, many) = (corrected(30), corrected(240));
    assert!(many.mean < 0.3 * few.mean && many.covariance < 0.5 * few.covariance);
}

/// The floor of all others: what long steps leave of the covariance falls as they get shorter.
#[test]
fn the_score_of_the_posterior_has_the_error_of_its_steps_alone() {
    for problem in table::problems().unwrap() {
        let offs = [60, 120, 240].map(|levels| off(&problem, ancestral(By::ExactScore), levels));
        assert!(offs.iter().all(|off| off.mean < 1e-4), "{offs:?}");
        for pair in offs.windows(2) {
            let ratio = pair[0].covariance / pair[1].covariance;
            assert!((1.6..2.4).contains(&ratio), "{}: {offs:?}", problem.name);
        }
        let second_order = off(&problem, Way { by: By::ExactScore, steps: Steps::Multistep }, 30);
        assert!(second_order.covariance < 0.01, "{}: {second_order:?}", problem.name);
    }
}

#[test]
fn guidance_by_the_jacobian_is_the_score_of_the_posterior() {
    for problem in table::problems().unwrap() {
        for steps in [Steps::Ancestral, Steps::Ddim, Steps::Multistep] {
            let (exact, guided) =
                (Way { by: By::ExactScore, steps }, Way { by: By::Jacobian, steps });
            let (exact, guided) = (off(&problem, exact, 30), off(&problem, guided, 30));
            assert!((exact.mean - guided.mean).abs() < 1e-8, "{}", problem.name);
            assert!((exact.covariance - guided.covariance).abs() < 1e-8, "{}", problem.name);
        }
    }
}

/// Samples of a run.
const COUNT: usize = 2000;

/// Mean and variance of every coordinate of the samples, within four standard errors and the share of
/// the variance that a method's steps leave.
#[track_caller]
fn assert_posterior(problem: &Problem, end: &State, steps: f64) {
    let (truth, dimension) = (&problem.posterior, end.len() / COUNT);
    let values: Vec<f64> = end.iter().copied().collect();
    for i in 0..dimension {
        let of = |value: &dyn Fn(f64) -> f64| {
            values.chunks_exact(dimension).map(|x| value(x[i])).sum::<f64>() / COUNT as f64
        };
        let (mean, variance) = (truth.mean()[i], truth.covariance(i, i));
        let off = of(&|x| x) - mean;
        let bound = 4.0 * (variance / COUNT as f64).sqrt() + 0.004;
        assert!(off.abs() < bound, "{}, mean {i}: off by {off}", problem.name);
        let off = of(&|x| (x - mean).powi(2)) - variance;
        let bound = variance * 4.0 * (2.0 / COUNT as f64).sqrt() + steps;
        assert!(off.abs() < bound, "{}, variance {i}: off by {off}", problem.name);
    }
}

#[test]
fn exact_methods_sample_the_posterior_within_four_standard_errors() {
    for problem in table::problems().unwrap() {
        let known = problem.measurement(COUNT).unwrap();
        let jacobian = Spread::Jacobian { iterations: 4 };
        let guided = PosteriorGuided::new(&problem.data, &known, jacobian).unwrap();
        let mut noise = Seeded::new(3);
        let mut run = |solver: &dyn Solver<State>, score: &dyn ScoreFn<State>, levels| {
            let grid = grid(levels).unwrap();
            let start = known.start(grid.start().level, 1.0, &mut noise).unwrap();
            sample(solver, score, &grid, start, &mut noise).unwrap()
        };
        let end = run(&OneStep(Ancestral::default()), &problem.posterior, 200);
        assert_posterior(&problem, &end, 0.022);
        let multistep = Multistep::dpmpp(Order::Two);
        assert_posterior(&problem, &run(&multistep, &problem.posterior, 40), 0.004);
        assert_posterior(&problem, &run(&multistep, &guided, 40), 0.004);

        let sde = VpLinear::new(0.1, 20.0).unwrap();
        let start = known.start(sde.level(1.0), 1.0, &mut noise).unwrap();
        let flow = ProbabilityFlow::new(sde, RungeKutta::new(1e-4, 1e-4).unwrap());
        let end = flow.ending_denoised().sample(&problem.posterior, start).unwrap().state;
        assert_posterior(&problem, &end, 0.002);
    }
}
