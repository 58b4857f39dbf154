//! Checks of what a network is called with.

use tch::{Kind, Tensor};

use crate::UNetError;
use crate::architecture::{Family, Labels, TimeIndices};

/// The batch size, if x is [n, c, height, width] of a size that can be halved.
pub(crate) fn check_images(x: &Tensor, family: &dyn Family) -> Result<i64, UNetError> {
    let got = x.size();
    let channels = family.in_channels();
    let (batch, height, width) = match got[..] {
        [n, c, h, w] if n > 0 && c == channels => (n, h, w),
        _ => return Err(UNetError::InputShape { got, channels }),
    };
    check_size([height, width], family)?;
    Ok(batch)
}

/// Whether a network takes images of this height and width.
pub(crate) fn check_size([height, width]: [i64; 2], family: &dyn Family) -> Result<(), UNetError> {
    let divisor = family.size_divisor();
    if height < divisor || width < divisor || height % divisor != 0 || width % divisor != 0 {
        return Err(UNetError::InputSize { height, width, divisor });
    }
    match family.pixels() {
        Some(pixels) if height.saturating_mul(width) != pixels => {
            Err(UNetError::InputPixels { height, width, pixels })
        }
        _ => Ok(()),
    }
}

/// Times as `[1]` where one stands for the whole batch, else `[n]`.
pub(crate) fn check_times(
    times: &Tensor,
    family: &dyn Family,
    batch: i64,
) -> Result<Tensor, UNetError> {
    let got = times.size();
    let times = match got[..] {
        [] | [1] => times.reshape([1]),
        [n] if n == batch => times.shallow_clone(),
        _ => return Err(UNetError::Times { got, batch }),
    };
    check_indices(&times, family)?;
    Ok(times)
}

/// Whether all times are whole and known to a network that looks them up.
fn check_indices(times: &Tensor, family: &dyn Family) -> Result<(), UNetError> {
    let Some(TimeIndices { count, whole }) = family.time_indices() else { return Ok(()) };
    let times = times.to_kind(Kind::Double);
    let (lowest, highest) = (times.min().double_value(&[]), times.max().double_value(&[]));
    let known = !whole || times.equal(&times.floor());
    if known && lowest >= 0.0 && highest < count as f64 {
        return Ok(());
    }
    Err(UNetError::TimeRange { lowest, highest, count })
}

/// Labels of the shape and range that the network takes.
pub(crate) fn check_labels(
    labels: Option<&Tensor>,
    family: &dyn Family,
    batch: i64,
) -> Result<Option<Tensor>, UNetError> {
    let expected = family.labels();
    let Some(labels) = labels else {
        let absent = expected == Labels::None;
        return if absent { Ok(None) } else { Err(UNetError::LabelsPresence { expected: true }) };
    };
    let (got, shape) = match expected {
        Labels::None => return Err(UNetError::LabelsPresence { expected: false }),
        Labels::Vectors(width) => (labels.size(), vec![batch, width]),
        Labels::Classes(_) | Labels::Numbers => (labels.size(), vec![batch]),
    };
    if got != shape {
        return Err(UNetError::LabelsShape { got, expected: shape });
    }
    if expected == Labels::Numbers {
        check_indices(labels, family)?;
    }
    let Labels::Classes(classes) = expected else { return Ok(Some(labels.shallow_clone())) };
    let labels = labels.to_kind(Kind::Int64);
    let (lowest, highest) = (labels.min().int64_value(&[]), labels.max().int64_value(&[]));
    if lowest < 0 || highest >= classes {
        return Err(UNetError::LabelRange { lowest, highest, classes });
    }
    Ok(Some(labels))
}
