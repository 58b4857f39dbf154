//! What a sampler costs beside its network: planning, and the arithmetic of a step.

use super::table::{Table, cell};
use crate::process;
use crate::workspace;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::process::ExitCode;

/// The command `bench steps`. Needs no libtorch.
pub(super) fn run() -> Result<ExitCode> {
    let mut command = workspace::cargo(None);
    command.args([
        "run",
        "--release",
        "--package",
        "tweedie-solvers-dpm",
        "--example",
        "step_speed",
    ]);
    let (outcome, output) = process::capture(&mut command)?;
    if !outcome.is_success() {
        bail!("the measurement failed; its message stands above");
    }
    print!("{}", table(&String::from_utf8_lossy(&output))?);
    Ok(ExitCode::SUCCESS)
}

fn table(output: &str) -> Result<Table> {
    let mut table =
        Table::new(&["what", "method", "microseconds", "memory passes", "states held beyond x"]);
    for line in output.lines().filter(|line| line.starts_with('{')) {
        let value: Value =
            serde_json::from_str(line).with_context(|| format!("no JSON: {line}"))?;
        let text = |key: &str| value[key].as_str().unwrap_or("-").to_owned();
        let number = |key: &str, decimals| cell(value[key].as_f64(), decimals);
        table.row([
            text("what"),
            text("method"),
            number("microseconds", 1),
            number("passes", 2),
            number("states_held", 2),
        ]);
    }
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_row_with_dashes_where_there_is_nothing() {
        let output = "{\"what\": \"step\", \"method\": \"ddim\", \"microseconds\": 1.26}\nnoise\n";
        let text = table(output).expect("a table").to_string();
        assert!(text.ends_with("| step | ddim | 1.3 | - | - |\n"), "{text}");
    }
}
