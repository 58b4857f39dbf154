//! What a solver does, read off without a network: its coefficients and its evaluations.
//!
//! A planned solver only forms linear combinations. So it can be run on states that are linear
//! combinations themselves, of symbols: one for the state each step starts from, one for each answer
//! of the network, one for each draw of noise. What comes out is the table of its coefficients,
//! whatever the method.

use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::{SampleError, Solver};
use tweedie_schedules::{Interval, Prediction, TimeGrid, TimePoint};
use tweedie_score::{NoiseError, NoiseSource, ScoreError, ScoreFn, Times, VectorSpace};

/// What a term of a combination stands for. Everything is counted from 0 over the whole run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Symbol {
    /// The state that step `k` starts from.
    State(usize),
    /// The answer of evaluation `k`.
    Output(usize),
    /// Draw `k` of standard normal noise.
    Noise(usize),
}

/// A linear combination of symbols: the state of a traced run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Combination(BTreeMap<Symbol, f64>);

impl Combination {
    /// One symbol alone.
    fn of(symbol: Symbol) -> Self {
        Self(BTreeMap::from([(symbol, 1.0)]))
    }

    /// The terms, `(symbol, coefficient)`, states first, then outputs, then noise.
    pub fn terms(&self) -> impl Iterator<Item = (Symbol, f64)> + '_ {
        self.0.iter().map(|(symbol, coefficient)| (*symbol, *coefficient))
    }

    /// The coefficient of a symbol; 0 where it does not occur.
    #[must_use]
    pub fn coefficient(&self, symbol: Symbol) -> f64 {
        self.0.get(&symbol).copied().unwrap_or(0.0)
    }
}

impl VectorSpace for Combination {
    fn combine(terms: &[(f64, &Self)]) -> Self {
        let mut sum: BTreeMap<Symbol, f64> = BTreeMap::new();
        for (factor, term) in terms {
            for (symbol, coefficient) in term.terms() {
                *sum.entry(symbol).or_default() += factor * coefficient;
            }
        }
        sum.retain(|_, coefficient| *coefficient != 0.0);
        Self(sum)
    }
}

/// One evaluation of the network in a traced run.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// Where the network is called.
    pub at: TimePoint,
    /// The state it is called with.
    pub input: Combination,
}

/// One step of a traced run.
#[derive(Clone, Debug, PartialEq)]
pub struct TracedStep {
    /// The interval of the grid; none for a step that the method adds at the end.
    pub interval: Option<Interval>,
    /// The evaluations made; those of all steps are numbered through from 0.
    pub evaluations: Vec<Evaluation>,
    /// The state the step ends with.
    pub result: Combination,
}

/// Runs `solver` over `grid` on symbols, for a network that returns `prediction`.
///
/// # Errors
/// When the method cannot run on this grid.
pub fn trace(
    solver: &dyn Solver<Combination>,
    grid: &TimeGrid,
    prediction: Prediction,
) -> Result<Vec<TracedStep>, SampleError> {
    let mut stepper = solver.plan(grid)?;
    let network = Asked { prediction, evaluations: RefCell::default() };
    let mut noise = Named { drawn: 0 };
    let count = solver.steps(grid);
    let mut steps = Vec::with_capacity(count);
    for index in 0..count {
        let before = network.evaluations.borrow().len();
        let start = Combination::of(Symbol::State(index));
        let result = stepper.step(index, start, &network, &mut noise)?;
        let evaluations = network.evaluations.borrow()[before..].to_vec();
        steps.push(TracedStep {
            interval: grid.intervals().get(index).copied(),
            evaluations,
            result,
        });
    }
    Ok(steps)
}

/// A network that answers with a symbol and remembers what it was asked.
struct Asked {
    prediction: Prediction,
    evaluations: RefCell<Vec<Evaluation>>,
}

impl ScoreFn<Combination> for Asked {
    fn prediction(&self) -> Prediction {
        self.prediction
    }

    fn predict(&self, x: &Combination, at: Times<'_>) -> Result<Combination, ScoreError> {
        let mut evaluations = self.evaluations.borrow_mut();
        evaluations.push(Evaluation { at: at.of(0), input: x.clone() });
        Ok(Combination::of(Symbol::Output(evaluations.len() - 1)))
    }
}

/// A source of noise that only names its draws.
struct Named {
    drawn: usize,
}

impl NoiseSource<Combination> for Named {
    fn normal_like(&mut self, _: &Combination) -> Result<Combination, NoiseError> {
        self.drawn += 1;
        Ok(Combination::of(Symbol::Noise(self.drawn - 1)))
    }

    fn rademacher_like(&mut self, like: &Combination) -> Result<Combination, NoiseError> {
        self.normal_like(like)
    }

    fn uniform_like(&mut self, like: &Combination) -> Result<Combination, NoiseError> {
        self.normal_like(like)
    }

    /// Without chance there is nothing to choose from.
    fn uniform(&mut self, _: usize) -> Result<Vec<f64>, NoiseError> {
        Err(NoiseError::Exhausted { recorded: 0 })
    }

    fn indices(&mut self, _: usize, _: usize) -> Result<Vec<usize>, NoiseError> {
        Err(NoiseError::Exhausted { recorded: 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Ddim, OneStep, Predictor};
    use tweedie_schedules::{DiscreteTable, Spacing};

    #[test]
    fn a_one_step_method_shows_the_coefficients_it_has() {
        let table = DiscreteTable::cosine(100).unwrap();
        let grid = TimeGrid::discrete(&table, 7, Spacing::Trailing).unwrap().ending_clean();
        let method = Ddim::new(0.4).unwrap();
        let steps = trace(&OneStep(method), &grid, Prediction::Data).unwrap();
        assert_eq!(steps.len(), 7);
        for (k, step) in steps.iter().enumerate() {
            let want = method.coefficients(step.interval.unwrap());
            assert_eq!(step.evaluations.len(), 1);
            assert_eq!(step.evaluations[0].input, Combination::of(Symbol::State(k)));
            for (symbol, coefficient) in [
                (Symbol::State(k), want.x),
                (Symbol::Output(k), want.data),
                (Symbol::Noise(k), want.noise),
            ] {
                assert!((step.result.coefficient(symbol) - coefficient).abs() < 1e-15);
            }
        }
        // the last step lands on the data estimate itself
        let last: Vec<_> = steps[6].result.terms().collect();
        assert_eq!(last, [(Symbol::Output(6), 1.0)]);
    }
}
