//! Lines cut off at the edges of a rectangle.

/// A rectangle: lower left and upper right corner.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Frame {
    pub(crate) x: (f64, f64),
    pub(crate) y: (f64, f64),
}

type Point = (f64, f64);

impl Frame {
    /// Whether a point lies inside or on the edge.
    pub(crate) fn holds(&self, (x, y): Point) -> bool {
        (self.x.0..=self.x.1).contains(&x) && (self.y.0..=self.y.1).contains(&y)
    }

    /// The pieces of a line that lie inside; a point that is not finite breaks the line.
    pub(crate) fn pieces(&self, points: &[Point]) -> Vec<Vec<Point>> {
        let mut pieces: Vec<Vec<Point>> = Vec::new();
        for pair in points.windows(2) {
            let Some((start, end)) = self.segment(pair[0], pair[1]) else { continue };
            match pieces.last_mut() {
                Some(piece) if piece.last() == Some(&start) => piece.push(end),
                _ => pieces.push(vec![start, end]),
            }
        }
        pieces
    }

    /// The part of a segment that lies inside.
    fn segment(&self, from: Point, to: Point) -> Option<(Point, Point)> {
        let (dx, dy) = (to.0 - from.0, to.1 - from.1);
        if !(dx.is_finite() && dy.is_finite()) {
            return None;
        }
        let (mut start, mut end) = (0.0_f64, 1.0_f64);
        for (place, change, (low, high)) in [(from.0, dx, self.x), (from.1, dy, self.y)] {
            if change == 0.0 {
                if !(low..=high).contains(&place) {
                    return None;
                }
                continue;
            }
            let (a, b) = ((low - place) / change, (high - place) / change);
            start = start.max(a.min(b));
            end = end.min(a.max(b));
        }
        let at = |share: f64| match share {
            0.0 => from,
            1.0 => to,
            share => (from.0 + share * dx, from.1 + share * dy),
        };
        (start <= end).then(|| (at(start), at(end)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const UNIT: Frame = Frame { x: (0.0, 1.0), y: (0.0, 1.0) };

    #[test]
    fn a_line_that_leaves_and_comes_back_is_two_pieces() {
        let pieces = UNIT.pieces(&[(0.5, 0.5), (0.5, 2.0), (0.75, 2.0), (0.75, 0.0)]);
        assert_eq!(pieces, [vec![(0.5, 0.5), (0.5, 1.0)], vec![(0.75, 1.0), (0.75, 0.0)]]);
    }

    #[test]
    fn a_hole_breaks_a_line_and_a_line_outside_is_none() {
        let line = [(0.0, 0.1), (0.2, 0.1), (0.3, f64::NAN), (0.4, 0.1), (0.5, f64::INFINITY)];
        assert_eq!(UNIT.pieces(&line), [vec![(0.0, 0.1), (0.2, 0.1)]]);
        assert!(UNIT.pieces(&[(-1.0, 0.5), (0.5, 2.0)]).is_empty());
    }

    proptest! {
        #[test]
        fn every_piece_lies_inside(points in prop::collection::vec((-2.0..3.0, -2.0..3.0), 2..20)) {
            let wider = Frame { x: (-1e-9, 1.0 + 1e-9), y: (-1e-9, 1.0 + 1e-9) };
            for point in UNIT.pieces(&points).into_iter().flatten() {
                prop_assert!(wider.holds(point), "{point:?}");
            }
        }
    }
}
