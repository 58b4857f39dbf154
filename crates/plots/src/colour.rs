//! Colours, and the two palettes of the pictures.

/// Red, green and blue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colour(pub [u8; 3]);

impl Colour {
    /// The background.
    pub const WHITE: Self = Self([255, 255, 255]);
    /// Text.
    pub const INK: Self = Self([38, 42, 48]);
    /// Axes, and lines that only guide the eye.
    pub const GREY: Self = Self([122, 128, 136]);

    /// Seven colours that stay apart for readers with any kind of colour blindness; others come round
    /// again.
    #[must_use]
    pub fn of_series(index: usize) -> Self {
        const SERIES: [Colour; 7] = [
            Colour([0, 114, 178]),
            Colour([213, 94, 0]),
            Colour([0, 158, 115]),
            Colour([204, 121, 167]),
            Colour([230, 159, 0]),
            Colour([86, 180, 233]),
            Colour([70, 70, 70]),
        ];
        SERIES[index % SERIES.len()]
    }

    /// A density from 0 (white) to 1 (deep blue), in steps that look equal.
    #[must_use]
    pub fn of_density(share: f64) -> Self {
        const ANCHORS: [Colour; 6] = [
            Colour([255, 255, 255]),
            Colour([222, 234, 245]),
            Colour([168, 204, 228]),
            Colour([98, 162, 208]),
            Colour([38, 108, 172]),
            Colour([12, 52, 110]),
        ];
        let place = share.clamp(0.0, 1.0) * (ANCHORS.len() - 1) as f64;
        let left = (place as usize).min(ANCHORS.len() - 2);
        ANCHORS[left].mixed(ANCHORS[left + 1], place - left as f64)
    }

    /// The colour a share of the way to another one.
    #[must_use]
    pub fn mixed(self, other: Self, share: f64) -> Self {
        let mix =
            |a: u8, b: u8| (f64::from(a) + share * (f64::from(b) - f64::from(a))).round() as u8;
        Self([0, 1, 2].map(|i| mix(self.0[i], other.0[i])))
    }

    /// Brightness from 0 to 1, weighted as the eye does.
    #[cfg(test)]
    fn brightness(self) -> f64 {
        let [r, g, b] = self.0.map(f64::from);
        (0.299 * r + 0.587 * g + 0.114 * b) / 255.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_higher_density_is_darker() {
        let shades: Vec<_> = (0..=50).map(|k| Colour::of_density(f64::from(k) / 50.0)).collect();
        assert!(shades.windows(2).all(|pair| pair[1].brightness() < pair[0].brightness()));
        assert_eq!(shades[0], Colour::WHITE);
    }

    #[test]
    fn mixing_hits_both_ends() {
        let (a, b) = (Colour::INK, Colour::WHITE);
        assert_eq!((a.mixed(b, 0.0), a.mixed(b, 1.0)), (a, b));
    }
}
