//! The networks by name.

use tweedie_unet::{ArchitectureConfig, DownBlockType, UNetConfig, UpBlockType};

/// The configurations that ship with the examples.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/networks");

/// A network and the side of the images that it is published for.
pub(crate) fn config(name: &str) -> Option<(ArchitectureConfig, i64)> {
    if name == "fashion" {
        return Some((fashion().into(), 32));
    }
    let text = std::fs::read_to_string(format!("{FOLDER}/{name}.json")).ok()?;
    let config = ArchitectureConfig::from_values(serde_json::from_str(&text).ok()?).ok()?;
    let [side, _] = config.image_size()?;
    Some((config, side))
}

/// A small network for 32x32x1.
fn fashion() -> UNetConfig {
    UNetConfig {
        in_channels: 1,
        out_channels: 1,
        block_out_channels: vec![32, 64, 64],
        down_block_types: vec![DownBlockType::Down, DownBlockType::AttnDown, DownBlockType::Down],
        up_block_types: vec![UpBlockType::Up, UpBlockType::AttnUp, UpBlockType::Up],
        downsample_padding: 0,
        flip_sin_to_cos: false,
        freq_shift: 1.0,
        norm_eps: 1e-6,
        ..UNetConfig::default()
    }
}
