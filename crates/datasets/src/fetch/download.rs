//! One file over HTTP, taken up again where it broke off.

use std::{
    fs::{File, OpenOptions},
    io::{self, ErrorKind, Read, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use sha2::{Digest, Sha256};
use ureq::{Agent, Body, Proxy, http::Response};

use super::{FetchProgress, sources::RemoteFile};
use crate::error::DatasetError;

/// Attempts in a row that bring nothing new before it is given up.
const ATTEMPTS: u32 = 5;

/// A file on its way to `part`.
#[derive(Debug)]
pub(super) struct Download {
    url: String,
    part: PathBuf,
    file: RemoteFile,
    pause: Duration,
    agent: Agent,
}

/// What an attempt came to.
enum Attempt {
    Complete,
    /// Worth another try.
    BrokeOff(ureq::Error),
}

impl Download {
    /// `pause` is the wait after the first failed attempt; it doubles with each further one.
    pub(super) fn new(url: String, part: PathBuf, file: RemoteFile, pause: Duration) -> Self {
        let agent = agent(&url);
        Self { url, part, file, pause, agent }
    }

    /// Downloads until the file is whole, taking up what is there.
    pub(super) fn run(
        &self,
        progress: &mut dyn FnMut(FetchProgress<'_>),
    ) -> Result<(), DatasetError> {
        let (mut most, mut failures) = (self.received()?, 0);
        loop {
            let source = match self.attempt(progress)? {
                Attempt::Complete => return Ok(()),
                Attempt::BrokeOff(source) => source,
            };
            let received = self.received()?;
            failures = if received > most { 0 } else { failures + 1 };
            most = most.max(received);
            if failures == ATTEMPTS {
                let (url, source) = (self.url.clone(), Box::new(source));
                return Err(DatasetError::Download { url, received, source });
            }
            std::thread::sleep(self.pause * (1 << failures));
        }
    }

    /// Bytes on disk.
    fn received(&self) -> Result<u64, DatasetError> {
        match std::fs::metadata(&self.part) {
            Ok(metadata) => Ok(metadata.len()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(0),
            Err(source) => Err(DatasetError::Read { path: self.part.clone(), source }),
        }
    }

    /// Asks for what is missing and writes what comes.
    fn attempt(
        &self,
        progress: &mut dyn FnMut(FetchProgress<'_>),
    ) -> Result<Attempt, DatasetError> {
        let received = self.received()?;
        if received == self.file.bytes {
            return Ok(Attempt::Complete);
        }
        let mut request = self.agent.get(&self.url);
        if (1..self.file.bytes).contains(&received) {
            request = request.header("Range", format!("bytes={received}-"));
        }
        let response = match request.call() {
            Ok(response) => response,
            Err(error) if is_passing(&error) => return Ok(Attempt::BrokeOff(error)),
            Err(error) => return Err(self.failed(received, error)),
        };
        match response.status().as_u16() {
            // The whole file: the server knows no ranges, or nothing was there to resume.
            200 => self.write(response, 0, progress),
            206 if range_start(&response) == Some(received) => {
                self.write(response, received, progress)
            }
            // Another range than asked for, or none that the server could give: from the start.
            206 | 416 => {
                self.open(0)?;
                Ok(Attempt::BrokeOff(ureq::Error::StatusCode(response.status().as_u16())))
            }
            status @ (408 | 429 | 500..=599) => {
                Ok(Attempt::BrokeOff(ureq::Error::StatusCode(status)))
            }
            status => Err(DatasetError::HttpStatus { url: self.url.clone(), status }),
        }
    }

    /// Writes the body of a response to the file, from byte `start` on.
    fn write(
        &self,
        response: Response<Body>,
        start: u64,
        progress: &mut dyn FnMut(FetchProgress<'_>),
    ) -> Result<Attempt, DatasetError> {
        let failed = |source| DatasetError::Write { path: self.part.clone(), source };
        let body = response.into_body();
        let total = body.content_length().map_or(self.file.bytes, |length| start + length);
        let mut file = self.open(start)?;
        let (mut reader, mut buffer) = (body.into_reader(), vec![0; 1 << 16]);
        let mut received = start;
        loop {
            progress(FetchProgress { file: self.file.name, received, total });
            match reader.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) if received + count as u64 > self.file.bytes => {
                    return Err(self.too_long(received + count as u64));
                }
                Ok(count) => {
                    file.write_all(&buffer[..count]).map_err(failed)?;
                    received += count as u64;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Ok(Attempt::BrokeOff(error.into())),
            }
        }
        if received < total {
            let error = io::Error::new(ErrorKind::UnexpectedEof, "the connection ended early");
            return Ok(Attempt::BrokeOff(error.into()));
        }
        file.sync_all().map_err(failed)?;
        Ok(Attempt::Complete)
    }

    /// Opens the file to go on writing after `start` bytes.
    fn open(&self, start: u64) -> Result<File, DatasetError> {
        let failed = |source| DatasetError::Write { path: self.part.clone(), source };
        let mut options = OpenOptions::new();
        let file = options.create(true).append(true).open(&self.part).map_err(failed)?;
        file.set_len(start).map_err(failed)?;
        Ok(file)
    }

    /// What is on disk is no beginning of the published file, so it is removed.
    fn too_long(&self, got: u64) -> DatasetError {
        let path = self.part.with_file_name(self.file.name);
        if let Err(source) = std::fs::remove_file(&self.part) {
            return DatasetError::Write { path: self.part.clone(), source };
        }
        DatasetError::TooLong { path, got, expected: self.file.bytes }
    }

    fn failed(&self, received: u64, source: ureq::Error) -> DatasetError {
        DatasetError::Download { url: self.url.clone(), received, source: Box::new(source) }
    }
}

/// A client that gives up on silence, and that asks this machine itself without any proxy.
fn agent(url: &str) -> Agent {
    let local = ["http://127.", "http://localhost", "http://[::1]"];
    let proxy = (!local.iter().any(|host| url.starts_with(host))).then(Proxy::try_from_env);
    Agent::config_builder()
        .http_status_as_error(false)
        // The files are gzipped already, and must come as they are.
        .accept_encoding("identity")
        .proxy(proxy.flatten())
        .timeout_connect(Some(Duration::from_secs(30)))
        .timeout_recv_response(Some(Duration::from_secs(60)))
        .timeout_per_read(Some(Duration::from_secs(60)))
        .build()
        .into()
}

/// Whether the same request may well succeed later.
fn is_passing(error: &ureq::Error) -> bool {
    use ureq::Error;
    matches!(error, Error::Io(_) | Error::Timeout(_) | Error::ConnectionFailed | Error::Protocol(_))
}

/// The first byte of a partial answer: of `Content-Range: bytes 5-9/10` the 5.
fn range_start(response: &Response<Body>) -> Option<u64> {
    let range = response.headers().get("Content-Range")?.to_str().ok()?;
    range.strip_prefix("bytes ")?.split('-').next()?.trim().parse().ok()
}

/// The sha256 sum of a file, in lower-case hex.
pub(super) fn sha256(path: &Path) -> Result<String, DatasetError> {
    let failed = |source| DatasetError::Read { path: path.to_path_buf(), source };
    let (mut file, mut sum) = (File::open(path).map_err(failed)?, Sha256::new());
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => sum.update(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(error)),
        }
    }
    Ok(sum.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
