//! `cargo xtask train`: from whatever is there to a trained model, a picture of what it generates,
//! and its quality.

use crate::process::{self, Outcome};
use crate::tweedie::Tweedie;
use crate::workspace;
use anyhow::{Context, Result, bail};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What is trained when nothing is named.
const DEFAULT_CONFIG: &str = "configs/digits.toml";

/// How the picture at the end is made.
const PICTURE: [&str; 8] = ["--count", "100", "--sampler", "ddim", "--steps", "50", "--seed", "0"];

/// What `cargo xtask train` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The recipe to train [default: configs/digits.toml]
    config: Option<PathBuf>,

    /// Options of `tweedie train`, after `--`: --set training.steps=300, --out RUN, --resume RUN
    #[arg(last = true, value_name = "OPTIONS")]
    options: Vec<OsString>,
}

/// The command `train`.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let plan = Plan::new(args)?;
    let tweedie = Tweedie::build()?;
    eprintln!("{}", plan.announcement);
    let mut training = tweedie.command();
    training.arg("train").args(&plan.arguments);
    process::signal_once(&mut training);
    let trained = process::run(&mut training)?;
    if !trained.is_success() {
        if trained.is_interrupted() {
            eprintln!("or: cargo xtask train -- --resume {}", plan.run.display());
        }
        return Ok(trained.exit_code());
    }
    Ok(show(&tweedie, &plan.run)?.exit_code())
}

/// Generates a picture and measures the model.
fn show(tweedie: &Tweedie, run: &Path) -> Result<Outcome> {
    let picture = run.join("generated.png");
    let mut sample = tweedie.command();
    sample.arg("sample").arg(run).args(PICTURE).arg("--out").arg(&picture);
    let sampled = process::run(&mut sample)?;
    if !sampled.is_success() {
        return Ok(sampled);
    }
    let evaluated = process::run(tweedie.command().arg("evaluate").arg(run))?;
    if evaluated.is_success() {
        println!("picture: {}", workspace::shown(&picture));
    }
    Ok(evaluated)
}

/// What to call `tweedie train` with.
#[derive(Debug, PartialEq, Eq)]
struct Plan {
    run: PathBuf,
    arguments: Vec<OsString>,
    announcement: String,
}

impl Plan {
    fn new(args: &Args) -> Result<Self> {
        let root = workspace::root();
        let here = std::env::current_dir().unwrap_or_default();
        // Seen from the root, the short names will do.
        let base = if here == root { Path::new("") } else { &root };
        Self::in_folder(args, base)
    }

    /// The plan, with the default recipe and the run folders below `root`.
    fn in_folder(args: &Args, root: &Path) -> Result<Self> {
        if let Some(run) = option(&args.options, &["--resume"])? {
            if let Some(config) = &args.config {
                bail!("a run that is resumed has its own recipe: leave {} out", config.display());
            }
            let announcement = format!("resuming {}", run.display());
            return Ok(Self { run, arguments: args.options.clone(), announcement });
        }
        let config = args.config.clone().unwrap_or_else(|| root.join(DEFAULT_CONFIG));
        if !config.is_file() {
            bail!(
                "there is no recipe {}; configs/ holds the ones that come with tweedie",
                config.display()
            );
        }
        let mut arguments = vec![config.clone().into_os_string()];
        let mut announcement = String::new();
        let run = match option(&args.options, &["--out", "-o"])? {
            Some(run) => run,
            None => {
                let (run, taken) = free_run(&root.join("runs"), &config)?;
                if let Some(taken) = taken {
                    announcement = format!("{} exists already; ", taken.display());
                }
                arguments.extend(["--out".into(), run.clone().into_os_string()]);
                run
            }
        };
        arguments.extend(args.options.iter().cloned());
        announcement += &format!("training {} into {}", config.display(), run.display());
        Ok(Self { run, arguments, announcement })
    }
}

/// The first of `digits`, `digits-2`, `digits-3`, ... in `runs` that does not exist, and the last
/// one that does.
fn free_run(runs: &Path, config: &Path) -> Result<(PathBuf, Option<PathBuf>)> {
    let stem = config.file_stem().context("the recipe has no name")?;
    let name = |number: u32| {
        let mut name = stem.to_owned();
        if number > 1 {
            name.push(format!("-{number}"));
        }
        runs.join(name)
    };
    let free = (1..).find(|&number| !name(number).exists()).context("every name is taken")?;
    Ok((name(free), (free > 1).then(|| name(free - 1))))
}

/// The value of the option with one of these `names`: `--name VALUE`, `--name=VALUE`, `-n VALUE`,
/// `-nVALUE` or `-n=VALUE`.
fn option(options: &[OsString], names: &[&str]) -> Result<Option<PathBuf>> {
    for (index, given) in options.iter().enumerate() {
        if names.iter().any(|name| given == name) {
            let missing = || format!("{} wants a folder", given.display());
            return Ok(Some(PathBuf::from(options.get(index + 1).with_context(missing)?)));
        }
        let attached = |text| names.iter().find_map(|name| attached(text, name));
        if let Some(value) = given.to_str().and_then(attached) {
            return Ok(Some(PathBuf::from(value)));
        }
    }
    Ok(None)
}

/// The value within `--name=VALUE`, `-nVALUE` or `-n=VALUE`.
fn attached<'a>(given: &'a str, name: &str) -> Option<&'a str> {
    let rest = given.strip_prefix(name)?;
    rest.strip_prefix('=').or_else(|| (!name.starts_with("--")).then_some(rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn scene() -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a folder");
        fs::create_dir_all(dir.path().join("configs")).expect("writable");
        fs::write(dir.path().join(DEFAULT_CONFIG), "").expect("writable");
        dir
    }

    fn plan(root: &Path, config: Option<&str>, options: &[&str]) -> Result<Plan> {
        let args = Args {
            config: config.map(PathBuf::from),
            options: options.iter().map(OsString::from).collect(),
        };
        Plan::in_folder(&args, root)
    }

    #[test]
    fn without_arguments_the_digits_are_trained_into_a_free_folder() {
        let dir = scene();
        let root = dir.path();
        let first = plan(root, None, &[]).expect("a plan");
        assert_eq!(first.run, root.join("runs/digits"));
        let config = root.join(DEFAULT_CONFIG).into_os_string();
        assert_eq!(first.arguments, [config, "--out".into(), first.run.clone().into_os_string()]);
        fs::create_dir_all(root.join("runs/digits")).expect("writable");
        fs::create_dir_all(root.join("runs/digits-2")).expect("writable");
        let third = plan(root, None, &[]).expect("a plan");
        assert_eq!(third.run, root.join("runs/digits-3"));
        assert!(third.announcement.contains("digits-2 exists already"), "{}", third.announcement);
    }

    #[test]
    fn a_folder_that_the_options_name_is_respected() {
        let dir = scene();
        for options in [
            &["--out", "mine", "--set", "a=1"][..],
            &["--set", "a=1", "--out=mine"],
            &["--set", "a=1", "-o", "mine"],
            &["-omine"],
            &["-o=mine"],
        ] {
            let plan = plan(dir.path(), None, options).expect("a plan");
            assert_eq!(plan.run, Path::new("mine"));
            assert_eq!(plan.arguments[1..], *options);
        }
    }

    #[test]
    fn a_resumed_run_brings_its_own_recipe() {
        let dir = scene();
        let resumed = plan(dir.path(), None, &["--resume", "runs/digits"]).expect("a plan");
        assert_eq!(resumed.run, Path::new("runs/digits"));
        assert_eq!(resumed.arguments, ["--resume", "runs/digits"]);
        assert!(plan(dir.path(), Some("x.toml"), &["--resume", "runs/digits"]).is_err());
        assert!(plan(dir.path(), None, &["--resume"]).is_err());
    }

    #[test]
    fn a_recipe_that_is_not_there_is_named() {
        let dir = scene();
        let error = plan(dir.path(), Some("no/such.toml"), &[]).expect_err("absent").to_string();
        assert!(error.contains("no/such.toml"), "{error}");
    }
}
