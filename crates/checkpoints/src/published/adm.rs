//! The networks of guided- and improved-diffusion: what their flags say about how they are built and
//! what they were trained on.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::flags::{Flags, NOISE};
use super::{CheckpointSource, DataRange, NetworkConventions, NetworkFamily, TrainedTime};
use crate::{
    BetaShape, CheckpointError, TensorFile, TrainedNoise, TrainedPrediction, TrainedVariance,
};

/// Classes of `ImageNet`, the only ones that the scripts know.
const CLASSES: i64 = 1000;

/// The arguments of the network's constructor, out of the flags of a script. Values that are the
/// arguments already (`model_channels` among them) are taken as they are.
pub(super) fn constructor(
    path: &Path,
    family: NetworkFamily,
    values: &Map<String, Value>,
) -> Result<Map<String, Value>, CheckpointError> {
    let flags = Flags::new(path, values);
    flags.check_names()?;
    if flags.has("model_channels") {
        let noise_alone = |key: &str| NOISE.contains(&key) || NOT_OF_THE_NETWORK.contains(&key);
        return Ok(values.clone().into_iter().filter(|(key, _)| !noise_alone(key)).collect());
    }
    let config = match family {
        NetworkFamily::AdmEncoder => classifier(&flags)?,
        _ => network(&flags)?,
    };
    Ok(config)
}

/// Keys that may stand beside a constructor's arguments and are none of them, those of the noise apart.
const NOT_OF_THE_NETWORK: [&str; 2] = ["learn_sigma", "_comment"];

fn network(flags: &Flags<'_>) -> Result<Map<String, Value>, CheckpointError> {
    let image_size = flags.count("image_size", 64)?;
    let out_channels = if flags.truth("learn_sigma", false)? { 6 } else { 3 };
    let classes = match flags.truth("class_cond", false)? {
        true => Value::from(flags.count("num_classes", CLASSES)?),
        false => Value::Null,
    };
    object(json!({
        "image_size": image_size,
        "in_channels": 3,
        "model_channels": flags.count("num_channels", 128)?,
        "out_channels": out_channels,
        "num_res_blocks": flags.count("num_res_blocks", 2)?,
        "attention_resolutions": factors(flags, "attention_resolutions", "16,8", image_size)?,
        "dropout": flags.number("dropout", 0.0)?,
        "channel_mult": multipliers(flags, image_size)?,
        "conv_resample": true,
        "dims": 2,
        "num_classes": classes,
        "use_checkpoint": flags.truth("use_checkpoint", false)?,
        "use_fp16": flags.truth("use_fp16", false)?,
        "num_heads": flags.count("num_heads", 4)?,
        "num_head_channels": flags.integer("num_head_channels", -1, -1..=1_000_000)?,
        "num_heads_upsample": flags.integer("num_heads_upsample", -1, -1..=1_000_000)?,
        "use_scale_shift_norm": flags.truth("use_scale_shift_norm", true)?,
        "resblock_updown": flags.truth("resblock_updown", false)?,
        "use_new_attention_order": flags.truth("use_new_attention_order", false)?,
    }))
}

fn classifier(flags: &Flags<'_>) -> Result<Map<String, Value>, CheckpointError> {
    let image_size = flags.count("image_size", 64)?;
    let resolutions = "classifier_attention_resolutions";
    object(json!({
        "image_size": image_size,
        "in_channels": 3,
        "model_channels": flags.count("classifier_width", 128)?,
        "out_channels": flags.count("num_classes", CLASSES)?,
        "num_res_blocks": flags.count("classifier_depth", 2)?,
        "attention_resolutions": factors(flags, resolutions, "32,16,8", image_size)?,
        "dropout": 0.0,
        "channel_mult": multipliers(flags, image_size)?,
        "conv_resample": true,
        "dims": 2,
        "use_checkpoint": false,
        "use_fp16": flags.truth("classifier_use_fp16", false)?,
        "num_heads": 1,
        "num_head_channels": 64,
        "num_heads_upsample": -1,
        "use_scale_shift_norm": flags.truth("classifier_use_scale_shift_norm", true)?,
        "resblock_updown": flags.truth("classifier_resblock_updown", true)?,
        "use_new_attention_order": false,
        "pool": flags.text("classifier_pool").unwrap_or_else(|| "attention".to_owned()),
    }))
}

fn object(value: Value) -> Result<Map<String, Value>, CheckpointError> {
    match value {
        Value::Object(map) => Ok(map),
        _ => Ok(Map::new()),
    }
}

/// The scripts name image sizes, the constructor the factors by which the image is smaller; a size above
/// the image's own is never reached.
fn factors(
    flags: &Flags<'_>,
    key: &'static str,
    default: &str,
    image_size: i64,
) -> Result<Vec<i64>, CheckpointError> {
    let sizes = flags.integers(key, default)?;
    Ok(sizes.into_iter().map(|size| image_size / size).filter(|factor| *factor > 0).collect())
}

/// What a level's width is to the first's, by the image's size where no flag says it.
fn multipliers(flags: &Flags<'_>, image_size: i64) -> Result<Value, CheckpointError> {
    let given = flags.integers("channel_mult", "")?;
    if !given.is_empty() {
        return Ok(given.into());
    }
    Ok(match image_size {
        512 => json!([0.5, 1, 1, 2, 2, 4, 4]),
        256 => json!([1, 1, 2, 2, 4, 4]),
        128 => json!([1, 1, 2, 3, 4]),
        64 => json!([1, 2, 3, 4]),
        32 => json!([1, 2, 2, 2]),
        size => {
            let allowed = "32, 64, 128, 256 or 512, or a channel_mult beside it";
            return Err(flags.refuse("image_size", &size.to_string(), allowed));
        }
    })
}

/// A word about the noise where a constructor's arguments stand alone: the scripts always have a schedule,
/// by default or not, and the arguments do not say which.
pub(super) fn note_of_noise(values: &Map<String, Value>) -> Option<String> {
    let alone = ["noise_schedule", "diffusion_steps"].iter().all(|key| !values.contains_key(*key));
    let alone = alone && values.contains_key("model_channels");
    alone.then(|| {
        "nothing is said of the noise: that of the scripts is taken, 1000 steps of the linear schedule \
         (noise_schedule and diffusion_steps say another)"
            .to_owned()
    })
}

/// Refuses a network that takes another number of channels than its configuration says, as the upsamplers
/// do, which are given a small image beside the noisy one.
pub(super) fn check_input(
    path: &Path,
    config: &Map<String, Value>,
    weights: &TensorFile,
) -> Result<(), CheckpointError> {
    let said = config.get("in_channels").and_then(Value::as_u64).unwrap_or(3);
    let first = weights.describe("input_blocks.0.0.weight")?;
    match first.shape.get(1) {
        Some(channels) if *channels as u64 != said => Err(CheckpointError::Value {
            path: path.to_path_buf(),
            key: "in_channels",
            value: said.to_string(),
            allowed: format!(
                "{channels} as in the weights; upsamplers, which take 6, are not supported"
            ),
        }),
        _ => Ok(()),
    }
}

/// What the flags say about noise and predictions. A classifier takes the noise of the network that it
/// steers, at the same index.
pub(super) fn conventions(
    path: &Path,
    source: Option<CheckpointSource>,
    values: &Map<String, Value>,
) -> Result<NetworkConventions, CheckpointError> {
    let flags = Flags::new(path, values);
    let steps = flags.count("diffusion_steps", 1000)?;
    let predicts_data = flags.truth("predict_xstart", false)?;
    Ok(NetworkConventions {
        noise: noise(&flags, steps)?,
        prediction: if predicts_data { TrainedPrediction::Data } else { TrainedPrediction::Noise },
        variance: Some(variance(&flags)?),
        time: TrainedTime::Index { steps: steps as usize, scale: scale(&flags, source, steps)? },
        data_range: DataRange::Symmetric,
        clip_sample: Some(1.0),
        sampling: None,
    })
}

fn noise(flags: &Flags<'_>, steps: i64) -> Result<TrainedNoise, CheckpointError> {
    let name = flags.text("noise_schedule").unwrap_or_else(|| "linear".to_owned());
    let (shape, per_step) = match name.as_str() {
        // the betas of 1000 steps, scaled so that another number of steps ends at the same noise
        "linear" => (BetaShape::Linear, 1000.0 / steps as f64),
        "cosine" => (BetaShape::SquaredCosine, 1.0),
        other => return Err(flags.refuse("noise_schedule", other, "linear or cosine")),
    };
    if 0.02 * per_step >= 1.0 {
        let allowed = "more than 20 with the linear schedule";
        return Err(flags.refuse("diffusion_steps", &steps.to_string(), allowed));
    }
    Ok(TrainedNoise::Betas {
        shape,
        start: 1e-4 * per_step,
        end: 0.02 * per_step,
        steps: steps as usize,
        zero_terminal_snr: false,
    })
}

fn variance(flags: &Flags<'_>) -> Result<TrainedVariance, CheckpointError> {
    let channels = |key| flags.integer(key, 0, 1..=1_000_000);
    let doubled = flags.has("out_channels")
        && channels("out_channels")? == 2 * flags.count("in_channels", 3)?;
    if flags.truth("learn_sigma", doubled)? {
        return Ok(TrainedVariance::LearnedRange);
    }
    let small = flags.truth("sigma_small", false)?;
    Ok(if small { TrainedVariance::FixedSmall } else { TrainedVariance::FixedLarge })
}

/// The factor of the step's index. The two programs differ in its default, which matters only for
/// chains of another length than 1000.
fn scale(
    flags: &Flags<'_>,
    source: Option<CheckpointSource>,
    steps: i64,
) -> Result<f64, CheckpointError> {
    let by_default = match source {
        Some(source) => source == CheckpointSource::ImprovedDiffusion,
        None if steps == 1000 || flags.has("rescale_timesteps") => false,
        None => {
            let allowed = "True (the default of improved-diffusion) or False (of guided-diffusion)";
            return Err(flags.refuse("rescale_timesteps", "not given", allowed));
        }
    };
    let rescaled = flags.truth("rescale_timesteps", by_default)?;
    Ok(if rescaled { 1000.0 / steps as f64 } else { 1.0 })
}

/// Which of the two programs the flags are of; `None` where they are known to both.
pub(super) fn source(
    path: &Path,
    values: &Map<String, Value>,
) -> Result<Option<CheckpointSource>, CheckpointError> {
    let flags = Flags::new(path, values);
    match flags.text("source").as_deref() {
        Some("guided-diffusion") => return Ok(Some(CheckpointSource::GuidedDiffusion)),
        Some("improved-diffusion") => return Ok(Some(CheckpointSource::ImprovedDiffusion)),
        Some(other) => {
            return Err(flags.refuse("source", other, "guided-diffusion or improved-diffusion"));
        }
        None => {}
    }
    let newer = GUIDED_ALONE.iter().any(|key| flags.has(key)) || flags.of_classifier();
    Ok(newer.then_some(CheckpointSource::GuidedDiffusion))
}

/// Flags that improved-diffusion does not have.
const GUIDED_ALONE: [&str; 5] =
    ["num_head_channels", "channel_mult", "resblock_updown", "use_fp16", "use_new_attention_order"];
