//! Published runs of `score_sde` on CIFAR-10, known by the folders that they are published in, such as
//! `vp/cifar10_ddpmpp_deep_continuous/checkpoint_8.pth`: the configuration of the same name.

use std::path::Path;

use serde_json::{Map, Value, json};

/// A recipe's name, and its configuration as far as the network and its noise are concerned.
pub(super) type Recipe = (String, Map<String, Value>);

/// The recipe that the folders of a file name.
pub(super) fn known_recipe(file: &Path) -> Option<Recipe> {
    let mut folders = file.parent()?.iter().rev().filter_map(|name| name.to_str());
    let (recipe, motion) = (folders.next()?, folders.next()?);
    let rest = recipe.strip_prefix("cifar10_")?;
    let (rest, continuous) = strip(rest, "_continuous");
    let (network, deep) = strip(rest, "_deep");
    let sde = match (motion, network, continuous) {
        ("ve", "ncsnpp", true) => "vesde",
        ("ve", "ncsnpp" | "ddpm", false) if !deep => "vesde",
        ("vp", "ncsnpp" | "ddpmpp", _) if continuous || !deep => "vpsde",
        ("subvp", "ncsnpp" | "ddpmpp", true) => "subvpsde",
        ("subvp", "ddpm", true) if !deep => "subvpsde",
        _ => return None,
    };
    let training = json!({"sde": sde, "continuous": continuous});
    let data = json!({"image_size": 32, "num_channels": 3, "centered": sde != "vesde"});
    let config = [
        ("training".to_owned(), training),
        ("data".to_owned(), data),
        ("model".to_owned(), model(network, sde, continuous, deep)),
    ];
    Some((format!("{motion}/{recipe}"), config.into_iter().collect()))
}

fn strip<'a>(name: &'a str, end: &str) -> (&'a str, bool) {
    name.strip_suffix(end).map_or((name, false), |rest| (rest, true))
}

/// The group `model`: what all recipes have in common, and what each changes.
fn model(network: &str, sde: &str, continuous: bool, deep: bool) -> Value {
    let (exploding, filtered) = (sde == "vesde", network == "ncsnpp");
    let fourier = exploding && continuous;
    let blocks = match (network, deep) {
        ("ddpm", _) => 2,
        (_, false) => 4,
        (_, true) => 8,
    };
    json!({
        "name": if network == "ddpm" { "ddpm" } else { "ncsnpp" },
        "sigma_min": 0.01,
        "sigma_max": 50,
        "num_scales": 1000,
        "beta_min": 0.1,
        "beta_max": 20.0,
        "dropout": 0.1,
        "embedding_type": if fourier { "fourier" } else { "positional" },
        "scale_by_sigma": exploding,
        "normalization": "GroupNorm",
        "nonlinearity": "swish",
        "nf": 128,
        "ch_mult": [1, 2, 2, 2],
        "num_res_blocks": blocks,
        "attn_resolutions": [16],
        "resamp_with_conv": true,
        "conditional": true,
        "fir": filtered,
        "fir_kernel": [1, 3, 3, 1],
        "skip_rescale": true,
        "resblock_type": "biggan",
        "progressive": "none",
        "progressive_input": if filtered { "residual" } else { "none" },
        "progressive_combine": "sum",
        "attention_type": "ddpm",
        "init_scale": 0.0,
        "fourier_scale": 16,
        "conv_size": 3,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_published_runs_name_their_recipes() {
        let recipe = |path: &str| known_recipe(Path::new(path));
        let (name, config) =
            recipe("runs/ve/cifar10_ncsnpp_deep_continuous/checkpoint_12.pth").unwrap();
        assert_eq!(name, "ve/cifar10_ncsnpp_deep_continuous");
        let model = &config["model"];
        assert_eq!(
            (&model["num_res_blocks"], &model["embedding_type"]),
            (&json!(8), &json!("fourier"))
        );
        assert_eq!((&model["fir"], &model["scale_by_sigma"]), (&json!(true), &json!(true)));
        let (_, config) = recipe("subvp/cifar10_ddpmpp_continuous/checkpoint_26.pth").unwrap();
        assert_eq!(config["training"], json!({"sde": "subvpsde", "continuous": true}));
        assert_eq!(config["model"]["progressive_input"], "none");
        assert_eq!(config["data"]["centered"], json!(true));
        assert_eq!(recipe("ve/cifar10_ddpm/checkpoint.pth").unwrap().1["model"]["name"], "ddpm");
        for other in
            ["vp/cifar10_other/c.pth", "cifar10_ncsnpp/c.pth", "ve/cifar10_ddpmpp/c.pth", "c.pth"]
        {
            assert_eq!(recipe(other), None, "{other}");
        }
    }
}
