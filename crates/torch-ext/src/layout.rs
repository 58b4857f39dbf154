//! The order in which a batch of images lies in memory.

use tch::Tensor;

use crate::ffi;

/// The order of a 4-dimensional tensor [n, c, h, w] in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryFormat {
    /// Row after row, channel after channel.
    Contiguous,
    /// The channels of a pixel side by side.
    ChannelsLast,
}

/// `x` in the given memory format; the same memory if it already has it.
///
/// # Panics
/// If `x` is not 4-dimensional and channels-last is asked for.
pub fn to_format(x: &Tensor, format: MemoryFormat) -> Tensor {
    let channels_last = i32::from(format == MemoryFormat::ChannelsLast);
    // SAFETY: the tensor lives through the call.
    ffi::expect(ffi::tensor("to_format", |out| unsafe {
        ffi::tweedie_to_memory_format(x.as_ptr(), channels_last, out)
    }))
}

/// Whether `x` lies in the given memory format (with one channel or one pixel it has both).
///
/// # Panics
/// If `x` is an undefined tensor.
#[must_use]
pub fn has_format(x: &Tensor, format: MemoryFormat) -> bool {
    let mut bits = 0;
    // SAFETY: the tensor lives through the call, which writes one integer.
    let outcome = unsafe { ffi::tweedie_memory_format(x.as_ptr(), &mut bits) };
    ffi::expect(ffi::check("has_format", outcome));
    match format {
        MemoryFormat::Contiguous => bits & 1 != 0,
        MemoryFormat::ChannelsLast => bits & 2 != 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    #[test]
    fn formats_change_the_memory_and_not_the_values() {
        let x = Tensor::rand([2, 3, 4, 5], (Kind::Float, Device::Cpu));
        let y = to_format(&x, MemoryFormat::ChannelsLast);
        assert!(has_format(&y, MemoryFormat::ChannelsLast));
        assert!(!has_format(&y, MemoryFormat::Contiguous));
        assert_eq!(y.stride(), [60, 1, 15, 3]);
        assert!(x.equal(&y));
        assert!(has_format(&to_format(&y, MemoryFormat::Contiguous), MemoryFormat::Contiguous));
    }

    #[test]
    #[should_panic(expected = "to_format")]
    fn a_vector_has_no_channels() {
        let _ = to_format(&Tensor::from_slice(&[1.0f32]), MemoryFormat::ChannelsLast);
    }
}
