//! The fields of TensorFlow's `event.proto` and `summary.proto` that are written here.

/// An entry of an event file.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Event {
    /// Seconds since 1970.
    #[prost(double, tag = "1")]
    pub(super) wall_time: f64,
    /// Training steps done.
    #[prost(int64, tag = "2")]
    pub(super) step: i64,
    #[prost(oneof = "What", tags = "3, 5, 7")]
    pub(super) what: Option<What>,
}

/// What an entry holds.
#[derive(Clone, PartialEq, prost::Oneof)]
pub(super) enum What {
    #[prost(string, tag = "3")]
    FileVersion(String),
    #[prost(message, tag = "5")]
    Summary(Summary),
    #[prost(message, tag = "7")]
    SessionLog(SessionLog),
}

/// Values that belong to one step.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<Value>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Value {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(oneof = "Content", tags = "2, 4")]
    content: Option<Content>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Content {
    #[prost(float, tag = "2")]
    Scalar(f32),
    #[prost(message, tag = "4")]
    Picture(Picture),
}

#[derive(Clone, PartialEq, prost::Message)]
struct Picture {
    #[prost(int32, tag = "1")]
    height: i32,
    #[prost(int32, tag = "2")]
    width: i32,
    /// 3: RGB.
    #[prost(int32, tag = "3")]
    colorspace: i32,
    #[prost(bytes = "vec", tag = "4")]
    encoded: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct SessionLog {
    /// 1: start.
    #[prost(int32, tag = "1")]
    status: i32,
}

impl What {
    /// Makes readers forget what earlier files say of this step and later ones.
    pub(super) fn session_start() -> Self {
        Self::SessionLog(SessionLog { status: 1 })
    }

    pub(super) fn scalars(values: &[(&str, f64)]) -> Self {
        let value = |(tag, number): &(&str, f64)| Value {
            tag: (*tag).to_owned(),
            content: Some(Content::Scalar(*number as f32)),
        };
        Self::Summary(Summary { value: values.iter().map(value).collect() })
    }

    pub(super) fn picture(tag: &str, [height, width]: [i32; 2], encoded: Vec<u8>) -> Self {
        let picture = Picture { height, width, colorspace: 3, encoded };
        let value = Value { tag: tag.to_owned(), content: Some(Content::Picture(picture)) };
        Self::Summary(Summary { value: vec![value] })
    }
}
