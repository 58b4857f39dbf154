//! The names that a pickle may use. Nothing else of Python is known here.

use safetensors::Dtype;

/// What an allowed name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Global {
    /// `collections.OrderedDict`, `Counter`: read as dicts.
    Dict,
    /// `collections.defaultdict`: a dict whose first argument is a type.
    DefaultDict,
    /// `set` and `frozenset`.
    Set,
    /// Python 3's `bytes`, as older protocols write empty ones.
    Bytes,
    /// A plain type, named as an argument only.
    PlainType,
    /// `_codecs.encode`: bytes, written as the text of their values.
    Encode,
    /// `torch.Size`: a tuple.
    Size,
    /// `torch.device`: a text.
    Device,
    /// An element type, such as `torch.float32`.
    ElementType(&'static str),
    /// A type of storage, by its elements.
    Storage(Dtype),
    /// `torch._utils._rebuild_tensor` and `_rebuild_tensor_v2`.
    RebuildTensor,
    /// `torch._utils._rebuild_tensor_v3`: an element type beside a storage of bytes.
    RebuildTyped,
    /// `torch._tensor._rebuild_from_type_v2`: a tensor with attributes, which are passed over.
    RebuildFromType,
    /// `torch.Tensor`, `Parameter` and `Buffer`, named as the type of a tensor.
    TensorType,
    /// `torch._utils._rebuild_parameter`, also with state: its tensor.
    RebuildParameter,
    /// `numpy.dtype`.
    NumpyType,
    /// `numpy.core.multiarray.scalar`.
    NumpyScalar,
    /// `numpy.ndarray`, named as the type of an array.
    NumpyArrayType,
    /// `numpy.core.multiarray._reconstruct`: an empty array whose content is set afterwards.
    NumpyReconstruct,
    /// `numpy._core.numeric._frombuffer`: an array over bytes.
    NumpyFromBuffer,
}

impl Global {
    /// The name of an element type.
    pub(crate) fn element_type(self) -> Option<&'static str> {
        match self {
            Self::ElementType(name) => Some(name),
            _ => None,
        }
    }
}

/// The meaning of `module.name`; `None` for whatever is not allowed.
pub(crate) fn global(module: &str, name: &str) -> Option<Global> {
    match module {
        "collections" => match name {
            "OrderedDict" | "Counter" => Some(Global::Dict),
            "defaultdict" => Some(Global::DefaultDict),
            _ => None,
        },
        "builtins" | "__builtin__" => match name {
            "set" | "frozenset" => Some(Global::Set),
            "bytes" => Some(Global::Bytes),
            "list" | "dict" | "tuple" | "int" | "float" | "bool" | "str" => Some(Global::PlainType),
            _ => None,
        },
        "_codecs" => (name == "encode").then_some(Global::Encode),
        "torch._utils" => match name {
            "_rebuild_tensor" | "_rebuild_tensor_v2" => Some(Global::RebuildTensor),
            "_rebuild_tensor_v3" => Some(Global::RebuildTyped),
            "_rebuild_parameter" | "_rebuild_parameter_with_state" => {
                Some(Global::RebuildParameter)
            }
            _ => None,
        },
        "torch._tensor" => match name {
            "_rebuild_from_type_v2" => Some(Global::RebuildFromType),
            "Tensor" => Some(Global::TensorType),
            _ => None,
        },
        "torch.nn.parameter" => {
            matches!(name, "Parameter" | "Buffer").then_some(Global::TensorType)
        }
        "torch" | "torch.storage" => torch(name),
        "numpy" => match name {
            "dtype" => Some(Global::NumpyType),
            "ndarray" => Some(Global::NumpyArrayType),
            _ => None,
        },
        "numpy.core.multiarray" | "numpy._core.multiarray" => match name {
            "scalar" => Some(Global::NumpyScalar),
            "_reconstruct" => Some(Global::NumpyReconstruct),
            _ => None,
        },
        "numpy.core.numeric" | "numpy._core.numeric" => {
            (name == "_frombuffer").then_some(Global::NumpyFromBuffer)
        }
        _ => None,
    }
}

fn torch(name: &str) -> Option<Global> {
    if let Some(elements) = name.strip_suffix("Storage") {
        return storage(elements).map(Global::Storage);
    }
    const ELEMENT_TYPES: [&str; 17] = [
        "float32",
        "float64",
        "float16",
        "bfloat16",
        "int64",
        "int32",
        "int16",
        "int8",
        "uint8",
        "uint16",
        "uint32",
        "uint64",
        "float8_e4m3fn",
        "float8_e5m2",
        "bool",
        "complex64",
        "complex128",
    ];
    match name {
        "Size" => Some(Global::Size),
        "Tensor" => Some(Global::TensorType),
        "device" => Some(Global::Device),
        _ => {
            let known = ELEMENT_TYPES.iter().find(|known| **known == name);
            known.map(|known| Global::ElementType(known))
        }
    }
}

fn storage(elements: &str) -> Option<Dtype> {
    Some(match elements {
        "Float" => Dtype::F32,
        "Double" => Dtype::F64,
        "Half" => Dtype::F16,
        "BFloat16" => Dtype::BF16,
        "Long" => Dtype::I64,
        "Int" => Dtype::I32,
        "Short" => Dtype::I16,
        "Char" => Dtype::I8,
        "Byte" => Dtype::U8,
        "Bool" => Dtype::BOOL,
        "ComplexFloat" => Dtype::C64,
        // its length is in bytes
        "Untyped" => Dtype::U8,
        _ => return None,
    })
}

/// The elements of a type by torch's name for it; `None` where weight files have no such type.
pub(crate) fn elements(name: &str) -> Option<Dtype> {
    Some(match name {
        "float32" => Dtype::F32,
        "float64" => Dtype::F64,
        "float16" => Dtype::F16,
        "bfloat16" => Dtype::BF16,
        "float8_e4m3fn" => Dtype::F8_E4M3,
        "float8_e5m2" => Dtype::F8_E5M2,
        "int64" => Dtype::I64,
        "int32" => Dtype::I32,
        "int16" => Dtype::I16,
        "int8" => Dtype::I8,
        "uint64" => Dtype::U64,
        "uint32" => Dtype::U32,
        "uint16" => Dtype::U16,
        "uint8" => Dtype::U8,
        "bool" => Dtype::BOOL,
        "complex64" => Dtype::C64,
        _ => return None,
    })
}
