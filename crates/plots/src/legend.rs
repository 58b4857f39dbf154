//! The names of the lines, in rows under the title.

use crate::{Layer, Picture, Style};

/// A name and the look it stands for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) label: String,
    pub(crate) style: Style,
}

/// Every name of a picture once, in order of appearance.
pub(crate) fn entries(picture: &Picture) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for layer in picture.charts.iter().flat_map(|chart| &chart.layers) {
        if let Layer::Line(line) = layer
            && let Some(label) = &line.label
            && entries.iter().all(|entry| entry.label != *label)
        {
            entries.push(Entry { label: label.clone(), style: line.style });
        }
    }
    entries
}

/// Places of entries of the given widths: row and left edge of each, the rows centred.
pub(crate) fn places(widths: &[f64], gap: f64, room: f64) -> Vec<(usize, f64)> {
    let mut rows: Vec<Vec<f64>> = Vec::new();
    for width in widths {
        let fits =
            |row: &Vec<f64>| row.iter().sum::<f64>() + width + gap * row.len() as f64 <= room;
        match rows.last_mut() {
            Some(row) if fits(row) => row.push(*width),
            _ => rows.push(vec![*width]),
        }
    }
    let mut places = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        let all = row.iter().sum::<f64>() + gap * (row.len() - 1) as f64;
        let mut left = 0.5 * (room - all);
        for width in row {
            places.push((index, left));
            left += width + gap;
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Axis, Chart, Line};

    #[test]
    fn names_that_do_not_fit_start_a_row() {
        let places = places(&[40.0, 40.0, 40.0], 10.0, 100.0);
        assert_eq!(places, [(0, 5.0), (0, 55.0), (1, 30.0)]);
    }

    #[test]
    fn a_name_is_shown_once() {
        let line = |name: &str| Line::new(Vec::new(), Style::of_series(0)).named(name);
        let chart = || {
            let chart = Chart::new("", Axis::linear(""), Axis::linear(""));
            chart.with(line("a")).with(line("b"))
        };
        let names: Vec<_> = entries(&Picture::new("", vec![chart(), chart()]))
            .into_iter()
            .map(|entry| entry.label)
            .collect();
        assert_eq!(names, ["a", "b"]);
    }
}
