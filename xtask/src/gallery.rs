//! `cargo xtask gallery`: the pictures of the book's gallery and the page around them, from the bundled digits.

use crate::bench::recipe;
use crate::process;
use crate::tweedie::Tweedie;
use crate::workspace;
use anyhow::{Context, Result, bail};
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

/// The runs that the pictures come from: folder, recipe under `configs/`, and what differs from that.
const RUNS: [(&str, &str, &[&str]); 4] = [
    ("digits", "digits", &[]),
    ("digits-unconditional", "digits", &["network.class_conditional=false"]),
    ("digits-vp", "digits-vp", &[]),
    ("digits-classifier", "digits-classifier", &[]),
];

/// One picture of the gallery.
struct Picture {
    /// Its name, and that of its file.
    name: &'static str,
    title: &'static str,
    caption: &'static str,
    /// The program's command, its words divided by spaces; runs lie under `runs/`.
    command: &'static str,
}

const PICTURES: [Picture; 8] = [
    Picture {
        name: "samples",
        title: "Samples",
        caption: "A column a class, 50 steps of DDIM with noise.",
        command: "sample runs/digits --count 100 --columns 10 --eta 1",
    },
    Picture {
        name: "denoising",
        title: "From noise to image",
        caption: "A row an image, at twelve of 20 steps of DPM-Solver++.",
        command: "sample runs/digits-vp --count 4 --every-step --sampler dpm-solver++",
    },
    Picture {
        name: "guided",
        title: "Steered by a classifier",
        caption: "The model is told no class: a classifier of noisy images asks for a three and a seven.",
        command: "sample runs/digits --classifier runs/digits-classifier --untold --class 3,7 --guidance 3 --count 20 \
                  --columns 10",
    },
    Picture {
        name: "right-halves",
        title: "The other half",
        caption: "The original, its left half, and eight ways to complete it: a thousand ancestral steps, with \
                  the known half put back after each.",
        command: "inpaint runs/digits-unconditional --index 3,4,5 --right-half",
    },
    Picture {
        name: "holes",
        title: "A hole in the middle",
        caption: "Twenty evaluations: five steps of DPM-Solver++, each walked four times as RePaint does.",
        command: "inpaint runs/digits-unconditional --index 0,6,8 --box 2,2,4,4 --sampler dpm-solver++ --steps 5 --resample 4 \
                  --jump 1",
    },
    Picture {
        name: "enlarged",
        title: "Enlarged",
        caption: "Four by four means of two by two pixels, and digits that have them, by DDRM.",
        command: "restore runs/digits-unconditional --index 3,4,5 --downsample 2 --by ddrm",
    },
    Picture {
        name: "deblurred",
        title: "Blurred and noisy",
        caption: "A blur of one pixel with noise of a tenth of the data's unit, undone by DDRM.",
        command: "restore runs/digits-unconditional --index 0,6,8 --blur 1 --measurement-noise 0.1 --by ddrm",
    },
    Picture {
        name: "way",
        title: "From one to another",
        caption: "Between the latents of two images of the held-out set, along a great circle.",
        command: "interpolate runs/digits-vp --from 3 --to 12 --steps 12",
    },
];

/// What `cargo xtask gallery` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where the runs are kept; finished ones are not trained again [default: runs]
    #[arg(long, value_name = "FOLDER")]
    runs: Option<PathBuf>,

    /// Where the page and its pictures go [default: docs]
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

/// The command `gallery`.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let tweedie = Tweedie::build()?;
    let runs = args.runs.clone().unwrap_or_else(|| workspace::root().join("runs"));
    let out = args.out.clone().unwrap_or_else(|| workspace::root().join("docs"));
    for (folder, recipe, changes) in RUNS {
        recipe::train_changed(&tweedie, recipe, &runs.join(folder), 0, changes)?;
    }
    for picture in &PICTURES {
        let mut command = tweedie.command();
        for word in picture.command.split_whitespace() {
            match word.strip_prefix("runs/") {
                Some(run) => command.arg(runs.join(run)),
                None => command.arg(word),
            };
        }
        let file = out.join("pictures").join(file_of(picture));
        if !process::run(command.arg("--out").arg(&file))?.is_success() {
            bail!("the picture {} was not drawn", picture.name);
        }
    }
    let page = out.join("gallery.md");
    fs::write(&page, text()).with_context(|| format!("cannot write {}", page.display()))?;
    Ok(ExitCode::SUCCESS)
}

fn file_of(picture: &Picture) -> String {
    format!("gallery-{}.png", picture.name)
}

/// The page: each picture with the command that drew it.
fn text() -> String {
    let mut page = "# Gallery\n\nWhat the bundled digits give, 8x8 pixels and a million parameters. `cargo xtask gallery` \
                    trains the models,\ndraws the pictures and writes this page.\n"
        .to_owned();
    for picture in &PICTURES {
        let Picture { title, caption, command, .. } = picture;
        let file = file_of(picture);
        // writing to a string does not fail
        let _ = write!(
            page,
            "\n## {title}\n\n![{title}](pictures/{file})\n\n{caption}\n\n```sh\ntweedie {command} --out {file}\n```\n"
        );
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_in_the_book_is_that_of_the_command() {
        let page = fs::read_to_string(workspace::root().join("docs/gallery.md")).expect("a page");
        assert_eq!(page, text());
        for picture in &PICTURES {
            assert!(workspace::root().join("docs/pictures").join(file_of(picture)).exists());
        }
    }

    #[test]
    fn every_run_of_a_picture_is_trained() {
        let words = PICTURES.iter().flat_map(|picture| picture.command.split_whitespace());
        for run in words.filter_map(|word| word.strip_prefix("runs/")) {
            assert!(RUNS.iter().any(|(folder, ..)| *folder == run), "{run}");
        }
    }
}
