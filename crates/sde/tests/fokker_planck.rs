//! The Fokker-Planck (Kolmogorov forward) equation, checked numerically: the density of a mixture
//! at the levels of a schedule moves as the schedule's SDE says, forwards and backwards.
//!
//! Forwards, `dp/dt = -d(f x p)/dx + g^2/2 d^2p/dx^2`. Backwards, with the drift and the diffusion of
//! the reverse family, `-dp/dt = d(drift p)/dx + diffusion^2/2 d^2p/dx^2` for every `eta`: Anderson's
//! reversal, and the probability flow at `eta = 0`. Song et al. 2021, appendix D.1.

#[path = "oracle/mixture.rs"]
#[expect(dead_code, reason = "the other tests of this crate use the rest")]
mod mixture;
#[path = "oracle/processes.rs"]
mod processes;

use processes::processes;
use tweedie_schedules::NoiseLevel;
use tweedie_sde::{ReverseSde, Sde};

/// First and second derivative at `x` by central differences of fourth order.
fn derivatives(value: impl Fn(f64) -> f64, x: f64, step: f64) -> (f64, f64) {
    let [a, b, c, d, e] = [-2.0, -1.0, 0.0, 1.0, 2.0].map(|k| value(x + k * step));
    let first = (8.0 * (d - b) - (e - a)) / (12.0 * step);
    let second = (16.0 * (d + b) - (e + a) - 30.0 * c) / (12.0 * step * step);
    (first, second)
}

/// Places in space and time: from the left of all data to its right, over the whole range of time.
fn places(sde: &dyn Sde) -> Vec<(f64, f64)> {
    let (clean, noisy) = sde.time_range();
    let times = (0..8).map(|k| clean + (noisy - clean) * (f64::from(k) + 0.5) / 8.0);
    let at = |t: f64| {
        let NoiseLevel { alpha, sigma } = sde.level(t);
        let reach = alpha + sigma;
        (-4..=4).map(move |k| (t, reach * f64::from(k) / 2.0))
    };
    times.flat_map(at).collect()
}

/// Derivatives of the density at one place.
struct Place<'a> {
    name: &'a str,
    sde: &'a dyn Sde,
    t: f64,
    x: f64,
}

impl Place<'_> {
    fn density(&self) -> impl Fn(f64) -> f64 {
        let level = self.sde.level(self.t);
        move |x| mixture::density(x, level)
    }

    /// A step in space that is short against every part of the mixture.
    fn reach(&self) -> f64 {
        5e-4 * mixture::moments(self.sde.level(self.t)).1.sqrt()
    }

    /// `dp/dt`.
    fn growth(&self) -> f64 {
        derivatives(|t| mixture::density(self.x, self.sde.level(t)), self.t, 2e-4 * self.t).0
    }

    /// `d(drift p)/dx`.
    fn flux(&self, drift: impl Fn(f64) -> f64) -> f64 {
        let density = self.density();
        derivatives(|x| drift(x) * density(x), self.x, self.reach()).0
    }

    /// `d^2p/dx^2`.
    fn curvature(&self) -> f64 {
        derivatives(self.density(), self.x, self.reach()).1
    }

    /// Checks that the two sides of the equation agree.
    ///
    /// The differences are exact to the fourth power of their relative steps and lose half of the
    /// digits to rounding: 1e-7 of the largest term, or of the size such terms have at this density.
    #[track_caller]
    fn check(&self, left: f64, terms: [f64; 2]) {
        let rate = self.sde.diffusion_squared(self.t) / mixture::moments(self.sde.level(self.t)).1;
        let usual = rate * self.density()(self.x);
        let size = usual.max(left.abs()).max(terms[0].abs()).max(terms[1].abs());
        let off = (left - terms[0] - terms[1]).abs();
        let Self { name, t, x, .. } = self;
        assert!(off <= 1e-7 * size, "{name} at t = {t}, x = {x}: {left} against {terms:?}");
    }
}

#[test]
fn the_density_moves_as_the_forward_equation_says() {
    for (name, sde) in processes() {
        let sde = sde.as_ref();
        for (t, x) in places(sde) {
            let place = Place { name, sde, t, x };
            let flux = place.flux(|x| sde.drift(t) * x);
            let spreading = 0.5 * sde.diffusion_squared(t) * place.curvature();
            place.check(place.growth(), [-flux, spreading]);
        }
    }
}

#[test]
fn the_reverse_family_moves_the_density_back_for_every_eta() {
    for eta in [0.0, 0.5, 1.0, 1.7] {
        for (name, sde) in processes() {
            let sde = sde.as_ref();
            let reverse = ReverseSde::new(sde, eta).unwrap();
            for (t, x) in places(sde) {
                let place = Place { name, sde, t, x };
                let (of_x, of_score) = reverse.drift(t);
                let score = |x: f64| mixture::score(x, sde.level(t));
                let flux = place.flux(|x| of_x * x + of_score * score(x));
                let spreading = 0.5 * reverse.diffusion(t).powi(2) * place.curvature();
                place.check(-place.growth(), [flux, spreading]);
            }
        }
    }
}
