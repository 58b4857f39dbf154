//! The variables that cargo, and what it builds, need to find libtorch; `cargo xtask env` prints
//! them.

use crate::libtorch;
use anyhow::Result;
use std::env;
use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// The environment for cargo.
#[derive(Debug, Clone)]
pub(crate) struct Environment {
    variables: Vec<(&'static str, OsString)>,
}

impl Environment {
    /// Sets up libtorch if it is missing, and says what must be set to use it.
    pub(crate) fn set_up() -> Result<Self> {
        let libtorch = libtorch::provide()?;
        let before = env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
        let own = env::current_exe().ok().and_then(|exe| exe.parent().map(Path::to_owned));
        let library_path = library_path(&libtorch, &before, own.as_deref())?;
        Ok(Self {
            variables: vec![
                ("LIBTORCH", libtorch.into_os_string()),
                ("LD_LIBRARY_PATH", library_path),
            ],
        })
    }

    /// Sets the variables for `command`.
    pub(crate) fn apply(&self, command: &mut Command) {
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
    }

    /// The variables as lines of a shell.
    fn shell_lines(&self) -> Vec<u8> {
        let lines = self.variables.iter().map(|(name, value)| {
            [b"export ", name.as_bytes(), b"=", &quote(value), b"\n"].concat()
        });
        lines.collect::<Vec<_>>().concat()
    }
}

/// The command `env`.
pub(crate) fn print() -> Result<ExitCode> {
    let lines = Environment::set_up()?.shell_lines();
    std::io::stdout().write_all(&lines)?;
    Ok(ExitCode::SUCCESS)
}

/// The search path for shared libraries: libtorch's folder, then what the user had. The folders
/// that `cargo run` put in front for this program (`own`, where the program lies, and the
/// toolchain's) are taken out again.
fn library_path(libtorch: &Path, before: &OsStr, own: Option<&Path>) -> Result<OsString> {
    let before: Vec<PathBuf> = env::split_paths(before).collect();
    let target_libraries = before.iter().filter(|path| is_rustlib(path));
    let toolchains: Vec<PathBuf> =
        target_libraries.filter_map(|path| path.ancestors().nth(3).map(Path::to_owned)).collect();
    let users = before.iter().filter(|path| {
        let from_cargo = is_rustlib(path)
            || toolchains.contains(path)
            || own.is_some_and(|own| path.starts_with(own));
        !path.as_os_str().is_empty() && !from_cargo
    });
    let lib = libtorch.join("lib");
    let rest = users.filter(|path| **path != lib);
    Ok(env::join_paths(std::iter::once(&lib).chain(rest))?)
}

/// Whether `path` ends like a toolchain's library folder, `lib/rustlib/TARGET/lib`.
fn is_rustlib(path: &Path) -> bool {
    let mut names = path.iter().rev().map(OsStr::as_bytes);
    names.next() == Some(b"lib")
        && names.next().is_some()
        && names.next() == Some(b"rustlib")
        && names.next() == Some(b"lib")
}

/// `value` in single quotes, safe in every shell: a quote inside becomes `'\''`.
fn quote(value: &OsStr) -> Vec<u8> {
    let mut quoted = vec![b'\''];
    for &byte in value.as_bytes() {
        match byte {
            b'\'' => quoted.extend_from_slice(br"'\''"),
            other => quoted.push(other),
        }
    }
    quoted.push(b'\'');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_survives_the_shell_whatever_the_value() {
        for value in ["/plain", "/with space", "/it's", "'", "/$HOME `x` \"y\" \\ *", "/a\nb"] {
            let variables = vec![("LIBTORCH", OsString::from(value))];
            let lines = Environment { variables }.shell_lines();
            let script = [lines.as_slice(), b"printf %s \"$LIBTORCH\""].concat();
            let script = OsStr::from_bytes(&script);
            let output = Command::new("sh").arg("-c").arg(script).output().expect("sh");
            assert_eq!(output.stdout, value.as_bytes(), "{value:?}");
        }
    }

    #[track_caller]
    fn check(before: &str, expected: &str) {
        let own = Path::new("/ws/target/debug");
        let got = library_path(Path::new("/lt"), OsStr::new(before), Some(own)).expect("joins");
        assert_eq!(got, expected);
    }

    #[test]
    fn the_library_path_keeps_the_users_entries_and_drops_cargos() {
        check("", "/lt/lib");
        check("/usr/local/lib:/opt/lib", "/lt/lib:/usr/local/lib:/opt/lib");
        check(
            "/ws/target/debug:/ws/target/debug/deps:/tc/lib/rustlib/x86_64-unknown-linux-gnu/lib:/tc/lib:/opt/lib",
            "/lt/lib:/opt/lib",
        );
        // Set up twice is set up once; an empty entry would mean the current folder.
        check("/lt/lib:/opt/lib", "/lt/lib:/opt/lib");
        check(":/opt/lib:", "/lt/lib:/opt/lib");
    }
}
