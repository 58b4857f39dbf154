//! What is known of an error beyond its kind: whether a file is damaged, and which file it speaks of.

use super::CheckpointError;
use std::path::Path;

impl CheckpointError {
    /// Whether a file is missing or not as it was written. What could not be read for another
    /// reason (no permission, another version's layout) may well be whole.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Truncated { .. }
            | Self::TrailingBytes { .. }
            | Self::HeaderTooLarge { .. }
            | Self::ForeignFile { .. }
            | Self::Header { .. }
            | Self::Json { .. }
            | Self::Altered { .. }
            | Self::AlteredState { .. }
            | Self::OtherStep { .. }
            | Self::Value { .. }
            | Self::MissingFile { .. } => true,
            Self::Io { source, .. } => source.kind() == std::io::ErrorKind::NotFound,
            _ => false,
        }
    }

    /// The same error about a file of `partial` under the name that it was to have in `target`.
    pub(crate) fn in_target(mut self, partial: &Path, target: &Path) -> Self {
        if let Self::Io { path, .. }
        | Self::Describe { path, .. }
        | Self::Encode { path, .. }
        | Self::Json { path, .. }
        | Self::Value { path, .. } = &mut self
            && let Ok(inside) = path.strip_prefix(partial)
        {
            *path = target.join(inside);
        }
        self
    }

    /// For `map_err` on an operation of the file system.
    pub(crate) fn io<'a>(
        action: &'static str,
        path: &'a Path,
    ) -> impl FnOnce(std::io::Error) -> Self + use<'a> {
        move |source| Self::Io { action, path: path.to_path_buf(), source }
    }
}
