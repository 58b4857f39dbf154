//! EDM's two samplers: the published one, and the one that spans all designs compared there.

use anyhow::{Result, bail};
use tweedie_samplers::{Churn, EdmSolver, InTime, Rule, Stochastic, sample};
use tweedie_schedules::{NoiseSchedule, ScaledSigma, Scaling, SigmaOfTime, TimeGrid, iddpm_sigmas};
use tweedie_score::Replay;

use super::diffusers_sigmas::{grid_through, linspace};
use crate::parity::{Case, Fields, Produced};

/// Runs a case.
pub(super) fn run(case: &Case) -> Result<Produced> {
    let design = Design::read(case)?;
    let schedule = ScaledSigma::new(design.sigma, design.scaling, design.low, design.high)?;
    let (grid, churn) = (design.grid(&schedule)?, churn(case.options())?);
    let solver = EdmSolver::new(InTime(schedule), design.rule)?;
    let solver = solver.with_noise(Stochastic::Churn(churn))?;
    let model = case.model()?;
    let start = case.inputs.tensor("latents")? * grid.start().level.sigma;
    let mut noise = churned(case, churn, &grid);
    let x = sample(&solver, &model, &grid, start, &mut noise)?;
    Ok(Produced::new().tensor("x_0", x).evaluations(model.evaluations()))
}

/// The options of `ablation_sampler`, of which `edm_sampler` fixes most.
struct Design<'a> {
    options: &'a Fields,
    discretization: &'a str,
    sigma: SigmaOfTime,
    scaling: Scaling,
    rule: Rule,
    low: f64,
    high: f64,
    /// The VP noise through both ends.
    fitted: SigmaOfTime,
}

impl<'a> Design<'a> {
    fn read(case: &'a Case) -> Result<Self> {
        let options = case.options();
        let word = |name, default| match case.sampler.name.as_str() {
            "ablation_sampler" => options.str_or(name, default),
            _ => Ok(default),
        };
        let discretization = word("discretization", "edm")?;
        let epsilon = options.f64_or("epsilon_s", 1e-3)?;
        let (low, high) = published_range(discretization, epsilon)?;
        let net = |name, default| case.schedule.f64_or(name, default);
        let low = options.f64_or("sigma_min", low)?.max(net("net_sigma_min", 0.0)?);
        let high = options.f64_or("sigma_max", high)?.min(net("net_sigma_max", f64::INFINITY)?);
        let fitted = SigmaOfTime::variance_preserving(low, high, epsilon);
        let sigma = match word("schedule", "linear")? {
            "vp" => fitted,
            "ve" => SigmaOfTime::SquareRoot,
            "linear" => SigmaOfTime::Linear,
            other => bail!("no noise schedule {other}"),
        };
        let scaling = match word("scaling", "none")? {
            "vp" => Scaling::VariancePreserving,
            "none" => Scaling::None,
            other => bail!("no scaling {other}"),
        };
        let rule = match word("solver", "heun")? {
            "euler" => Rule::Euler,
            "heun" => Rule::Heun { alpha: options.f64_or("alpha", 1.0)? },
            other => bail!("no solver {other}"),
        };
        Ok(Self { options, discretization, sigma, scaling, rule, low, high, fitted })
    }

    /// The times visited, and the data after them.
    fn grid(&self, schedule: &ScaledSigma) -> Result<TimeGrid> {
        let (options, count) = (self.options, self.options.usize_or("num_steps", 18)?);
        let steps = count - 1;
        let sigmas = match self.discretization {
            "edm" => {
                let rho = options.f64_or("rho", 7.0)?;
                return Ok(TimeGrid::karras(schedule, steps, rho)?.ending_clean());
            }
            "ve" => return Ok(TimeGrid::uniform_lambda(schedule, steps)?.ending_clean()),
            "vp" => {
                let times = linspace(1.0, options.f64_or("epsilon_s", 1e-3)?, count);
                times.into_iter().map(|t| self.fitted.sigma(t)).collect()
            }
            _ => self.iddpm(count)?,
        };
        let at_sigma = |sigma: &f64| schedule.point(self.sigma.time(*sigma));
        let points: Vec<_> = sigmas.iter().map(at_sigma).collect();
        Ok(grid_through(&points)?.ending_clean())
    }

    /// Levels of improved DDPM within the range, evenly spread by index.
    fn iddpm(&self, count: usize) -> Result<Vec<f64>> {
        let length = self.options.usize_or("M", 1000)?;
        let (ratio, offset) =
            (self.options.f64_or("C_1", 1e-3)?, self.options.f64_or("C_2", 8e-3)?);
        let mut table = iddpm_sigmas(length, offset, ratio);
        table.retain(|sigma| (self.low..=self.high).contains(sigma));
        let stride = (table.len() as f64 - 1.0) / (count as f64 - 1.0);
        Ok((0..count).map(|k| table[(stride * k as f64).round_ties_even() as usize]).collect())
    }
}

/// The range of noise each discretization was published with.
fn published_range(discretization: &str, epsilon: f64) -> Result<(f64, f64)> {
    Ok(match discretization {
        "vp" => {
            let noise = SigmaOfTime::VariancePreserving { beta_d: 19.9, beta_min: 0.1 };
            (noise.sigma(epsilon), noise.sigma(1.0))
        }
        "ve" => (0.02, 100.0),
        "iddpm" => (0.002, 81.0),
        "edm" => (0.002, 80.0),
        other => bail!("no discretization {other}"),
    })
}

fn churn(options: &Fields) -> Result<Churn> {
    Ok(Churn {
        amount: options.f64_or("S_churn", 0.0)?,
        sigma_min: options.f64_or("S_min", 0.0)?,
        sigma_max: options.f64_or("S_max", f64::INFINITY)?,
        noise: options.f64_or("S_noise", 1.0)?,
    })
}

/// The recorded draws that churn uses: the peers draw in every step.
pub(super) fn churned(case: &Case, churn: Churn, grid: &TimeGrid) -> Replay {
    let active = |sigma: f64| churn.noise != 0.0 && churn.share(sigma, grid.len()) > 0.0;
    let draws = grid
        .intervals()
        .iter()
        .zip(&case.noises)
        .filter(|(interval, _)| active(interval.from.level.sigma / interval.from.level.alpha));
    Replay::new(draws.map(|(_, draw)| draw.values.iter().copied().collect()).collect::<Vec<_>>())
}
