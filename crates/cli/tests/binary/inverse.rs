//! Inpainting, colorization and restoration through the binary.

use crate::program::{Program, TINY, TINY_FLOW, values};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use tweedie_datasets::{Dataset, digits_splits, picture_byte};

struct Runs {
    folder: tempfile::TempDir,
    /// In continuous time, on dequantized digits.
    flow: PathBuf,
    /// A table of steps, on digits in a border.
    padded: PathBuf,
    /// Pictures of three channels.
    colours: PathBuf,
    /// The same with values from 0 to 1.
    uncentred: PathBuf,
}

/// Tiny finished runs that the tests of this file share.
fn runs() -> &'static Runs {
    static RUNS: OnceLock<Runs> = OnceLock::new();
    RUNS.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let train = |name: &str, more: &[&str]| {
            let out = folder.path().join(name);
            Program::train(folder.path(), TINY, &out, more).expect_success();
            out
        };
        let pictures = folder.path().join("pictures");
        std::fs::create_dir(&pictures).unwrap();
        for k in 0..20_u8 {
            let pixel = |x: u32, y: u32| image::Rgb([12 * k, (31 * x) as u8, 255 - (31 * y) as u8]);
            let picture = image::RgbImage::from_fn(8, 8, pixel);
            picture.save(pictures.join(format!("{k:02}.png"))).unwrap();
        }
        let source = format!("data.source=\"{}\"", pictures.display());
        let coloured = ["--set", &source, "--set", "network.class_conditional=false"];
        Runs {
            flow: train("flow", &TINY_FLOW),
            padded: train(
                "padded",
                &["--set", "data.pad=[12,12]", "--set", "network.attention=[6]"],
            ),
            uncentred: train(
                "uncentred",
                &[&coloured[..], &["--set", "data.centered=false"]].concat(),
            ),
            colours: train("colours", &coloured),
            folder,
        }
    })
}

fn test_images() -> Dataset {
    digits_splits().unwrap().test
}

fn bytes_of(set: &Dataset, index: usize) -> Vec<u8> {
    set.image(index).iter().map(|level| picture_byte(*level, set.levels())).collect()
}

/// A command on a run, of few steps and on one thread.
fn program(command: &str, run: &Path, more: &[&str]) -> Program {
    let arguments = [&[command, run.to_str().unwrap(), "--threads", "1"], more].concat();
    Program::run(&arguments)
}

/// The JSON that a command prints.
fn report(command: &str, run: &Path, more: &[&str]) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("x.png");
    let arguments = [more, &["--json", "--out", out.to_str().unwrap()]].concat();
    let text = program(command, run, &arguments).expect_success();
    assert!(out.exists());
    serde_json::from_str(&text).unwrap()
}

/// The bytes of a grey picture.
fn read(path: &Path) -> Vec<u8> {
    image::open(path).unwrap().into_luma8().into_raw()
}

const WAYS: [&[&str]; 7] = [
    &["--steps", "5"],
    &["--steps", "5", "--sampler", "ddim", "--eta", "1"],
    &["--steps", "4", "--resample", "2", "--jump", "2"],
    &["--steps", "4", "--by", "project"],
    &["--by", "project", "--sampler", "ode", "--rtol", "0.1", "--atol", "0.1"],
    &["--steps", "4", "--by", "ddrm"],
    &["--steps", "4", "--by", "posterior", "--iterations", "2"],
];

#[test]
fn known_pixels_come_out_as_they_went_in_by_every_way() {
    let (runs, set) = (runs(), test_images());
    let folder = tempfile::tempdir().unwrap();
    for (run, ways) in [(&runs.flow, &WAYS[..]), (&runs.padded, &WAYS[..4])] {
        for way in ways {
            let out = folder.path().join("restored");
            let more = ["--index", "3,11", "--right-half", "--count", "2"];
            let more = [&more, *way, &["--out", out.to_str().unwrap()]].concat();
            program("inpaint", run, &more).expect_success();
            let drawn: Vec<_> = (0..4).map(|k| read(&out.join(format!("{k:05}.png")))).collect();
            for (k, restored) in drawn.iter().enumerate() {
                let given = bytes_of(&set, [3, 11][k / 2]);
                let known = |place: &usize| place % 8 < 4;
                assert!((0..64).filter(known).all(|at| restored[at] == given[at]), "{way:?}");
            }
            assert_ne!(drawn[0], drawn[1], "{way:?}");
        }
    }
}

#[test]
fn a_picture_between_the_levels_of_the_data_is_kept_to_the_last_bit() {
    let (runs, folder) = (runs(), tempfile::tempdir().unwrap());
    let path = |name: &str| folder.path().join(name);
    let picture = image::GrayImage::from_fn(8, 8, |x, y| image::Luma([(37 * x + 29 * y) as u8]));
    picture.save(path("a.png")).unwrap();
    let mask = image::GrayImage::from_fn(8, 8, |x, y| image::Luma([255 * u8::from(x + y > 3)]));
    mask.save(path("mask.png")).unwrap();
    let (image, given) = (path("a.png"), path("mask.png"));
    let (image, given) = (image.to_str().unwrap(), given.to_str().unwrap());
    let out = path("restored");
    let more = ["--image", image, "--mask", given, "--count", "1", "--steps", "4", "--out"];
    for run in [&runs.flow, &runs.padded] {
        program("inpaint", run, &[&more[..], &[out.to_str().unwrap()]].concat()).expect_success();
        let restored = read(&out.join("00000.png"));
        let known = mask.as_raw().iter().map(|white| *white == 255);
        let mut pairs = known.zip(restored.iter().zip(picture.as_raw()));
        assert!(pairs.all(|(known, (got, given))| !known || got == given));
    }
}

#[test]
fn restorations_agree_with_what_was_measured() {
    let runs = runs();
    let few = ["--index", "5", "--count", "2", "--steps", "5"];
    for (run, measured) in [
        (&runs.flow, &["--downsample", "4"][..]),
        (&runs.flow, &["--bicubic", "2", "--by", "project"]),
        (&runs.flow, &["--blur", "0.7", "--downsample", "2", "--by", "ddrm"]),
        (&runs.padded, &["--downsample", "2"]),
        (&runs.colours, &["--data", "train", "--blur", "0.5", "--grey"]),
        (&runs.colours, &["--data", "train", "--mix", "1,0.5,0;0,0.5,1"]),
    ] {
        let found = report("restore", run, &[&few, measured].concat());
        let residual = found["residual"].as_f64().unwrap();
        // states in single precision, of values up to 1
        assert!(residual < 1e-4, "{measured:?}: {residual}");
        assert!(found["images"][0]["rms_errors"][1].as_f64().unwrap() > 1e-3, "{found}");
    }
}

#[test]
fn noise_is_added_and_known() {
    let run = &runs().flow;
    let more = [
        "--index",
        "5",
        "--blur",
        "0.5",
        "--measurement-noise",
        "0.2",
        "--steps",
        "5",
        "--by",
        "ddrm",
    ];
    let found = report("restore", run, &more);
    let of_noise = found["residual_of_noise"].as_f64().unwrap();
    assert!((of_noise - 0.2 * 8.0).abs() < 1e-12);
    // an exact solution would have taken the noise for data
    assert!(found["residual"].as_f64().unwrap() > 0.1 * of_noise, "{found}");
}

#[test]
fn a_report_names_the_step_that_a_noisy_measurement_adds() {
    let of = |noise: &str| {
        let more = ["--right-half", "--index", "5", "--steps", "5", "--measurement-noise", noise];
        report("inpaint", &runs().flow, &more)["sampler"].to_string()
    };
    assert!(!of("0").contains("more to stop"));
    assert!(of("0.3").contains("1 more to stop at the measurement's noise"), "{}", of("0.3"));
}

#[test]
fn ddrm_reports_its_own_share_of_fresh_noise() {
    let more = ["--index", "5", "--downsample", "2", "--steps", "3", "--by", "ddrm"];
    let sampler = |more: &[&str]| report("restore", &runs().flow, more)["sampler"].to_string();
    let published = sampler(&more);
    assert!(
        published.contains("ddrm of eta 0.85") && !published.contains("eta 0\""),
        "{published}"
    );
    let asked = sampler(&[&more[..], &["--eta", "0.5"]].concat());
    assert!(asked.contains("ddrm of eta 0.5"), "{asked}");
}

#[test]
fn a_measured_picture_is_of_images_from_minus_one_to_one_whatever_the_range_of_the_data() {
    let (runs, folder) = (runs(), tempfile::tempdir().unwrap());
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    // y = 0.2 (red + green + blue) of a picture that is 0.5 everywhere
    let y = npy([1, 1, 8, 8], &[0.3; 64]);
    std::fs::write(path("y.npy"), y).unwrap();
    for run in [&runs.colours, &runs.uncentred] {
        let (image, out) = (path("y.npy"), path("restored.npy"));
        let more = ["--image", &image, "--measured", "--mix", "0.2,0.2,0.2", "--count", "1"];
        let more = [&more[..], &["--steps", "4", "--out", &out]].concat();
        program("restore", run, &more).expect_success();
        let restored = values(Path::new(&out));
        let off = (0..64).map(|k| {
            let sum: f32 = (0..3).map(|channel| restored[64 * channel + k]).sum();
            (0.2 * sum - 0.3).abs()
        });
        assert!(off.fold(0.0, f32::max) < 1e-5, "{}", run.display());
    }
}

/// An array as `NumPy` saves it.
fn npy(shape: [usize; 4], values: &[f32]) -> Vec<u8> {
    let [n, c, h, w] = shape;
    let words =
        format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({n}, {c}, {h}, {w}), }}");
    let header = format!("{words:<117}\n");
    let start = [b"\x93NUMPY\x01\x00".as_slice(), &118_u16.to_le_bytes(), header.as_bytes()];
    let values = values.iter().flat_map(|value| value.to_le_bytes());
    start.concat().into_iter().chain(values).collect()
}

#[test]
fn a_row_of_the_picture_is_an_image_its_measurement_and_its_restorations() {
    let (runs, folder) = (runs(), tempfile::tempdir().unwrap());
    let out = folder.path().join("x.png");
    let more = ["--data", "train", "--index", "0,7", "--count", "3", "--steps", "4", "--out"];
    let more = [&more[..], &[out.to_str().unwrap()]].concat();
    let text = program("colorize", &runs.colours, &more).expect_success();
    assert!(text.contains("train 7: residual |A x - y|"), "{text}");
    let picture = image::open(&out).unwrap().into_rgb8();
    assert_eq!(picture.dimensions(), (2 + 5 * 66, 2 + 2 * 66));
    let [red, green, blue] = picture.get_pixel(66 + 20, 20).0;
    assert!(red == green && green == blue, "the measurement is grey");
}

#[test]
fn a_measurement_may_be_given_as_it_is() {
    let (runs, folder) = (runs(), tempfile::tempdir().unwrap());
    let path = |name: &str| folder.path().join(name);
    image::GrayImage::from_pixel(2, 2, image::Luma([90])).save(path("small.png")).unwrap();
    image::GrayImage::from_pixel(8, 8, image::Luma([90])).save(path("grey.png")).unwrap();
    let (small, grey) = (path("small.png"), path("grey.png"));
    let given = |file: &Path| {
        ["--image", file.to_str().unwrap(), "--measured", "--count", "1", "--steps", "4"]
            .map(str::to_owned)
    };
    let words = |file: &Path, more: &[&str]| -> Vec<String> {
        given(file).into_iter().chain(more.iter().map(|word| (*word).to_owned())).collect()
    };
    let found = |command: &str, run: &Path, words: &[String]| {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        report(command, run, &words)
    };
    let restored = found("restore", &runs.flow, &words(&small, &["--downsample", "4"]));
    assert!(restored["residual"].as_f64().unwrap() < 1e-4, "{restored}");
    assert!(restored["images"][0]["rms_errors"].is_null());
    let coloured = found("colorize", &runs.colours, &words(&grey, &[]));
    assert!(coloured["residual"].as_f64().unwrap() < 1e-4, "{coloured}");
    let grey = grey.to_str().unwrap();
    let more = ["--image", grey, "--measured", "--downsample", "4"];
    let message = program("restore", &runs.flow, &more).expect_refusal();
    assert!(message.contains("[1, 8, 8]") && message.contains("[1, 2, 2]"), "{message}");
}

#[test]
fn the_judge_compares_with_the_mean_filled_in() {
    let run = &runs().flow;
    let more = ["--limit", "12", "--right-half", "--count", "2", "--steps", "2", "--judge"];
    let found = report("inpaint", run, &more);
    let whole = &found["judged"]["whole"];
    assert!(whole["original"].as_f64().unwrap() > 0.9, "{whole}");
    for judged in [whole, &found["judged"]["unknown_part"]] {
        for share in ["restored", "mean_filled", "original"] {
            assert!((0.0..=1.0).contains(&judged[share].as_f64().unwrap()), "{judged}");
        }
    }
    // where nothing is known, the mean is the same for all
    assert!(found["judged"]["unknown_part"]["mean_filled"].as_f64().unwrap() < 0.5, "{found}");
}

#[test]
fn what_cannot_be_restored_is_refused_before_any_network_runs() {
    let runs = runs();
    let path = |name: &str| runs.folder.path().join(name).to_str().unwrap().to_owned();
    let save = |name: &str, side: u32, value: u8| {
        image::GrayImage::from_pixel(side, side, image::Luma([value])).save(path(name)).unwrap();
        path(name)
    };
    let (wide, white) = (save("wide.png", 9, 0), save("white.png", 8, 255));
    let (black, colour) = (save("black.png", 8, 0), path("pictures/00.png"));
    let three = ["--index", "3"];
    for (command, more, says) in [
        (
            "inpaint",
            &[&three[..], &["--mask", &wide]].concat()[..],
            "9 wide and 9 high, expected 8",
        ),
        ("inpaint", &[&three[..], &["--mask", &white]].concat(), "all 64 pixels are known"),
        ("inpaint", &[&three[..], &["--mask", &black]].concat(), "none of 64 pixels is known"),
        ("inpaint", &[&three[..], &["--mask", "nowhere.png"]].concat(), "nowhere.png"),
        ("inpaint", &[&three[..], &["--box", "5,5,4,2"]].concat(), "does not lie within"),
        ("inpaint", &["--right-half"], "which image?"),
        ("inpaint", &["--right-half", "--index", "180"], "no image 180, expected 0 to 179"),
        ("inpaint", &["--right-half", "--image", &wide], "[1, 9, 9], this model takes [1, 8, 8]"),
        ("inpaint", &["--right-half", "--image", &colour], "[3, 8, 8], this model takes [1, 8, 8]"),
        ("inpaint", &["--right-half", "--image", "nowhere.png"], "there is no such file"),
        ("inpaint", &["--right-half", "--index", "0", "--measurement-noise", "-1"], "noise is -1"),
        (
            "inpaint",
            &["--right-half", "--index", "0", "--measurement-noise", "nan"],
            "noise is NaN",
        ),
        (
            "inpaint",
            &["--right-half", "--index", "0", "--measurement-noise", "1e39"],
            "expected a number from 0 to 1e6",
        ),
        ("inpaint", &["--right-half", "--index", "0", "--class", "10"], "0 to 9"),
        ("inpaint", &["--right-half", "--index", "0", "--class", "1,2"], "2 classes for 1 image"),
        ("inpaint", &["--right-half", "--index", "0", "--guidance", "2"], "--class says which"),
        (
            "inpaint",
            &["--right-half", "--index", "0", "--by", "ddrm", "--eta", "2"],
            "--eta is 2, expected a value in [0, 1]",
        ),
        ("inpaint", &["--right-half", "--index", "0", "--sampler", "ode"], "--by project"),
        (
            "inpaint",
            &["--right-half", "--index", "0", "--by", "ddrm", "--sampler", "ddim"],
            "without --sampler",
        ),
        ("inpaint", &["--right-half", "--image", &white, "--judge"], "--judge asks"),
        ("inpaint", &["--index", "0"], "--mask"),
        ("colorize", &three, "have 1 channel"),
        ("restore", &three, "what was done to the images?"),
        ("restore", &[&three[..], &["--downsample", "3"]].concat(), "expected a divisor"),
        ("restore", &[&three[..], &["--blur", "0"]].concat(), "deviation of the blur is 0"),
        ("restore", &[&three[..], &["--blur", "1e-9"]].concat(), "knows all 64 values"),
        ("restore", &[&three[..], &["--downsample", "1"]].concat(), "knows all 64 values"),
        ("restore", &[&three[..], &["--bicubic", "1"]].concat(), "knows all 64 values"),
        ("restore", &[&three[..], &["--mix", "1;1"]].concat(), "knows all"),
        ("restore", &[&three[..], &["--mix", "0"]].concat(), "--mix has 0 as its largest"),
        ("restore", &[&three[..], &["--mix", "1e200"]].concat(), "--mix has 1"),
        ("restore", &[&three[..], &["--grey"]].concat(), "have 1 channel"),
        (
            "restore",
            &[&three[..], &["--downsample", "2", "--mask", &white]].concat(),
            "8 wide and 8 high, expected 4 and 4",
        ),
    ] {
        let out = path("x.png");
        let message = program(command, &runs.flow, &[more, &["--out", &out]].concat());
        let message = message.expect_refusal();
        assert!(message.contains(says), "`{says}` is not in: {message}");
        assert!(!Path::new(&out).exists());
    }
}
