//! The options of a method against what they make.

use super::*;
use clap::{Parser, ValueEnum};
use std::path::Path;
use tweedie_checkpoints::NoiseConfig;
use tweedie_schedules::{Edm, SubVpLinear, VeGeometric, VpCosine, VpLinear};

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    method: Method,
}

fn method(words: &str) -> Method {
    Line::parse_from(["x"].into_iter().chain(words.split_whitespace())).method
}

fn cosine(count: usize) -> RunSchedule {
    RunSchedule::Table(DiscreteTable::cosine(count).unwrap())
}

/// One model of each kind, and one that starts in pure noise.
fn schedules() -> [RunSchedule; 7] {
    let zero_snr = DiscreteTable::cosine(100).unwrap().rescaled_to_zero_snr().unwrap();
    [
        cosine(100),
        RunSchedule::Table(zero_snr),
        RunSchedule::VpLinear(VpLinear::new(0.1, 20.0).unwrap()),
        RunSchedule::VpCosine(VpCosine::default()),
        RunSchedule::SubVp(SubVpLinear::new(0.1, 20.0).unwrap()),
        RunSchedule::Ve(VeGeometric::new(0.01, 50.0).unwrap()),
        RunSchedule::Edm(Edm::new(0.002, 80.0).unwrap()),
    ]
}

#[test]
fn options_of_other_methods_are_refused_with_the_methods_that_take_them() {
    for (words, taker) in [
        ("--sampler ddpm --eta 0.5", "ddim"),
        ("--sampler ddim --variance fixed-large", "ddpm"),
        ("--sampler pndm --order 2", "unipc"),
        ("--sampler unipc --churn 10", "heun"),
        ("--sampler unipc --single-step", "dpm-solver++"),
        ("--sampler ddim --rtol 0.1", "ode"),
        ("--sampler ode --steps 10", "--steps means nothing to --sampler ode"),
        ("--sampler dpm-solver-adaptive --corrector langevin", "--corrector means nothing"),
    ] {
        let error = method(words).plan(&cosine(100), None).err().expect(words).to_string();
        assert!(error.contains(taker), "{words}: {error}");
    }
}

#[test]
fn values_out_of_range_are_refused() {
    for words in [
        "--eta -1",
        "--sampler deis --order 4",
        "--corrector langevin --snr 0",
        "--sampler ode --rtol 0",
        "--sampler ode --atol -1",
        "--sampler dpm-solver-adaptive --order 1",
        "--sampler ddpm --variance learned",
        "--eps 0.1",
    ] {
        assert!(method(words).plan(&cosine(100), None).is_err(), "{words}");
    }
    for learned in [Learned::Range, Learned::LogVariance, Learned::Variance] {
        let words = method("--sampler ddpm --variance learned");
        assert!(words.plan(&cosine(100), Some(learned)).is_ok());
        assert_eq!(learned_ancestral(Some(learned)).unwrap().learned, learned);
    }
    let [.., edm] = schedules();
    for (words, allowed) in [("--eps 0.001", false), ("--eps 0.01", true), ("--eps 80", false)] {
        assert_eq!(method(words).plan(&edm, None).is_ok(), allowed, "{words}");
    }
}

#[test]
fn default_step_counts() {
    let steps = |words| method(words).grid(&cosine(200)).unwrap().len();
    assert_eq!(steps("--sampler ddim"), 50);
    assert_eq!(steps("--sampler ddpm"), 200);
    assert_eq!(steps("--sampler dpm-solver++"), 20);
}

#[test]
fn walks_over_vp_end_where_published_and_others_at_the_cleanest_time_trained() {
    let [_, _, vp, _, _, ve, edm] = schedules();
    let end = |schedule| {
        let grid = method("--steps 3").grid(schedule).unwrap();
        grid.intervals()[2].from.t
    };
    assert_eq!((end(&vp), end(&ve), end(&edm)), (1e-3, 1e-5, 0.002));
}

#[test]
fn every_method_has_defaults_that_it_plans_with_for_every_model() {
    for schedule in schedules() {
        for sampler in Sampler::value_variants() {
            let words = format!("--sampler {}", sampler.name());
            let plan = method(&words).plan(&schedule, None).expect(&words);
            assert!(plan.evaluations().is_ok(), "{words}");
        }
        assert!(method("").plan(&schedule, None).unwrap().evaluations().is_ok());
    }
}

#[test]
fn every_method_plans_on_every_spacing() {
    let walking = Sampler::value_variants().iter().filter(|sampler| !sampler.is_adaptive());
    for sampler in walking {
        for spacing in SpacingName::value_variants() {
            let words =
                format!("--sampler {} --steps 9 --spacing {}", sampler.name(), spacing.name());
            let plan = method(&words).plan(&cosine(100), None).expect(&words);
            assert!(plan.evaluations().expect(&words) >= Some(9), "{words}");
        }
    }
}

/// The method for a model of diffusers with this scheduler.
fn of_diffusers(words: &str, file: &str, schedule: &RunSchedule) -> Method {
    let NoiseConfig { variance, clip_sample, sampling, .. } =
        NoiseConfig::parse(Path::new("scheduler_config.json"), file.as_bytes()).unwrap();
    let clip = clip_sample.map(|bound| (-bound, bound));
    let habits = Habits { variance, clip, sampling: Some(sampling) };
    method(words).following(&habits, DataRange::Symmetric, schedule)
}

#[test]
fn no_corrections_in_the_file_of_a_model_leave_the_corrector_out() {
    let [_, _, _, _, _, ve, _] = schedules();
    let words = "--sampler reverse-diffusion --corrector langevin --steps 7";
    let evaluations = |moves: usize, more: &str| {
        let file = format!(r#"{{"_class_name": "ScoreSdeVeScheduler", "correct_steps": {moves}}}"#);
        let method = of_diffusers(&format!("{words}{more}"), &file, &ve);
        let evaluations = method.plan(&ve, None).unwrap().evaluations().unwrap();
        (evaluations, method.notes(&ve).unwrap().len())
    };
    assert_eq!(evaluations(1, ""), (Some(14), 0));
    assert_eq!(evaluations(0, ""), (Some(7), 1));
    assert_eq!(evaluations(0, " --corrector-steps 1"), (Some(14), 0));
}

#[test]
fn ddim_and_ddpm_hold_estimates_where_a_file_says_nothing_and_say_so() {
    let schedule = cosine(100);
    let held = |words: &str, rest: &str| {
        let file = format!(r#"{{"_class_name": "PNDMScheduler"{rest}}}"#);
        let method = of_diffusers(words, &file, &schedule);
        (method.hold(&schedule).unwrap() != Hold::Free, method.notes(&schedule).unwrap().len())
    };
    for sampler in ["", "--sampler ddim ", "--sampler ddpm "] {
        assert_eq!(held(sampler, ""), (true, 1), "{sampler}");
        assert_eq!(held(&format!("{sampler}--no-clip"), ""), (false, 0), "{sampler}");
        assert_eq!(held(&format!("{sampler}--clip"), ""), (true, 0), "{sampler}");
        assert_eq!(held(sampler, r#", "clip_sample": false"#), (false, 0), "{sampler}");
    }
    assert_eq!(held("--sampler pndm", ""), (false, 0));
}

#[test]
fn what_noise_the_last_step_leaves_in_the_images_is_said() {
    let schedule = cosine(100);
    let notes = |words: &str, rest: &str| {
        let file = format!(
            r#"{{"_class_name": "DDPMScheduler", "timestep_spacing": "trailing", {rest}}}"#
        );
        of_diffusers(words, &file, &schedule).notes(&schedule).unwrap().len()
    };
    let (small, large) = (r#""variance_type": "fixed_small""#, r#""variance_type": "fixed_large""#);
    let learned = r#""variance_type": "learned_range""#;
    assert_eq!(notes("--sampler ddpm --steps 9", small), 0);
    assert_eq!(notes("--sampler ddpm --steps 9", large), 1);
    assert_eq!(notes("--sampler ddpm --steps 9", learned), 1);
    // from the first entry
    assert_eq!(notes("--sampler ddpm --steps 100", large), 0);
    assert_eq!(notes("--sampler ddpm --steps 9 --spacing trailing", large), 0);
    assert_eq!(notes("--sampler ddim --steps 9", large), 0);
}
