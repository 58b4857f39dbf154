//! `tweedie data`: fetches data sets and shows what is in them.

use crate::{print, progress};
use anyhow::{Result, bail};
use clap::{Args, Subcommand, ValueEnum};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tweedie_datasets::{
    Dataset, FetchProgress, FetchSet, OpenOptions, contact_sheet, fetch, open, save_png,
};

/// Fetch data sets, and show what is in one
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    command: DataCommand,
}

#[derive(Debug, Subcommand)]
enum DataCommand {
    Fetch(FetchOptions),
    Info(InfoOptions),
}

/// Download a public data set; an interrupted download goes on where it stopped
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  tweedie data fetch fashion-mnist --to data/fashion-mnist")]
struct FetchOptions {
    /// The data set
    #[arg(value_enum)]
    set: SetName,
    /// The folder to put it in
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// Address to fetch from in place of the set's own: a mirror with the same file names
    #[arg(long, value_name = "URL", value_parser = web_address)]
    base_url: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum SetName {
    Mnist,
    FashionMnist,
    Cifar10,
}

/// Print counts, shapes and value range of a data set, and save a contact sheet
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  tweedie data info digits\n  tweedie data info data/cifar10")]
struct InfoOptions {
    /// "digits" (bundled), or a folder or file: IDX, CIFAR binary, or pictures
    path: String,
    /// Where to write the contact sheet, a .png
    #[arg(long, short, value_name = "PATH", default_value = "contact-sheet.png")]
    out: PathBuf,
    /// Crop and resize the pictures of a folder to `HEIGHTxWIDTH`
    #[arg(long, value_name = "HxW", value_parser = size)]
    size: Option<[usize; 2]>,
}

fn web_address(text: &str) -> Result<String, String> {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    match host {
        Some(host) if !host.is_empty() => Ok(text.to_owned()),
        _ => Err("expected an address that starts with http:// or https://".into()),
    }
}

/// Height and width, as in 32x32.
pub(crate) fn size(text: &str) -> Result<[usize; 2], String> {
    let parsed = text.split_once('x').and_then(|(h, w)| Some([h.parse().ok()?, w.parse().ok()?]));
    let positive = parsed.filter(|sides| sides.iter().all(|side| (1..=16384).contains(side)));
    positive.ok_or_else(|| "expected height and width of 1 to 16384, such as 32x32".into())
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    match &options.command {
        DataCommand::Fetch(options) => fetch_set(options)?,
        DataCommand::Info(options) => info(options)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn fetch_set(options: &FetchOptions) -> Result<()> {
    let set = match options.set {
        SetName::Mnist => FetchSet::Mnist,
        SetName::FashionMnist => FetchSet::FashionMnist,
        SetName::Cifar10 => FetchSet::Cifar10,
    };
    let bar = progress::bytes(0);
    let folder =
        fetch(set, &options.to, options.base_url.as_deref(), &mut |at: FetchProgress<'_>| {
            bar.set_message(at.file.to_owned());
            bar.set_length(at.total);
            bar.set_position(at.received);
        })?;
    bar.finish_and_clear();
    let folder = folder.display();
    print::line(&format!("{folder} is whole; look at it with: tweedie data info {folder}"))
}

fn info(options: &InfoOptions) -> Result<()> {
    let ending = options.out.extension();
    if !ending.is_some_and(|ending| ending.eq_ignore_ascii_case("png")) {
        bail!("--out is {}, expected a name that ends in .png", options.out.display());
    }
    let splits =
        open(&options.path, &OpenOptions { size: options.size, ..OpenOptions::default() })?;
    show("train", &splits.train)?;
    show("test", &splits.test)?;
    write_sheet(&splits.train, &options.out)?;
    print::line(&format!("contact sheet of the train images: {}", options.out.display()))
}

fn show(split: &str, set: &Dataset) -> Result<()> {
    print::line(&format!("{split}\n{}\n", set.info()))
}

/// Rows (one a class where there are labels) and columns of a contact sheet.
const SHEET_ROWS: usize = 10;
const SHEET_COLUMNS: usize = 10;

fn write_sheet(set: &Dataset, path: &Path) -> Result<()> {
    Ok(save_png(&contact_sheet(set, SHEET_ROWS, SHEET_COLUMNS)?, path)?)
}
