//! Likelihoods, through the binary.

use crate::program::{Program, TINY, TINY_FLOW};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::OnceLock;

/// Two tiny finished runs that the tests of this file share: one in continuous time on levels filled
/// with noise, and a discrete one on bare levels.
fn runs() -> &'static [PathBuf; 2] {
    static RUNS: OnceLock<(tempfile::TempDir, [PathBuf; 2])> = OnceLock::new();
    let made = RUNS.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let outs = ["flow", "table"].map(|name| folder.path().join(name));
        for (out, more) in outs.iter().zip([&TINY_FLOW[..], &[]]) {
            Program::train(folder.path(), TINY, out, more).expect_success();
        }
        (folder, outs)
    });
    &made.1
}

fn arguments<'a>(run: &'a Path, out: &'a Path, more: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec!["likelihood", run.to_str().unwrap(), "--threads", "1"];
    arguments.extend(["--out", out.to_str().unwrap()]);
    arguments.extend(more);
    arguments
}

fn likelihood(run: &Path, out: &Path, more: &[&str]) -> Program {
    Program::run(&arguments(run, out, more))
}

/// Loose enough to be done in seconds.
const FLOW: [&str; 6] = ["--method", "flow", "--rtol", "1e-2", "--atol", "1e-2"];

fn report(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn the_flow_reports_bits_with_their_error_the_shares_of_both_ends_and_its_passes() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("flow.json");
    let more =
        [&FLOW[..], &["--limit", "6", "--batch-size", "4", "--repeats", "2", "--probes", "2"]];
    let text = likelihood(&runs()[0], &out, &more.concat()).expect_success();
    for part in ["bits/dim", "±", "prior takes at most", "lower time limit", "evaluations"] {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
    let report = report(&out);
    let number = |key: &str| report[key].as_f64().unwrap_or_else(|| panic!("{key} in {report}"));
    assert!(number("bits_per_dim").is_finite() && number("standard_error") > 0.0);
    assert_eq!((number("dimensions"), number("levels"), number("images")), (64.0, 17.0, 6.0));
    assert_eq!(number("backward_passes"), 2.0 * number("forward_passes"));
    assert_eq!(report["bits_per_dim_of_repeats"].as_array().unwrap().len(), 2);
    assert_eq!(report["per_image"].as_array().unwrap().len(), 6);
    // a run of this program knows no clipping in training, and levels lie in their range
    for none in ["clipped_by_its_program_to", "values_outside_scale"] {
        assert!(report[none].is_null(), "{none}: {report}");
    }
    for share in ["nats_taken_by_prior_at_most", "nats_added_by_lower_limit"] {
        assert!(report[share]["mean"].is_f64(), "{share}: {report}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn the_bound_reports_its_terms_by_step_and_draws_them() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("bound.json");
    for (run, variance) in [(0, "fixed-large"), (1, "fixed-small"), (1, "analytic")] {
        let more = ["--method", "bound", "--limit", "6", "--steps", "5", "--variance", variance];
        let text = likelihood(&runs()[run], &out, &more).expect_success();
        assert!(text.contains("bits/dim at most") && text.contains(variance), "{text}");
        let report = report(&out);
        let terms = report["terms"].as_array().unwrap();
        assert_eq!(terms.len(), 5);
        let sum: f64 = terms.iter().map(|term| term["bits_per_dim"].as_f64().unwrap()).sum();
        let whole = sum + report["prior"]["mean"].as_f64().unwrap();
        let total = report["bits_per_dim"].as_f64().unwrap();
        assert!((whole - total).abs() < 1e-9 * total, "{whole}, not {total}");
        assert!(image::open(folder.path().join("bound.png")).unwrap().width() >= 1000);
    }
}

/// Measures until the first batch is reported, then is sent `signal`; the exit code, if any.
fn interrupted(run: &Path, out: &Path, more: &[&str], signal: &str) -> Option<i32> {
    let mut child = Program::command()
        .args(arguments(run, out, more))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    lines.find(|line| line.as_ref().is_ok_and(|line| line.contains(" images "))).unwrap().unwrap();
    std::process::Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
    for _ in lines {}
    child.wait().unwrap().code()
}

#[test]
fn an_interrupted_measurement_goes_on_and_ends_with_the_same_figure() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, broken) = (folder.path().join("whole.json"), folder.path().join("broken.json"));
    let run = &runs()[1];
    let more = ["--method", "bound", "--limit", "40", "--batch-size", "2", "--seed", "3"];
    likelihood(run, &whole, &more).expect_success();
    assert_eq!(interrupted(run, &broken, &more, "-TERM"), Some(143));
    assert_eq!(interrupted(run, &broken, &more, "-KILL"), None);
    assert!(!broken.exists(), "a report of a measurement that is not finished");
    let another_seed = [&more[..6], &["--seed", "4"]].concat();
    let another_variance = [&more[..], &["--variance", "fixed-large"]].concat();
    let another_batch = [&more[..4], &["--batch-size", "20", "--seed", "3"]].concat();
    let another_precision = [&more[..], &["--precision", "bf16"]].concat();
    for (other, says) in [
        (another_seed, "--seed 3"),
        (another_variance, "fixed-large"),
        (another_batch, "--batch-size 2"),
        (another_precision, "--precision \"f32\""),
    ] {
        let message = likelihood(run, &broken, &other).expect_refusal();
        assert!(message.contains(says) && message.contains("--fresh"), "{message}");
    }
    let ledger = folder.path().join("broken.unfinished.json");
    let kept = std::fs::read(&ledger).unwrap();
    let mut too_many: Value = serde_json::from_slice(&kept).unwrap();
    too_many["done"] = 21.into();
    std::fs::write(&ledger, too_many.to_string()).unwrap();
    let message = likelihood(run, &broken, &more).expect_refusal();
    assert!(message.contains("keeps 21 finished parts, this measurement has 20"), "{message}");
    std::fs::write(&ledger, kept).unwrap();
    likelihood(run, &broken, &more).expect_success();
    assert_eq!(report(&whole), report(&broken));
    assert!(!folder.path().join("broken.unfinished.json").exists());
}

#[test]
fn a_tolerance_that_takes_more_evaluations_than_allowed_is_given_up_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("report.json");
    let more = ["--method", "flow", "--limit", "1", "--max-evaluations", "20"];
    let message = likelihood(&runs()[0], &out, &more).expect_refusal();
    for part in ["(relative 1e-5, absolute 1e-5) cannot be met: 20 evaluations", "lead to t = 0.00"]
    {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_signal_stops_within_a_batch_and_keeps_the_batches_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("report.json");
    let run = &runs()[0];
    // many backward passes an evaluation, so that a batch lasts longer than a signal takes
    let more = [&FLOW[..], &["--limit", "3", "--batch-size", "1", "--probes", "16"]].concat();
    assert_eq!(interrupted(run, &out, &more, "-TERM"), Some(143));
    let kept = report(&folder.path().join("report.unfinished.json"));
    // the second batch was under way when the first was reported
    assert_eq!((kept["done"].as_u64(), out.exists()), (Some(1), false));
}

#[test]
fn values_outside_the_range_of_the_data_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let (out, data) = (folder.path().join("report.json"), folder.path().join("data.npy"));
    array(&data, &[1, 1, 8, 8], 0.5, -1.5);
    let more = [&FLOW[..], &["--unconditional", "--data", data.to_str().unwrap()]].concat();
    let warning = likelihood(&runs()[0], &out, &more).expect_warning();
    assert!(warning.contains("1 of the 64 values") && warning.contains("-1.5"), "{warning}");
    assert_eq!(report(&out)["values_outside_scale"], 1);
}

#[test]
fn kept_moments_are_those_of_the_same_condition_and_start_over_on_request() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("report.json");
    let more = ["--method", "bound", "--steps", "3", "--limit", "1", "--variance", "analytic"];
    let notes = |other: &[&str]| {
        let words = [&more[..], &["--moment-images", "2"], other].concat();
        likelihood(&runs()[1], &out, &words).expect_warning()
    };
    let found = "moments of the noise prediction";
    assert!(!notes(&[]).contains(found));
    assert!(notes(&[]).contains(found));
    for other in [&["--unconditional"][..], &["--fresh", "--unconditional"]] {
        assert!(!notes(other).contains(found), "{other:?}");
    }
    let text = likelihood(&runs()[1], &out, &more[..6]).expect_success();
    assert!(text.contains("(of one image)") && !text.contains("NaN"), "{text}");
}

#[test]
fn an_image_has_the_same_likelihood_in_any_batch() {
    let folder = tempfile::tempdir().unwrap();
    let bits = |name: &str, size: &str| -> Vec<f64> {
        let out = folder.path().join(name);
        let more = ["--method", "bound", "--steps", "5", "--limit", "5", "--batch-size", size];
        likelihood(&runs()[1], &out, &more).expect_success();
        let report = report(&out);
        let images = report["per_image"].as_array().unwrap();
        images.iter().map(|image| image["bits_per_dim"].as_f64().unwrap()).collect()
    };
    for (alone, together) in bits("alone.json", "1").iter().zip(bits("together.json", "5")) {
        assert!((alone - together).abs() < 1e-3 * together, "{alone}, {together}");
    }
}

/// An array file of one value at all places but one.
fn array(path: &Path, shape: &[u64], value: f32, first: f32) {
    use npyz::WriterBuilder;
    let file = std::fs::File::create(path).unwrap();
    let options = npyz::WriteOptions::new().default_dtype().shape(shape);
    let mut writer = options.writer(file).begin_nd().unwrap();
    let count = shape.iter().product::<u64>() as usize;
    writer.extend((0..count).map(|place| if place == 0 { first } else { value })).unwrap();
    writer.finish().unwrap();
}

#[test]
fn bad_data_is_refused_before_the_network_runs() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    array(&path("nan.npy"), &[2, 1, 8, 8], 0.5, f32::NAN);
    array(&path("channels.npy"), &[2, 3, 8, 8], 0.5, 0.5);
    array(&path("shape.npy"), &[2, 1, 4, 4], 0.5, 0.5);
    array(&path("flat.npy"), &[2, 64], 0.5, 0.5);
    array(&path("bytes.npy"), &[2, 1, 8, 8], 0.5, 255.0);
    image::GrayImage::new(16, 16).save(path("large.png")).unwrap();
    image::RgbImage::new(8, 8).save(path("colour.png")).unwrap();
    let out = path("report.json");
    for (data, says) in [
        ("nan.npy", "value 0 of image 0 is NaN"),
        ("channels.npy", "[3, 8, 8], this model takes [1, 8, 8]"),
        ("shape.npy", "[1, 4, 4], this model takes [1, 8, 8]"),
        ("flat.npy", "[n, channels, height, width]"),
        ("bytes.npy", "holds the value 255: its values are on another scale"),
        ("large.png", "[1, 16, 16], this model takes [1, 8, 8]"),
        ("colour.png", "[3, 8, 8], this model takes [1, 8, 8]"),
        ("absent.npy", "absent.npy"),
        ("absent", "absent"),
    ] {
        let data = path(data);
        let more = [&FLOW[..], &["--unconditional", "--data", data.to_str().unwrap()]].concat();
        let message = likelihood(&runs()[0], &out, &more).expect_refusal();
        assert!(message.contains(says), "`{says}` is not in: {message}");
        assert!(!out.exists() && !path("report.unfinished.json").exists());
    }
    image::GrayImage::new(8, 8).save(path("fits.png")).unwrap();
    let fits = path("fits.png");
    let more = [&FLOW[..], &["--data", fits.to_str().unwrap()]].concat();
    let message = likelihood(&runs()[0], &out, &more).expect_refusal();
    assert!(message.contains("has no classes") && message.contains("--unconditional"), "{message}");
    likelihood(&runs()[0], &out, &[&more[..], &["--unconditional"]].concat()).expect_success();
}

#[test]
fn bad_options_are_refused_before_the_network_runs() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("report.json");
    let [flow, table] = runs();
    for (run, words, says) in [
        (flow, "--method flow --rtol 0", "--rtol is 0"),
        (flow, "--method flow --rtol -0.001", "--rtol is -0.001"),
        (flow, "--method flow --rtol nan", "--rtol is NaN"),
        (flow, "--method flow --atol 0", "--atol is 0"),
        (flow, "--method flow --rtol -1e-3", "--rtol is -0.001"),
        (flow, "--method flow --rtol 1e-300 --atol 1e-300", "at least 1e-7 in f32"),
        (flow, "--method flow --atol 1e-8", "--atol is 1e-8, expected at least 1e-7"),
        (flow, "--method flow --rtol 1e-7 --precision bf16", "at least 1e-6 in bf16"),
        (flow, "--method flow --max-evaluations 0", "--max-evaluations"),
        (flow, "--method bound --max-evaluations 5", "goes with --method flow"),
        (flow, "--method flow --probes 0", "from 1 to 10000"),
        (flow, "--method flow --probes 10001", "from 1 to 10000"),
        (flow, "--method flow --repeats 0", "from 1 to 1000"),
        (flow, "--method flow --repeats 18446744073709551615", "from 1 to 1000"),
        (flow, "--method flow --probe exact --probes 2", "--probes means nothing"),
        (flow, "--method flow --eps 1e-7", "expected 0.00001 to less than 1"),
        (flow, "--method flow --eps 1", "expected 0.00001 to less than 1"),
        (table, "--method flow --eps 1e-5", "knows no time before its first"),
        (flow, "--method flow --clip", "no exact likelihood"),
        (flow, "--method flow --steps 5", "--steps goes with --method bound"),
        (flow, "--method bound --rtol 0.1", "--rtol goes with --method flow"),
        (table, "--method bound --variance learned", "trained without a variance of its own"),
        (table, "--method bound --steps 101", "--steps is 101, expected 2 to 100"),
        (table, "--method bound --steps 1", "--steps is 1, expected 2 to 100"),
        (table, "--method bound --steps 0", "--steps is 0, expected 2 to 100"),
        (flow, "--method bound --steps 1", "--steps is 1, expected 2 to 100000"),
        (table, "--method bound --eps 0.1", "--eps is for models in continuous time"),
        (table, "--method bound --moment-images 5", "--variance analytic"),
        (flow, "--method flow --limit 0", "from 1 to"),
        (flow, "--method flow --source no/such/set", "--source says where it lies now"),
    ] {
        let more: Vec<_> = words.split_whitespace().collect();
        let message = likelihood(run, &out, &more).expect_refusal();
        assert!(message.contains(says), "{words}: `{says}` is not in: {message}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "{words} left something");
    }
    let text = folder.path().join("report.txt");
    let message = likelihood(flow, &text, &FLOW).expect_refusal();
    assert!(message.contains(".json"), "{message}");
}

#[test]
fn a_model_of_bare_levels_is_told_what_its_density_means() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("report.json");
    let more = [&FLOW[..], &["--limit", "2"]].concat();
    let warning = likelihood(&runs()[1], &out, &more).expect_warning();
    assert!(warning.contains("data.dequantize = false"), "{warning}");
}
