//! The layers of a run's network, out of its configuration and the form of its images.

use tweedie_unet::{ArchitectureConfig, UNet, UNetConfig, UNetError};

use crate::config::{NetworkConfig, ShortNetwork};
use crate::network::ImageForm;
use crate::{ConfigError, RunConfig, TrainError};

/// Most values that the weights of a network may have together: 4 GiB of them, and as much again
/// for their average and each of the optimizer's moments.
const MOST_WEIGHTS: u64 = 1 << 30;

/// The network of a run for images of this form.
///
/// # Errors
/// When it cannot be built, or does not fit the images, what it is asked for, or any memory.
pub(crate) fn of_run(
    config: &RunConfig,
    form: &ImageForm,
) -> Result<ArchitectureConfig, TrainError> {
    let learned_variance = config.learned_variance().is_some();
    match &config.network {
        NetworkConfig::Short(network) => Ok(unet_config(network, form, learned_variance)?.into()),
        NetworkConfig::Family(network) if config.is_classifier() => {
            check_classifier(network, form)?;
            Ok((**network).clone())
        }
        NetworkConfig::Family(network) => {
            check_family(network, form, learned_variance)?;
            check_null_class(network, form, config.training.label_dropout)?;
            Ok((**network).clone())
        }
    }
}

/// Refuses a classifier that does not go with the images and their classes.
fn check_classifier(network: &ArchitectureConfig, form: &ImageForm) -> Result<(), TrainError> {
    let [channels, height, width] = form.shape.map(|size| size as i64);
    if network.in_channels() != channels {
        let value = network.in_channels().to_string();
        return unfit("network.in_channels", value, format!("{channels}, as the images have"));
    }
    let classes = form.classes.unwrap_or(0) as i64;
    if network.out_channels() != classes {
        let value = network.out_channels().to_string();
        let allowed = format!("{classes}, the classes of the data");
        return unfit("network.out_channels", value, allowed);
    }
    network.layers([height, width])?;
    check_weights(network)
}

/// Refuses a network that does not go with the images.
fn check_family(
    network: &ArchitectureConfig,
    form: &ImageForm,
    learned_variance: bool,
) -> Result<(), TrainError> {
    let [channels, height, width] = form.shape.map(|size| size as i64);
    let returned = if learned_variance { 2 * channels } else { channels };
    let got = (network.in_channels(), network.out_channels());
    if got != (channels, returned) {
        let value = format!("one that takes {} channels and returns {}", got.0, got.1);
        let allowed =
            format!("one that takes {channels}, as the images have, and returns {returned}");
        return unfit("network", value, allowed);
    }
    let divisor = network.size_divisor();
    if height % divisor != 0 || width % divisor != 0 {
        let value = format!("one for images whose sides {divisor} divides");
        let allowed = format!("one for images of {height}x{width}, or other sides by data.pad");
        return unfit("network", value, allowed);
    }
    check_weights(network)
}

fn check_weights(network: &ArchitectureConfig) -> Result<(), TrainError> {
    let weights = UNet::count_parameters(network)?;
    if weights > MOST_WEIGHTS {
        let value = format!("one of {weights} weights");
        return unfit("network", value, format!("at most {MOST_WEIGHTS} weights"));
    }
    Ok(())
}

/// Refuses a table of classes of another length than the data asks for, and hidden labels where it has no
/// row for them.
fn check_null_class(
    network: &ArchitectureConfig,
    form: &ImageForm,
    label_dropout: f64,
) -> Result<(), TrainError> {
    let Some((rows, classes)) = network.classes().zip(form.classes) else { return Ok(()) };
    let classes = classes as i64;
    if rows == classes + 1 || (rows == classes && label_dropout == 0.0) {
        return Ok(());
    }
    if rows == classes {
        let allowed = "0 with a network that has a row for each class and none for no class";
        return unfit("training.label_dropout", label_dropout.to_string(), allowed.to_owned());
    }
    let allowed =
        format!("one of {classes}, as the data has, or {} with one for no class", classes + 1);
    unfit("network", format!("one of {rows} classes"), allowed)
}

fn unfit(key: &'static str, value: String, allowed: String) -> Result<(), TrainError> {
    Err(ConfigError::Unfit { key, value, allowed }.into())
}

/// The layers of the network for images of this form, with twice the channels out for a learned
/// variance.
fn unet_config(
    network: &ShortNetwork,
    form: &ImageForm,
    learned_variance: bool,
) -> Result<UNetConfig, TrainError> {
    let table = tweedie_unet::NetworkConfig {
        channels: network.channels as i64,
        multipliers: network.multipliers.iter().map(|m| *m as i64).collect(),
        blocks: network.blocks,
        attention_resolutions: network.attention.iter().map(|height| *height as i64).collect(),
        head_channels: (network.head_channels > 0).then_some(network.head_channels as i64),
        groups: network.groups as i64,
        dropout: network.dropout,
        classes: form.classes.map(|classes| classes as i64),
        learned_variance,
        ..tweedie_unet::NetworkConfig::default()
    };
    let unet = table.unet(form.shape.map(|size| size as i64));
    let config = unet.map_err(|error| in_our_words(error, network))?;
    let weights = UNet::count_parameters(&config).map_err(|error| in_our_words(error, network))?;
    if weights > MOST_WEIGHTS {
        return Err(ConfigError::Unfit {
            key: "network.channels",
            value: format!(
                "{}, with network.multipliers {:?}: a network of {weights} weights",
                network.channels, network.multipliers
            ),
            allowed: format!("at most {MOST_WEIGHTS} weights"),
        }
        .into());
    }
    Ok(config)
}

/// An error about the network under the keys of a run's configuration.
fn in_our_words(error: UNetError, network: &ShortNetwork) -> TrainError {
    let unfit = |key, value, allowed| ConfigError::Unfit { key, value, allowed }.into();
    match error {
        UNetError::Value { key, value, allowed } => unfit(our_key(key), value, allowed),
        UNetError::InputSize { height, width, divisor } => unfit(
            "network.multipliers",
            format!("{:?}", network.multipliers),
            format!(
                "as many levels as halve images of {height}x{width} evenly ({divisor} must divide \
                 both), or other sides by data.pad"
            ),
        ),
        other => other.into(),
    }
}

/// The key of a run's configuration that decides what the network calls `key`.
fn our_key(key: &'static str) -> &'static str {
    match key {
        "network.attention_resolutions" => "network.attention",
        "network.classes" | "num_class_embeds" => "network.class_conditional",
        "attention_head_dim" => "network.head_channels",
        "norm_num_groups" | "attn_norm_num_groups" => "network.groups",
        "block_out_channels" | "freq_shift" => "network.channels",
        "layers_per_block" => "network.blocks",
        "dropout" => "network.dropout",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_refused(overrides: &[&str], says: &[&str]) {
        let overrides: Vec<String> = overrides.iter().map(ToString::to_string).collect();
        let config = RunConfig::parse("", &overrides).unwrap();
        let shape = [1, 8, 8];
        let form = ImageForm { shape, unpadded: shape, levels: 17, classes: Some(10) };
        let message = of_run(&config, &form).unwrap_err().to_string();
        for part in says {
            assert!(message.contains(part), "`{part}` is not in: {message}");
        }
    }

    #[test]
    fn what_does_not_fit_is_named_by_the_keys_of_the_run() {
        check_refused(&["network.attention=[5]"], &["network.attention is 5", "[8, 4]"]);
        check_refused(
            &["network.head_channels=65"],
            &["network.head_channels is 65", "at most 64"],
        );
        check_refused(&["network.groups=5"], &["network.groups is 5", "network.channels, 32"]);
        check_refused(&["network.channels=1", "network.groups=1"], &["network.channels is 1"]);
        let says = ["network.multipliers is [1, 1, 1, 1, 1]", "8x8", "data.pad"];
        check_refused(&["network.multipliers=[1, 1, 1, 1, 1]", "network.attention=[]"], &says);
    }

    #[test]
    fn a_network_that_no_memory_holds_is_refused_before_it_is_made() {
        let says = ["network.channels is 8192", "[64, 64]", "at most 1073741824 weights"];
        check_refused(&["network.channels=8192", "network.multipliers=[64,64]"], &says);
    }
}
