//! Why a pickle was refused.

use thiserror::Error;

/// What is wrong with a pickle. Which file, and where in it, is said by the
/// [`CheckpointError`](crate::CheckpointError) that this is the source of.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PickleError {
    /// It names something that is neither a part of a tensor nor a plain container.
    #[error(
        "it refers to `{module}.{name}`, which was not run: only what rebuilds tensors and plain containers is read"
    )]
    ForbiddenName {
        /// The Python module.
        module: String,
        /// The name in the module.
        name: String,
    },
    /// An instruction that makes or calls objects in a way that no tensor or container needs.
    #[error("the instruction {name} is not allowed")]
    ForbiddenInstruction {
        /// The instruction's name in Python's `pickletools`.
        name: &'static str,
    },
    /// A byte that is no instruction.
    #[error("{byte:#04x} is no instruction of a pickle")]
    UnknownInstruction {
        /// The byte.
        byte: u8,
    },
    /// A version of the format that does not exist yet.
    #[error("the pickle has protocol {found}, at most 5 is read")]
    Protocol {
        /// The version that it states.
        found: u8,
    },
    /// The pickle goes on after the end of its part of the file.
    #[error("truncated: {wanted} bytes more are claimed, {left} are left")]
    Truncated {
        /// Bytes claimed.
        wanted: u64,
        /// Bytes that are there.
        left: u64,
    },
    /// The values of the pickle take more memory than any checkpoint's do.
    #[error(
        "its values would take more than {limit} bytes beside the elements of tensors, which no checkpoint's do"
    )]
    TooLarge {
        /// The bytes that values may take, elements of tensors aside.
        limit: u64,
    },
    /// An instruction takes a value from an empty stack, or one below the last mark.
    #[error("an instruction lacks its operand")]
    MissingOperand,
    /// An instruction collects values down to a mark, and there is none.
    #[error("an instruction lacks its mark")]
    MissingMark,
    /// A value is recalled that was never kept.
    #[error("value {index} is recalled but was never kept")]
    UnknownMemo {
        /// Its number.
        index: u32,
    },
    /// A number, or a text, is not written as one.
    #[error("expected {expected}")]
    Malformed {
        /// What should be there.
        expected: &'static str,
    },
    /// A value of the wrong kind.
    #[error("{what} is {got}, expected {expected}")]
    WrongKind {
        /// What it is used for.
        what: &'static str,
        /// The kind that was expected.
        expected: &'static str,
        /// The kind that it is.
        got: &'static str,
    },
    /// Values of the machine's other byte order.
    #[error("its numbers are big-endian, only little-endian ones are read")]
    BigEndian,
}
