//! The instructions of a pickle, decoded. Their codes are those of Python's module `pickle`.

use super::{Input, PickleError};
use crate::CheckpointError;

/// One instruction with its operands.
#[derive(Debug)]
pub(crate) enum Instruction {
    None,
    Bool(bool),
    Int(i64),
    /// An integer of any length, little endian in two's complement.
    Long(Vec<u8>),
    Float(f64),
    Text(String),
    Bytes(Vec<u8>),
    EmptyList,
    EmptyTuple,
    EmptyDict,
    EmptySet,
    /// Makes a container of what lies above the mark.
    List,
    Tuple,
    Dict,
    FrozenSet,
    /// Makes a tuple of the last one, two or three values.
    TupleOf(usize),
    Append,
    Appends,
    SetItem,
    SetItems,
    AddItems,
    Mark,
    Pop,
    PopMark,
    Duplicate,
    Keep(u32),
    KeepNext,
    Recall(u32),
    Global {
        module: String,
        name: String,
    },
    StackGlobal,
    Reduce,
    Build,
    Persistent,
    /// Says nothing about the values: protocol and frame headers.
    Heading,
    Stop,
}

impl Instruction {
    /// Reads the next instruction.
    pub(crate) fn read(input: &mut Input<'_>) -> Result<Self, CheckpointError> {
        let code = input.byte()?;
        Ok(match code {
            b'N' => Self::None,
            0x88 => Self::Bool(true),
            0x89 => Self::Bool(false),
            b')' => Self::EmptyTuple,
            b']' => Self::EmptyList,
            b'}' => Self::EmptyDict,
            0x8f => Self::EmptySet,
            b'(' => Self::Mark,
            b'0' => Self::Pop,
            b'1' => Self::PopMark,
            b'2' => Self::Duplicate,
            b'l' => Self::List,
            b't' => Self::Tuple,
            b'd' => Self::Dict,
            0x91 => Self::FrozenSet,
            0x85 => Self::TupleOf(1),
            0x86 => Self::TupleOf(2),
            0x87 => Self::TupleOf(3),
            b'a' => Self::Append,
            b'e' => Self::Appends,
            b's' => Self::SetItem,
            b'u' => Self::SetItems,
            0x90 => Self::AddItems,
            b'R' => Self::Reduce,
            b'b' => Self::Build,
            b'Q' => Self::Persistent,
            0x93 => Self::StackGlobal,
            0x94 => Self::KeepNext,
            b'.' => Self::Stop,
            _ => return Self::with_operand(code, input),
        })
    }

    fn with_operand(code: u8, input: &mut Input<'_>) -> Result<Self, CheckpointError> {
        Ok(match code {
            b'K' => Self::Int(input.byte()?.into()),
            b'M' => Self::Int(u16::from_le_bytes(input.array()?).into()),
            b'J' => Self::Int(i32::from_le_bytes(input.array()?).into()),
            0x8a => Self::Long(length_then_bytes(input, 1)?),
            0x8b => Self::Long(length_then_bytes(input, 4)?),
            b'G' => Self::Float(f64::from_be_bytes(input.array()?)),
            0x8c => Self::Text(length_then_text(input, 1)?),
            b'X' => Self::Text(length_then_text(input, 4)?),
            0x8d => Self::Text(length_then_text(input, 8)?),
            b'C' => Self::Bytes(length_then_bytes(input, 1)?),
            b'B' => Self::Bytes(length_then_bytes(input, 4)?),
            0x8e | 0x96 => Self::Bytes(length_then_bytes(input, 8)?),
            b'U' => text_of_python_2(length_then_bytes(input, 1)?),
            b'T' => text_of_python_2(length_then_bytes(input, 4)?),
            b'h' => Self::Recall(input.byte()?.into()),
            b'j' => Self::Recall(u32::from_le_bytes(input.array()?)),
            b'q' => Self::Keep(input.byte()?.into()),
            b'r' => Self::Keep(u32::from_le_bytes(input.array()?)),
            b'c' => {
                let (module, name) = (text_line(input)?, text_line(input)?);
                Self::Global { module, name }
            }
            0x80 => protocol(input)?,
            0x95 => {
                let _: [u8; 8] = input.array()?;
                Self::Heading
            }
            _ => return Self::of_protocol_0(code, input),
        })
    }

    /// The forms of protocol 0, whose operands are lines of text.
    fn of_protocol_0(code: u8, input: &mut Input<'_>) -> Result<Self, CheckpointError> {
        Ok(match code {
            b'I' => match text_line(input)?.as_str() {
                "00" => Self::Bool(false),
                "01" => Self::Bool(true),
                digits => Self::Int(number(input, digits, "an integer")?),
            },
            b'L' => {
                let digits = text_line(input)?;
                Self::Int(number(input, digits.trim_end_matches('L'), "an integer")?)
            }
            b'F' => {
                let digits = text_line(input)?;
                Self::Float(number(input, &digits, "a float")?)
            }
            b'S' => quoted(input)?,
            b'V' => Self::Text(text_line(input)?),
            b'p' => {
                let digits = text_line(input)?;
                Self::Keep(number(input, &digits, "a number")?)
            }
            b'g' => {
                let digits = text_line(input)?;
                Self::Recall(number(input, &digits, "a number")?)
            }
            b'i' => {
                // a name and a call in one; the name tells more than the instruction
                let (module, name) = (text_line(input)?, text_line(input)?);
                return Err(input.fault(PickleError::ForbiddenName { module, name }));
            }
            _ => return Err(refusal(code, input)),
        })
    }
}

/// The error for instructions that call, make or look up what no tensor or container needs.
fn refusal(code: u8, input: &Input<'_>) -> CheckpointError {
    let name = match code {
        b'o' => "OBJ",
        0x81 => "NEWOBJ",
        0x92 => "NEWOBJ_EX",
        0x82 => "EXT1",
        0x83 => "EXT2",
        0x84 => "EXT4",
        b'P' => "PERSID",
        0x97 => "NEXT_BUFFER",
        0x98 => "READONLY_BUFFER",
        byte => return input.fault(PickleError::UnknownInstruction { byte }),
    };
    input.fault(PickleError::ForbiddenInstruction { name })
}

fn protocol(input: &mut Input<'_>) -> Result<Instruction, CheckpointError> {
    match input.byte()? {
        0..=5 => Ok(Instruction::Heading),
        found => Err(input.fault(PickleError::Protocol { found })),
    }
}

/// A length of `width` bytes, and that many bytes.
fn length_then_bytes(input: &mut Input<'_>, width: usize) -> Result<Vec<u8>, CheckpointError> {
    let mut length = [0; 8];
    for byte in &mut length[..width] {
        *byte = input.byte()?;
    }
    input.take(u64::from_le_bytes(length))
}

fn length_then_text(input: &mut Input<'_>, width: usize) -> Result<String, CheckpointError> {
    let bytes = length_then_bytes(input, width)?;
    text(input, bytes)
}

fn text_line(input: &mut Input<'_>) -> Result<String, CheckpointError> {
    let line = input.line()?;
    text(input, line)
}

fn text(input: &Input<'_>, bytes: Vec<u8>) -> Result<String, CheckpointError> {
    String::from_utf8(bytes)
        .map_err(|_| input.fault(PickleError::Malformed { expected: "text in UTF-8" }))
}

/// Python 2 has one type for text and bytes.
fn text_of_python_2(bytes: Vec<u8>) -> Instruction {
    String::from_utf8(bytes)
        .map_or_else(|error| Instruction::Bytes(error.into_bytes()), Instruction::Text)
}

fn quoted(input: &mut Input<'_>) -> Result<Instruction, CheckpointError> {
    let line = text_line(input)?;
    let inside = ['\'', '"'].iter().find_map(|&q| line.strip_prefix(q)?.strip_suffix(q));
    inside
        .map(|inside| Instruction::Text(inside.to_owned()))
        .ok_or_else(|| input.fault(PickleError::Malformed { expected: "a quoted text" }))
}

fn number<T: std::str::FromStr>(
    input: &Input<'_>,
    digits: &str,
    expected: &'static str,
) -> Result<T, CheckpointError> {
    digits.parse().map_err(|_| input.fault(PickleError::Malformed { expected }))
}
