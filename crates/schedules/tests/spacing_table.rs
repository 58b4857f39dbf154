//! The tables of the docs about which times to visit, against the code.

use tweedie_schedules::{
    DiscreteTable, NoiseSchedule, Respacing, ScheduleError, Spacing, TimeGrid, TimePoint,
    Trajectory, VpLinear, least_cost,
};

const PAGE: &str = include_str!("../../../docs/samplers-table.md");
const STEPS: usize = 10;
const RHO: f64 = 7.0;
const POWER: f64 = 2.0;

/// The cells of the table whose header starts with `header`.
fn rows(header: &str) -> Vec<Vec<&'static str>> {
    let lines = PAGE.lines().skip_while(|line| !line.starts_with(header)).skip(2);
    let lines = lines.take_while(|line| line.starts_with('|'));
    lines.map(|line| line.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

/// Five of a thousand steps, for the row of this name.
fn five(name: &str) -> Result<Vec<usize>, ScheduleError> {
    let respacing = |text: &str| text.parse::<Respacing>()?.indices(1000);
    match name {
        "`Trailing`" => Spacing::Trailing.indices(1000, 5),
        "`Linspace`" => Spacing::Linspace.indices(1000, 5),
        "`Leading`" => Spacing::Leading.indices(1000, 5),
        "`Leading`, offset 1" => Spacing::Leading.indices_with_offset(1000, 5, 1),
        "`\"2,3\"`" => respacing("2,3"),
        "`\"ddim5\"`" => respacing("ddim5"),
        "`Even`" => Trajectory::Even.indices(1000, 5),
        "`Quadratic`" => Trajectory::Quadratic.indices(1000, 5),
        "`least_cost`" => {
            let table = DiscreteTable::linear(1000, 1e-4, 0.02)?;
            let moments: Vec<f64> = table.alpha_bars().into_iter().map(moment).collect();
            least_cost(&table.betas(), &moments, 5)
        }
        other => panic!("{other} is no known spacing"),
    }
}

/// Mean square of the best noise prediction for data that is 0.7 or -0.7, by the midpoint rule.
fn moment(alpha_bar: f64) -> f64 {
    let (alpha, sigma) = (alpha_bar.sqrt(), (1.0 - alpha_bar).sqrt());
    let (mut moment, mut mass) = (0.0, 0.0);
    for k in -400..400 {
        let eps = 8.0 * (f64::from(k) + 0.5) / 400.0;
        let x = 0.7 * alpha + sigma * eps; // the other value contributes the same
        let data = 0.7 * (0.7 * alpha * x / (sigma * sigma)).tanh();
        let weight = (-0.5 * eps * eps).exp();
        moment += weight * ((x - alpha * data) / sigma).powi(2);
        mass += weight;
    }
    moment / mass
}

/// The grid of the row of this name, and the quantity of which it has equal steps.
fn grid(name: &str, quantity: &str) -> (TimeGrid, Box<dyn Fn(TimePoint) -> f64>) {
    let schedule = VpLinear::new(0.1, 20.0).unwrap();
    let (clean, noisy) = schedule.time_range();
    let [least, most] = [noisy, clean].map(|t| schedule.level(t).lambda());
    let way_left = move |at: TimePoint| ((most - at.level.lambda()) / (most - least)).max(0.0);
    let (grid, of): (_, Box<dyn Fn(TimePoint) -> f64>) = match (name, quantity) {
        ("`uniform_time`", "$t$") => {
            (TimeGrid::uniform_time(&schedule, STEPS), Box::new(|at| at.t))
        }
        ("`quadratic_time`", r"$\sqrt t$") => {
            (TimeGrid::quadratic_time(&schedule, STEPS), Box::new(|at| at.t.sqrt()))
        }
        ("`uniform_lambda`", r"$\lambda$") => {
            (TimeGrid::uniform_lambda(&schedule, STEPS), Box::new(|at| at.level.lambda()))
        }
        ("`polyexponential`", r"$\ln(\sigma/\alpha)$ along a power") => (
            TimeGrid::polyexponential(&schedule, STEPS, POWER),
            Box::new(move |at| way_left(at).powf(POWER.recip())),
        ),
        ("`karras`", r"$(\sigma/\alpha)^{1/\rho}$") => (
            TimeGrid::karras(&schedule, STEPS, RHO),
            Box::new(|at| (-at.level.lambda() / RHO).exp()),
        ),
        other => panic!("{other:?} is no known grid"),
    };
    (grid.unwrap(), of)
}

#[test]
fn spacings_visit_the_steps_that_the_page_lists() {
    let rows = rows("| spacing |");
    assert_eq!(rows.len(), 9);
    for row in rows {
        let listed: Vec<usize> = row[1].split(", ").map(|index| index.parse().unwrap()).collect();
        assert_eq!(five(row[0]), Ok(listed), "{}", row[0]);
    }
}

#[test]
fn grids_have_equal_steps_of_what_the_page_says() {
    let rows = rows("| grid |");
    assert_eq!(rows.len(), 5);
    for row in rows {
        let (grid, of) = grid(row[0], row[1]);
        let whole = of(grid.start()) - of(grid.intervals()[STEPS - 1].to);
        for interval in grid.intervals() {
            let share = (of(interval.from) - of(interval.to)) / whole;
            // the last point of a power's grid is the root of a rounding error
            assert!((share - 0.1).abs() < 1e-6, "{}: a step of {share}", row[0]);
        }
    }
}
