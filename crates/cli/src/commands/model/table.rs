//! Facts, costs and layers as text: amounts in units that suit the largest, columns as wide as they need.

use serde_json::Value;
use tweedie_unet::LayerOutline;

use super::{Costs, operations};

/// Prefixes of units with what they stand for.
const PREFIXES: [(&str, f64); 5] = [("", 1.0), ("k", 1e3), ("M", 1e6), ("G", 1e9), ("T", 1e12)];

/// The largest prefix of which there is at least one.
fn prefix(amount: u64) -> (&'static str, f64) {
    let fits = |(_, size): &&(&str, f64)| amount as f64 >= *size;
    PREFIXES.iter().rev().find(fits).copied().unwrap_or(PREFIXES[0])
}

/// An amount with its unit: "1.23 MB".
fn amount(amount: u64, unit: &str) -> String {
    let (prefix, size) = prefix(amount);
    format!("{:.2} {prefix}{unit}", amount as f64 / size)
}

/// A fact for a person.
pub(super) fn fact((name, value): &(&'static str, Value)) -> String {
    let (name, words) = match (*name, value) {
        ("bytes", bytes) => {
            ("weights", amount(bytes.as_u64().unwrap_or_default(), "B") + " in f32")
        }
        ("channels", Value::Array(channels)) => match channels.as_slice() {
            [taken, returned] => (*name, format!("{taken} in, {returned} out")),
            _ => (*name, value.to_string()),
        },
        (name, Value::Array(sides)) => {
            let sides: Vec<String> = sides.iter().map(ToString::to_string).collect();
            (name, sides.join("x"))
        }
        (name, Value::Null) => (name, "none".to_owned()),
        (name, Value::Bool(yes)) => (name, if *yes { "yes" } else { "no" }.to_owned()),
        (name, Value::String(text)) => (name, text.clone()),
        (name, value) => (name, value.to_string()),
    };
    line(name, &words)
}

fn line(name: &str, words: &str) -> String {
    format!("{name:<20} {words}")
}

/// What an image costs. All of it is computed from the layers' shapes; what a layer makes inside comes on
/// top.
pub(super) fn costs(costs: &Costs) -> [String; 4] {
    let [operations, inference, training] = [
        amount(costs.operations, "FLOP"),
        amount(costs.inference_bytes, "B"),
        amount(costs.output_bytes, "B"),
    ];
    [
        line("operations", &format!("{operations} an image and forward pass")),
        line("memory to sample", &format!("{inference} an image between the layers, in f32")),
        line("memory to train", &format!("{training} an image for the layers' outputs, in f32")),
        line(
            "",
            "computed from shapes, beside the weights; what a layer makes inside comes on top",
        ),
    ]
}

/// The table of layers, its heading first.
pub(super) fn layers(layers: &[LayerOutline]) -> Vec<String> {
    let most = |of: fn(&LayerOutline) -> u64| layers.iter().map(of).max().unwrap_or_default();
    let (flops, flop) = prefix(most(operations));
    let (bytes, byte) = prefix(most(|layer| layer.activation_bytes));
    let heading = [
        "parameters".to_owned(),
        format!("{flops}FLOP"),
        format!("{bytes}B out"),
        "output".to_owned(),
        "kind".to_owned(),
        "layer".to_owned(),
    ];
    let row = |layer: &LayerOutline| {
        let [channels, height, width] = layer.output;
        [
            layer.parameters.to_string(),
            format!("{:.3}", operations(layer) as f64 / flop),
            format!("{:.3}", layer.activation_bytes as f64 / byte),
            format!("{channels}x{height}x{width}"),
            layer.kind.to_owned(),
            layer.name.clone(),
        ]
    };
    aligned(&std::iter::once(heading).chain(layers.iter().map(row)).collect::<Vec<_>>())
}

/// Rows whose columns begin, or for the three columns of numbers end, at the same place.
fn aligned(rows: &[[String; 6]]) -> Vec<String> {
    let widths: [usize; 6] =
        std::array::from_fn(|column| rows.iter().map(|row| row[column].len()).max().unwrap_or(0));
    let cell = |(column, text): (usize, &String)| match column {
        0..3 => format!("{text:>width$}", width = widths[column]),
        5 => text.clone(),
        _ => format!("{text:<width$}", width = widths[column]),
    };
    let joined =
        |row: &[String; 6]| row.iter().enumerate().map(cell).collect::<Vec<_>>().join("  ");
    rows.iter().map(joined).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn amounts_have_units_that_suit_them() {
        assert_eq!(amount(0, "B"), "0.00 B");
        assert_eq!(amount(999, "B"), "999.00 B");
        assert_eq!(amount(143_000_000, "B"), "143.00 MB");
        assert_eq!(amount(12_345_678_900, "FLOP"), "12.35 GFLOP");
    }

    #[test]
    fn facts_are_words() {
        let words = |name, value| fact(&(name, value)).split_at(21).1.to_owned();
        assert_eq!(words("bytes", json!(709_708)), "709.71 kB in f32");
        assert_eq!(words("image", json!([3, 8, 8])), "3x8x8");
        assert_eq!(words("channels", json!([3, 6])), "3 in, 6 out");
        assert_eq!(words("classes", json!(null)), "none");
        assert_eq!(words("null class", json!(true)), "yes");
    }

    #[test]
    fn columns_stand_below_each_other() {
        let row = |parts: [&str; 6]| parts.map(str::to_owned);
        let rows = [
            row(["parameters", "MFLOP", "kB out", "output", "kind", "layer"]),
            row(["5", "0.125", "12345.000", "16x128x128", "doubling and convolution", "up"]),
        ];
        let lines = aligned(&rows);
        let ends = |line: &str, part: &str| line.find(part).unwrap() + part.len();
        assert_eq!(ends(&lines[0], "kB out"), ends(&lines[1], "12345.000"));
        assert_eq!(lines[0].find("kind"), lines[1].find("doubling"));
        assert_eq!(lines[0].find("layer"), lines[1].find("up"));
    }
}
