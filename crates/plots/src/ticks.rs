//! Where an axis is marked, and what stands there.

use crate::Scale;

/// The marks of an axis, as places; on a logarithmic axis a place is a decimal logarithm.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Ticks {
    /// Marks with a number.
    pub(crate) numbered: Vec<f64>,
    /// Marks between them.
    pub(crate) minor: Vec<f64>,
    scale: Scale,
    /// Distance of numbered marks.
    step: f64,
}

impl Ticks {
    /// About `count` marks from `low` to `high`.
    pub(crate) fn new(scale: Scale, (low, high): (f64, f64), count: usize) -> Self {
        let decades = high - low;
        match scale {
            Scale::Log if decades >= 2.5 => Self::decades(low, high, count),
            Scale::Log => Self::within_decades(low, high),
            Scale::Linear => {
                let step = round_step(decades / count.max(1) as f64);
                Self { numbered: multiples(step, low, high), minor: Vec::new(), scale, step }
            }
        }
    }

    /// A number at powers of ten; marks at their multiples, or at the powers left out.
    fn decades(low: f64, high: f64, count: usize) -> Self {
        let step = ((high - low) / count.max(1) as f64).ceil().max(1.0);
        let minor = if step > 1.0 {
            multiples(1.0, low, high)
        } else {
            let each = |decade: f64| (2..10).map(move |digit| decade + f64::from(digit).log10());
            let all = multiples(1.0, low.floor(), high.ceil()).into_iter().flat_map(each);
            all.filter(|place| (low..=high).contains(place)).collect()
        };
        Self { numbered: multiples(step, low, high), minor, scale: Scale::Log, step }
    }

    /// Numbers at 1, 2 and 5 times powers of ten, for an axis that spans few.
    fn within_decades(low: f64, high: f64) -> Self {
        let digits = |digits: &[f64]| -> Vec<f64> {
            let each = |decade: f64| digits.iter().map(move |digit| decade + digit.log10());
            let all = multiples(1.0, low.floor(), high.ceil()).into_iter().flat_map(each);
            all.filter(|place| (low..=high).contains(place)).collect()
        };
        let minor = digits(&[3.0, 4.0, 6.0, 7.0, 8.0, 9.0]);
        Self { numbered: digits(&[1.0, 2.0, 5.0]), minor, scale: Scale::Log, step: 0.0 }
    }

    /// The number at a mark.
    pub(crate) fn text(&self, place: f64) -> String {
        match self.scale {
            Scale::Linear => {
                let digits = (-self.step.log10().floor()).clamp(0.0, 12.0) as usize;
                minus(&format!("{:.digits$}", if place == 0.0 { 0.0 } else { place }))
            }
            Scale::Log if self.step > 0.0 => power(place.round() as i32),
            Scale::Log => {
                let digits = (-(place + 1e-9).floor()).clamp(0.0, 12.0) as usize;
                format!("{:.digits$}", 10_f64.powf(place))
            }
        }
    }
}

/// The multiples of `step` from `low` to `high`.
fn multiples(step: f64, low: f64, high: f64) -> Vec<f64> {
    let slack = 1e-9;
    let (first, last) = ((low / step - slack).ceil() as i64, (high / step + slack).floor() as i64);
    (first..=last).map(|k| k as f64 * step).collect()
}

/// 1, 2 or 5 times a power of ten, not below `step`.
fn round_step(step: f64) -> f64 {
    let power = 10_f64.powf(step.log10().floor());
    let digit = [1.0, 2.0, 5.0].into_iter().find(|digit| digit * power >= step * (1.0 - 1e-9));
    digit.unwrap_or(10.0) * power
}

/// `10^n`, written with raised digits.
fn power(n: i32) -> String {
    match n {
        0 => "1".to_owned(),
        1 => "10".to_owned(),
        n => {
            let raised = |c: char| match c.to_digit(10) {
                Some(digit) => ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'][digit as usize],
                None => '⁻',
            };
            "10".chars().chain(n.to_string().chars().map(raised)).collect()
        }
    }
}

/// A number with the sign that is as wide as a digit.
fn minus(number: &str) -> String {
    number.replace('-', "−")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn texts(scale: Scale, low: f64, high: f64) -> Vec<String> {
        let ticks = Ticks::new(scale, (low, high), 5);
        ticks.numbered.iter().map(|place| ticks.text(*place)).collect()
    }

    #[test]
    fn round_numbers_are_marked() {
        assert_eq!(texts(Scale::Linear, 0.0, 1.0), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(texts(Scale::Linear, -11.0, 9.0), ["−10", "−5", "0", "5"]);
        assert_eq!(texts(Scale::Log, -3.2, 1.1), ["10⁻³", "10⁻²", "10⁻¹", "1", "10"]);
        assert_eq!(texts(Scale::Log, -12.0, 6.0), ["10⁻¹²", "10⁻⁸", "10⁻⁴", "1", "10⁴"]);
        assert_eq!(texts(Scale::Log, 0.6, 1.75), ["5", "10", "20", "50"]);
        assert_eq!(texts(Scale::Log, -1.1, 0.4), ["0.1", "0.2", "0.5", "1", "2"]);
    }

    proptest! {
        #[test]
        fn marks_lie_within_the_axis_and_are_few(low in -1e3..1e3, length in 1e-6..1e6) {
            for scale in [Scale::Linear, Scale::Log] {
                let length = if scale == Scale::Log { f64::min(length, 300.0) } else { length };
                let ticks = Ticks::new(scale, (low, low + length), 5);
                let slack = 1e-8 * (1.0 + length + low.abs());
                let within = |place: &f64| *place >= low - slack && *place <= low + length + slack;
                prop_assert!(ticks.numbered.iter().all(within), "{ticks:?}");
                prop_assert!(ticks.numbered.len() <= 8, "{ticks:?}");
            }
        }
    }
}
