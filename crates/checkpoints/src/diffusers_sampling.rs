//! How the scheduler of a folder of diffusers samples from its network.

use serde_json::{Map, Value};

use crate::CheckpointError;
use crate::noise_config::Checks;

/// A scheduler of diffusers: all of its file, and what samplers here follow of it.
#[derive(Clone, Debug, PartialEq)]
pub struct DiffusersSampling {
    /// The class, such as `DDPMScheduler`.
    pub class_name: String,
    /// Which steps of the chain a shorter run visits.
    pub spacing: StepSpacing,
    /// What is added to each of them, where they are spaced from the first.
    pub steps_offset: usize,
    /// Whether the last step leads to the data; otherwise it leads to the noise of the chain's first entry.
    pub ends_clean: bool,
    /// The bound to which DDIM and DDPM clip the estimate of the data, which they do unless the file says that
    /// they do not, whatever class it is of; `None` for no clipping.
    pub clip: Option<f64>,
    /// Dynamic thresholding of the estimate of the data, in place of clipping.
    pub threshold: Option<SamplingThreshold>,
    /// Langevin's moves between the steps; `None` where the class has none.
    pub corrector: Option<SamplingCorrector>,
    /// The time at which a run in continuous time ends; `None` where the class says none.
    pub last_time: Option<f64>,
    /// The file, so that it can be written again.
    pub values: Map<String, Value>,
}

/// Which steps of a chain a shorter run visits, by the names that diffusers gives them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepSpacing {
    /// In equal strides from the first.
    Leading,
    /// In equal strides, both ends among them.
    Linspace,
    /// In equal strides back from the last.
    Trailing,
}

/// Dynamic thresholding as diffusers has it: an estimate is held within a quantile of its absolute values,
/// which counts as at least 1 and at most `largest`, and divided by it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SamplingThreshold {
    /// The quantile, from 0 to 1.
    pub quantile: f64,
    /// The largest that it counts as.
    pub largest: f64,
}

/// Langevin's moves at each noise level.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SamplingCorrector {
    /// Their signal-to-noise ratio.
    pub snr: f64,
    /// How many there are at a level.
    pub moves: usize,
}

/// The keys that are followed here, whatever the class.
const FOLLOWED: [&str; 22] = [
    "num_train_timesteps",
    "beta_start",
    "beta_end",
    "beta_schedule",
    "trained_betas",
    "beta_min",
    "beta_max",
    "sigma_data",
    "rescale_betas_zero_snr",
    "prediction_type",
    "variance_type",
    "clip_sample",
    "clip_sample_range",
    "thresholding",
    "dynamic_thresholding_ratio",
    "sample_max_value",
    "timestep_spacing",
    "steps_offset",
    "set_alpha_to_one",
    "snr",
    "correct_steps",
    "sampling_eps",
];

/// What says how the sampler of one class goes its way, with the values that need no word, since they are
/// that class's own or say nothing. Samplers here are named on the command line.
const OF_ONE_SAMPLER: [(&str, &str); 30] = [
    ("algorithm_type", r#"["dpmsolver++", "deis", "data_prediction"]"#),
    ("corrector_order", "[2]"),
    ("disable_corrector", "[[]]"),
    ("eta", "[0]"),
    ("euler_at_final", "[false]"),
    ("final_sigmas_type", r#"["zero"]"#),
    ("interpolation_type", r#"["linear"]"#),
    ("lambda_min_clipped", "[null, -1e308]"),
    ("lower_order_final", "[true, false]"),
    ("predict_x0", "[true]"),
    ("predictor_order", "[2]"),
    ("rho", "[7]"),
    ("sigma_max", "[null]"),
    ("sigma_min", "[null]"),
    ("sigma_schedule", r#"["karras"]"#),
    ("skip_prk_steps", "[true, false]"),
    ("solver_order", "[2]"),
    ("solver_p", "[null]"),
    ("solver_type", r#"["midpoint", "logrho", "bh2"]"#),
    ("tau_func", "[null]"),
    ("timestep_type", r#"["discrete"]"#),
    ("use_beta_sigmas", "[false]"),
    ("use_exponential_sigmas", "[false]"),
    ("use_karras_sigmas", "[false]"),
    ("use_lu_lambdas", "[false]"),
    // other motions than those that are read here, refused where they are not these
    ("flow_shift", "[1]"),
    ("shift_terminal", "[null]"),
    ("time_shift_type", r#"["exponential"]"#),
    ("use_dynamic_shifting", "[false]"),
    ("use_flow_sigmas", "[false]"),
];

/// Values under which a chain is no diffusion.
const OTHER_MOTIONS: [&str; 3] = ["use_flow_sigmas", "use_dynamic_shifting", "shift_terminal"];

impl DiffusersSampling {
    /// Out of a file, whose values for the noise have been read; `steps` is the length of the chain.
    pub(crate) fn of(
        checks: &Checks<'_>,
        class_name: &str,
        values: Map<String, Value>,
        steps: usize,
    ) -> Result<Self, CheckpointError> {
        for key in OTHER_MOTIONS {
            if values
                .get(key)
                .is_some_and(|value| !matches!(value, Value::Null | Value::Bool(false)))
            {
                let value = values[key].to_string();
                let allowed = "false or null: flow matching is not read";
                return Err(checks.refuse(key, &value, allowed));
            }
        }
        let read = Values { checks, values: &values };
        let exploding = class_name == "ScoreSdeVeScheduler";
        let corrector = exploding.then(|| read.corrector());
        let fits = |eps: f64| eps > 0.0 && eps < 1.0;
        let last_time =
            exploding.then(|| read.number("sampling_eps", 1e-5, fits, "a number between 0 and 1"));
        Ok(Self {
            class_name: class_name.to_owned(),
            spacing: read.spacing()?,
            steps_offset: read.count("steps_offset", 0, steps.saturating_sub(1))?,
            ends_clean: read.truth("set_alpha_to_one", true)?,
            clip: read.clip()?,
            threshold: read.threshold()?,
            corrector: corrector.transpose()?,
            last_time: last_time.transpose()?,
            values,
        })
    }

    /// What a user should know of the file: keys that no scheduler has, and settings that only its own
    /// sampler would follow.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let followed = |key: &str| FOLLOWED.contains(&key) || key.starts_with('_');
        // what its noise is made of
        let of_noise = |key: &str| !self.is_chain() && ["sigma_min", "sigma_max"].contains(&key);
        let (mut unknown, mut alone) = (Vec::new(), Vec::new());
        for (key, value) in self.values.iter().filter(|(key, _)| !followed(key) && !of_noise(key)) {
            match OF_ONE_SAMPLER.iter().find(|(known, _)| known == key) {
                None => unknown.push(key.as_str()),
                Some((_, plain)) if !is_one_of(value, plain) => {
                    alone.push(format!("{key} {value}"))
                }
                Some(_) => {}
            }
        }
        let file = "scheduler_config.json";
        let unknown = (!unknown.is_empty()).then(|| {
            format!("warning: {file}: no scheduler knows {}: passed over", unknown.join(", "))
        });
        let alone = (!alone.is_empty()).then(|| {
            let (class, alone) = (&self.class_name, alone.join(", "));
            format!("warning: {file}: {alone}: only the sampler of {class} would follow this")
        });
        unknown.into_iter().chain(alone).collect()
    }

    /// Whether the noise is a chain of betas.
    #[must_use]
    pub fn is_chain(&self) -> bool {
        !self.class_name.starts_with("ScoreSde") && !self.class_name.starts_with("EDM")
    }
}

/// More moves of a corrector than any scheduler was saved with.
const MOST_MOVES: usize = 1000;

/// Whether a value is in a list, numbers by what they are worth.
fn is_one_of(value: &Value, list: &str) -> bool {
    let list: Vec<Value> = serde_json::from_str(list).unwrap_or_default();
    list.iter().any(|listed| match (listed.as_f64(), value.as_f64()) {
        (Some(listed), Some(value)) => listed == value,
        _ => listed == value,
    })
}

/// Values of one file; null is the default of DDIM and DDPM, whose way of walking is the one that is followed.
struct Values<'a> {
    checks: &'a Checks<'a>,
    values: &'a Map<String, Value>,
}

impl Values<'_> {
    fn get(&self, key: &str) -> Option<&Value> {
        self.values.get(key).filter(|value| !value.is_null())
    }

    fn truth(&self, key: &'static str, default: bool) -> Result<bool, CheckpointError> {
        let Some(value) = self.get(key) else { return Ok(default) };
        value.as_bool().ok_or_else(|| self.checks.refuse(key, &value.to_string(), "true or false"))
    }

    fn count(
        &self,
        key: &'static str,
        default: usize,
        most: usize,
    ) -> Result<usize, CheckpointError> {
        let Some(value) = self.get(key) else { return Ok(default) };
        let count = value.as_u64().and_then(|count| usize::try_from(count).ok());
        count.filter(|count| *count <= most).ok_or_else(|| {
            self.checks.refuse(key, &value.to_string(), &format!("an integer from 0 to {most}"))
        })
    }

    fn number(
        &self,
        key: &'static str,
        default: f64,
        fits: impl Fn(f64) -> bool,
        allowed: &str,
    ) -> Result<f64, CheckpointError> {
        let Some(value) = self.get(key) else { return Ok(default) };
        let number = value.as_f64().filter(|number| fits(*number));
        number.ok_or_else(|| self.checks.refuse(key, &value.to_string(), allowed))
    }

    fn spacing(&self) -> Result<StepSpacing, CheckpointError> {
        let key = "timestep_spacing";
        match self.get(key).map(|value| value.as_str().unwrap_or_default()) {
            None | Some("leading") => Ok(StepSpacing::Leading),
            Some("linspace") => Ok(StepSpacing::Linspace),
            Some("trailing") => Ok(StepSpacing::Trailing),
            Some(_) => {
                let value = self.values[key].to_string();
                Err(self.checks.refuse(key, &value, "leading, linspace or trailing"))
            }
        }
    }

    fn corrector(&self) -> Result<SamplingCorrector, CheckpointError> {
        let snr = self.number("snr", 0.15, |snr| snr > 0.0, "a positive number")?;
        Ok(SamplingCorrector { snr, moves: self.count("correct_steps", 1, MOST_MOVES)? })
    }

    fn clip(&self) -> Result<Option<f64>, CheckpointError> {
        let positive = |bound: f64| bound > 0.0 && bound.is_finite();
        let bound = self.number("clip_sample_range", 1.0, positive, "a positive number")?;
        Ok(self.truth("clip_sample", true)?.then_some(bound))
    }

    fn threshold(&self) -> Result<Option<SamplingThreshold>, CheckpointError> {
        let share = |value: f64| (0.0..=1.0).contains(&value);
        let quantile =
            self.number("dynamic_thresholding_ratio", 0.995, share, "a number from 0 to 1")?;
        let positive = |value: f64| value > 0.0;
        let largest = self.number("sample_max_value", 1.0, positive, "a positive number")?;
        let thresholds = self.truth("thresholding", false)?;
        Ok(thresholds.then_some(SamplingThreshold { quantile, largest }))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::NoiseConfig;
    use crate::error::chain;

    fn parse(rest: &str) -> Result<DiffusersSampling, CheckpointError> {
        let text = format!(r#"{{"_class_name": "DDIMScheduler"{rest}}}"#);
        let path = Path::new("scheduler_config.json");
        NoiseConfig::parse(path, text.as_bytes()).map(|config| config.sampling)
    }

    #[test]
    fn how_a_chain_is_walked_is_read() {
        let plain = parse("").unwrap();
        assert_eq!((plain.spacing, plain.steps_offset), (StepSpacing::Leading, 0));
        assert!(plain.ends_clean && plain.threshold.is_none() && plain.corrector.is_none());
        let said = parse(
            r#", "timestep_spacing": "trailing", "steps_offset": 1, "set_alpha_to_one": false,
               "thresholding": true, "dynamic_thresholding_ratio": 0.9, "sample_max_value": 1.5"#,
        );
        let said = said.unwrap();
        assert_eq!((said.spacing, said.steps_offset), (StepSpacing::Trailing, 1));
        let threshold = SamplingThreshold { quantile: 0.9, largest: 1.5 };
        assert_eq!((said.ends_clean, said.threshold), (false, Some(threshold)));
    }

    #[test]
    fn ddim_and_ddpm_clip_unless_the_file_says_that_they_do_not() {
        let clip = |class: &str, rest: &str| {
            let text = format!(r#"{{"_class_name": "{class}"{rest}}}"#);
            let config = NoiseConfig::parse(Path::new("x"), text.as_bytes()).unwrap();
            (config.clip_sample, config.sampling.clip)
        };
        assert_eq!(clip("DDIMScheduler", ""), (Some(1.0), Some(1.0)));
        assert_eq!(clip("PNDMScheduler", ""), (None, Some(1.0)));
        assert_eq!(clip("UniPCMultistepScheduler", r#", "clip_sample_range": 2"#).1, Some(2.0));
        assert_eq!(clip("HeunDiscreteScheduler", r#", "clip_sample": false"#), (None, None));
    }

    #[test]
    fn what_cannot_be_followed_is_refused_by_name() {
        for (rest, says) in [
            (
                r#", "timestep_spacing": "zigzag""#,
                "timestep_spacing is \"zigzag\", expected leading",
            ),
            (
                r#", "steps_offset": 1000"#,
                "steps_offset is 1000, expected an integer from 0 to 999",
            ),
            (r#", "set_alpha_to_one": 3"#, "set_alpha_to_one is 3, expected true or false"),
            (r#", "dynamic_thresholding_ratio": 2"#, "dynamic_thresholding_ratio is 2"),
            (r#", "sample_max_value": 0"#, "sample_max_value is 0, expected a positive"),
            (r#", "use_flow_sigmas": true"#, "use_flow_sigmas is true, expected false or null"),
        ] {
            let message = chain(&parse(rest).unwrap_err());
            assert!(message.contains(says), "{rest}: {message}");
        }
    }

    #[test]
    fn keys_that_change_nothing_here_are_named() {
        assert_eq!(parse(r#", "_diffusers_version": "0.1", "eta": 0.0"#).unwrap().notes(), [""; 0]);
        let notes = parse(r#", "clip_smaple": true, "zeal": 1, "use_karras_sigmas": true"#);
        let notes = notes.unwrap().notes();
        assert!(notes[0].contains("no scheduler knows clip_smaple, zeal"), "{notes:?}");
        assert!(notes[1].contains("use_karras_sigmas true: only the sampler of DDIM"), "{notes:?}");
    }
}
