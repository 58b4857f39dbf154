//! Images to latents and back, through the binary.

use crate::program::{Program, TINY, TINY_FLOW, values};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use tweedie_checkpoints::TensorFile;

/// One tiny finished run in continuous time that the tests of this file share.
fn run() -> &'static Path {
    static RUN: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let made = RUN.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("run");
        Program::train(folder.path(), TINY, &out, &TINY_FLOW).expect_success();
        (folder, out)
    });
    &made.1
}

/// What counts as the same value: a quarter of the distance of two levels of the digits.
const NEAR: f64 = 0.03;

fn program(command: &str, words: &[&str], out: &Path) -> Program {
    let mut arguments = vec![command, run().to_str().unwrap()];
    arguments.extend(words);
    // a network of a dozen steps bends the flow more than a trained one: tight, to come back
    if !words.contains(&"--rtol") && !words.contains(&"--atol") {
        arguments.extend(["--rtol", "1e-6", "--atol", "1e-6"]);
    }
    arguments.extend(["--out", out.to_str().unwrap(), "--threads", "1"]);
    Program::run(&arguments)
}

#[test]
fn decoded_latents_are_the_images_that_were_encoded() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let latents = path("latents.safetensors");
    let text = program("encode", &["--limit", "3"], &latents).expect_success();
    let error = text.split("round trip: ").nth(1).unwrap().split(' ').next().unwrap();
    assert!(error.parse::<f64>().unwrap() < NEAR, "{text}");
    let classes = TensorFile::open(&latents).unwrap().read_i64("classes").unwrap();
    assert!(classes.len() == 3 && classes.iter().all(|class| (0..10).contains(class)));
    let (decoded, again) = (path("decoded.npy"), path("again.npy"));
    program("decode", &[latents.to_str().unwrap()], &decoded).expect_success();
    let data = ["--data", decoded.to_str().unwrap(), "--unconditional"];
    let latents = path("latents.npy");
    program("encode", &data, &latents).expect_success();
    let words = [latents.to_str().unwrap(), "--unconditional"];
    program("decode", &words, &again).expect_success();
    for (a, b) in values(&decoded).iter().zip(values(&again)) {
        assert!(f64::from(a - b).abs() < NEAR, "{a}, {b}");
    }
    program("decode", &words, &path("grid.png")).expect_success();
    assert!(image::open(path("grid.png")).unwrap().width() > 64);
}

#[test]
fn the_way_between_two_images_begins_and_ends_at_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (latents, way, ends) = (path("l.safetensors"), path("way.npy"), path("ends.npy"));
    program("encode", &["--limit", "2", "--unconditional"], &latents).expect_success();
    let [from, to] = ["#0", "#1"].map(|number| format!("{}{number}", latents.display()));
    let words = ["--from", &from, "--to", &to, "--steps", "5"];
    program("interpolate", &words, &way).expect_success();
    program("decode", &[latents.to_str().unwrap()], &ends).expect_success();
    let (way, ends) = (values(&way), values(&ends));
    assert_eq!(way.len(), 5 * 64);
    let close = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| f64::from(a - b).abs() < NEAR);
    assert!(close(&way[..64], &ends[..64]) && close(&way[4 * 64..], &ends[64..]));
    let of_classes = path("classes.safetensors");
    program("encode", &["--limit", "4"], &of_classes).expect_success();
    let classes = TensorFile::open(&of_classes).unwrap().read_i64("classes").unwrap();
    let other = classes.iter().position(|class| *class != classes[0]).unwrap();
    let [from, to] = [0, other].map(|number| format!("{}#{number}", of_classes.display()));
    let words = ["--from", &from, "--to", &to];
    let message = program("interpolate", &words, &path("mixed.npy")).expect_refusal();
    assert!(message.contains("different classes") && message.contains("--class"), "{message}");
    let words = [&words[..], &["--class", "1", "--steps", "2"]].concat();
    program("interpolate", &words, &path("mixed.npy")).expect_success();
    let picture = path("way.png");
    program("interpolate", &["--from", "3", "--to", "12", "--steps", "4"], &picture)
        .expect_success();
    let picture = image::open(&picture).unwrap();
    assert!(picture.width() > 3 * picture.height());
}

#[test]
fn what_cannot_be_carried_is_refused_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("x.npy");
    for (command, words, says) in [
        ("encode", &["--rtol", "0"][..], "--rtol is 0"),
        ("encode", &["--rtol", "1e-300"], "at least 1e-7 in f32"),
        ("encode", &["--limit", "1", "--max-evaluations", "9"], "9 evaluations, the most allowed"),
        ("interpolate", &["--from", "0", "--to", "1", "--atol", "1e-9"], "at least 1e-7 in f32"),
        ("encode", &["--eps", "2"], "--eps is 2"),
        ("encode", &["--data", "no/such/set"], "no/such/set"),
        ("decode", &["absent.npy"], "absent.npy"),
        ("decode", &["absent.npy", "--atol", "-1"], "--atol is -1"),
        ("decode", &["absent.npy", "--atol", "1e-9"], "at least 1e-7 in f32"),
        ("interpolate", &["--from", "0", "--to", "999"], "expected 0 to 179"),
        ("interpolate", &["--from", "0", "--to", "absent.png"], "absent.png"),
        ("interpolate", &["--from", "0", "--to", "1", "--steps", "1"], "at least 2"),
        ("interpolate", &["--from", "0", "--to", "1", "--class", "10"], "0 to 9"),
    ] {
        let message = program(command, words, &out).expect_refusal();
        assert!(message.contains(says), "{command} {words:?}: `{says}` is not in: {message}");
        assert!(!out.exists());
    }
    let picture = folder.path().join("x.png");
    let message = program("encode", &[], &picture).expect_refusal();
    assert!(message.contains(".safetensors"), "{message}");
}
