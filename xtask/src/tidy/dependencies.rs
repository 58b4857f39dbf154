//! Who may depend on whom.

use super::Complaint;
use super::sources::{Source, Sources};
use anyhow::{Context, Result};
use std::collections::BTreeSet;
use toml::Table;

/// The arrows between the crates: each may depend on those named here and, through them, on theirs.
const ARROWS: [(&str, &[&str]); 16] = [
    ("schedules", &[]),
    ("sde", &["schedules"]),
    ("score", &["schedules"]),
    ("losses", &["sde", "score"]),
    ("samplers", &["sde", "score"]),
    ("solvers-dpm", &["samplers"]),
    ("likelihood", &["samplers", "losses"]),
    ("guidance", &["samplers", "score"]),
    ("closed-form", &["score"]),
    ("plots", &["schedules"]),
    ("checkpoints", &[]),
    ("datasets", &[]),
    ("evaluation", &["datasets"]),
    ("torch-ext", &[]),
    ("unet", &["score", "torch-ext", "checkpoints"]),
    ("training", &["losses", "unet", "datasets", "samplers", "plots"]),
];

/// Crates of numbers alone: no array library, in tests neither.
const SCALAR: [&str; 2] = ["schedules", "sde"];

/// Libraries of arrays or tensors.
const ARRAYS: [&str; 10] = [
    "ndarray",
    "nalgebra",
    "tch",
    "torch-sys",
    "candle-core",
    "burn",
    "faer",
    "dfdx",
    "arrayfire",
    "tweedie-torch-ext",
];

/// Crates that may name `tch` freely.
const TORCH: [&str; 4] = ["unet", "training", "torch-ext", "cli"];

/// Crates that may name it in a feature `tch`, as an optional dependency.
const TORCH_FEATURE: [&str; 3] = ["score", "losses", "guidance"];

pub(super) fn complaints(sources: &Sources) -> Result<Vec<Complaint>> {
    let mut found = Vec::new();
    for source in sources.files().iter().filter(|file| file.path.ends_with("Cargo.toml")) {
        let manifest: Table =
            source.text.parse().with_context(|| format!("{} is no TOML", source.path))?;
        if manifest.contains_key("package") {
            found.extend(Manifest::new(source, &manifest).complaints());
        }
    }
    found.extend(sources.rust().flat_map(torch_in_code));
    Ok(found)
}

/// One `Cargo.toml` of a package.
struct Manifest<'a> {
    source: &'a Source,
    manifest: &'a Table,
    /// `score` of `crates/score/Cargo.toml`; `tests` and `xtask` by their own names.
    name: &'a str,
}

impl<'a> Manifest<'a> {
    fn new(source: &'a Source, manifest: &'a Table) -> Self {
        let folder = source.path.trim_end_matches("Cargo.toml").trim_end_matches('/');
        let name = folder.rsplit('/').next().unwrap_or_default();
        Self { source, manifest, name }
    }

    fn complaints(&self) -> Vec<Complaint> {
        let mut found = Vec::new();
        found.extend(self.lints());
        for (name, optional) in self.dependencies(&["dependencies", "build-dependencies"]) {
            found.extend(self.direction(&name));
            found.extend(self.torch(&name, optional));
        }
        for (name, _) in
            self.dependencies(&["dependencies", "build-dependencies", "dev-dependencies"])
        {
            found.extend(self.scalar(&name));
        }
        for (name, _) in self.dependencies(&["dev-dependencies"]) {
            found.extend(self.torch(&name, true));
        }
        found
    }

    /// The dependencies in these tables, each with whether it is optional.
    fn dependencies(&self, tables: &[&str]) -> Vec<(String, bool)> {
        let tables = tables.iter().filter_map(|table| self.manifest.get(*table)?.as_table());
        let entries = tables.flat_map(|table| table.iter());
        entries
            .map(|(name, value)| {
                let renamed = value.get("package").and_then(toml::Value::as_str);
                let optional =
                    value.get("optional").and_then(toml::Value::as_bool).unwrap_or(false);
                (renamed.unwrap_or(name).to_owned(), optional)
            })
            .collect()
    }

    fn complain(&self, about: &str, text: String) -> Complaint {
        let line = self.source.text.lines().position(|line| line.trim_start().starts_with(about));
        Complaint::new(&self.source.path, line.map_or(1, |line| line + 1), text)
    }

    /// The workspace's lints forbid `unsafe` and undocumented items; only torch-ext has its own
    /// set.
    fn lints(&self) -> Option<Complaint> {
        let inherited = self.manifest.get("lints").and_then(|lints| lints.get("workspace"));
        let holds = inherited.and_then(toml::Value::as_bool) == Some(true);
        let text = "the lints are not the workspace's, only torch-ext may have its own";
        (!holds && self.name != "torch-ext").then(|| self.complain("[lints", text.to_owned()))
    }

    fn direction(&self, dependency: &str) -> Option<Complaint> {
        let other = dependency.strip_prefix("tweedie-")?;
        if matches!(self.name, "cli" | "tests") {
            return None;
        }
        // The tch features take what tch does not wrap from torch-ext.
        let through_feature = other == "torch-ext" && TORCH_FEATURE.contains(&self.name);
        let allowed = reachable(self.name);
        let text = format!(
            "{} depends on {other}, allowed: {}",
            self.name,
            allowed.iter().copied().collect::<Vec<_>>().join(", ")
        );
        (!through_feature && !allowed.contains(other)).then(|| self.complain(dependency, text))
    }

    fn torch(&self, dependency: &str, optional: bool) -> Option<Complaint> {
        let is_torch = ["tch", "torch-sys", "tweedie-torch-ext"].contains(&dependency);
        let free = TORCH.contains(&self.name) || self.name == "tests";
        let in_feature = TORCH_FEATURE.contains(&self.name) && optional;
        let text = format!(
            "{dependency} in {}: allowed in {}, optional in {}",
            self.name,
            TORCH.join(", "),
            TORCH_FEATURE.join(", ")
        );
        (is_torch && !free && !in_feature).then(|| self.complain(dependency, text))
    }

    fn scalar(&self, dependency: &str) -> Option<Complaint> {
        let broken = SCALAR.contains(&self.name) && ARRAYS.contains(&dependency);
        let text = format!("{} knows no array library, and {dependency} is one", self.name);
        broken.then(|| self.complain(dependency, text))
    }
}

/// Everything that `name` may depend on.
fn reachable(name: &str) -> BTreeSet<&'static str> {
    let next = ARROWS.iter().find(|(from, _)| *from == name).map_or(&[][..], |(_, to)| to);
    let mut all: BTreeSet<&'static str> = next.iter().copied().collect();
    for further in next {
        all.extend(reachable(further));
    }
    all
}

/// `tch` named in the code of a crate that may not.
fn torch_in_code(source: &Source) -> Vec<Complaint> {
    let allowed =
        source.krate().is_none_or(|krate| TORCH.contains(&krate) || TORCH_FEATURE.contains(&krate));
    if allowed && !source.path.starts_with("xtask/") {
        return Vec::new();
    }
    let names = |line: &str| {
        line.match_indices("tch::")
            .any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'))
    };
    let code = source.code();
    let lines = code.iter().enumerate().filter(|(_, line)| names(line));
    lines
        .map(|(index, _)| {
            Complaint::new(
                &source.path,
                index + 1,
                "tch is named here, where libtorch is not known",
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(krate: &str, tables: &str, expected: &[&str]) {
        let path = format!("crates/{krate}/Cargo.toml");
        let text = format!("[package]\nname = \"x\"\n[lints]\nworkspace = true\n{tables}");
        let found = complaints(&Sources::of(&[(&path, &text)])).expect("valid");
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (complaint, words) in found.iter().zip(expected) {
            assert!(complaint.text.contains(words), "{complaint}");
        }
    }

    #[test]
    fn dependencies_follow_the_arrows() {
        check(
            "training",
            "[dependencies]\ntweedie-unet.workspace = true\ntweedie-schedules.workspace = true\n",
            &[],
        );
        check(
            "schedules",
            "[dependencies]\ntweedie-score.workspace = true\n",
            &["schedules depends on score"],
        );
        check(
            "samplers",
            "[dependencies]\ntweedie-unet.workspace = true\n",
            &["samplers depends on unet"],
        );
        check("cli", "[dependencies]\ntweedie-training.workspace = true\n", &[]);
        check(
            "training",
            "[dependencies]\ntweedie-cli.workspace = true\n",
            &["training depends on cli"],
        );
    }

    #[test]
    fn tch_stays_where_libtorch_is_known() {
        check("unet", "[dependencies]\ntch.workspace = true\n", &[]);
        check("score", "[dependencies]\ntch = { workspace = true, optional = true }\n", &[]);
        check("score", "[dependencies]\ntch.workspace = true\n", &["tch in score"]);
        check(
            "score",
            "[dependencies]\ntweedie-torch-ext = { workspace = true, optional = true }\n",
            &[],
        );
        check("datasets", "[dev-dependencies]\ntch.workspace = true\n", &["tch in datasets"]);
        let code = [("crates/datasets/src/a.rs", "use tch::Tensor;\nuse watch::W;\n")];
        assert_eq!(complaints(&Sources::of(&code)).expect("valid").len(), 1);
    }

    #[test]
    fn schedules_know_no_array_library() {
        check("schedules", "[dependencies]\nserde.workspace = true\n", &[]);
        check(
            "schedules",
            "[dev-dependencies]\nndarray.workspace = true\n",
            &["knows no array library"],
        );
    }

    #[test]
    fn every_package_takes_the_lints_of_the_workspace() {
        let bare = "[package]\nname = \"x\"\n";
        let found = |path| complaints(&Sources::of(&[(path, bare)])).expect("valid").len();
        assert_eq!(found("crates/unet/Cargo.toml"), 1);
        assert_eq!(found("crates/torch-ext/Cargo.toml"), 0);
    }

    #[test]
    fn the_arrows_have_no_circle() {
        for (name, _) in ARROWS {
            assert!(!reachable(name).contains(name), "{name}");
        }
    }
}
