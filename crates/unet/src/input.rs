//! Checks of what a network is called with.

use tch::{Kind, Tensor};

use crate::UNetError;
use crate::config::{ClassEmbedding, UNetConfig};

/// The batch size, if x is [n, c, height, width] of a size that can be halved.
pub(crate) fn check_images(x: &Tensor, config: &UNetConfig) -> Result<i64, UNetError> {
    let got = x.size();
    let channels = config.in_channels;
    let (batch, height, width) = match got[..] {
        [n, c, h, w] if n > 0 && c == channels => (n, h, w),
        _ => return Err(UNetError::InputShape { got, channels }),
    };
    let divisor = config.size_divisor();
    if height < divisor || width < divisor || height % divisor != 0 || width % divisor != 0 {
        return Err(UNetError::InputSize { height, width, divisor });
    }
    Ok(batch)
}

/// Times as `[1]` where one stands for the whole batch, else `[n]`.
pub(crate) fn check_times(times: &Tensor, batch: i64) -> Result<Tensor, UNetError> {
    let got = times.size();
    match got[..] {
        [] | [1] => Ok(times.reshape([1])),
        [n] if n == batch => Ok(times.shallow_clone()),
        _ => Err(UNetError::Times { got, batch }),
    }
}

/// Labels of the shape and range that the class embedding takes.
pub(crate) fn check_labels(
    labels: Option<&Tensor>,
    config: &UNetConfig,
    batch: i64,
) -> Result<Option<Tensor>, UNetError> {
    let expects = config.class_embed_type.is_some() || config.num_class_embeds.is_some();
    let Some(labels) = labels else {
        return if expects { Err(UNetError::LabelsPresence { expected: true }) } else { Ok(None) };
    };
    if !expects {
        return Err(UNetError::LabelsPresence { expected: false });
    }
    let got = labels.size();
    let expected = match config.class_embed_type {
        Some(ClassEmbedding::Identity) => vec![batch, config.time_embedding_width()],
        _ => vec![batch],
    };
    if got != expected {
        return Err(UNetError::LabelsShape { got, expected });
    }
    match (config.class_embed_type, config.num_class_embeds) {
        (None, Some(classes)) => Ok(Some(check_range(labels, classes)?)),
        _ => Ok(Some(labels.shallow_clone())),
    }
}

fn check_range(labels: &Tensor, classes: i64) -> Result<Tensor, UNetError> {
    let labels = labels.to_kind(Kind::Int64);
    let (lowest, highest) = (labels.min().int64_value(&[]), labels.max().int64_value(&[]));
    if lowest < 0 || highest >= classes {
        return Err(UNetError::LabelRange { lowest, highest, classes });
    }
    Ok(labels)
}
