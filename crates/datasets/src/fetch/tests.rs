//! Fetching from a server on loopback that misbehaves in the ways servers do.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    thread::JoinHandle,
};

use flate2::{Compression, write::GzEncoder};
use sha2::{Digest, Sha256};

use super::*;

/// What the server does with one connection.
enum Reply {
    /// Sends these bytes and closes.
    Raw(Vec<u8>),
    /// Answers as a good server would, ranges included.
    Good,
    /// Announces the whole file, sends half of what was asked for, and closes.
    HalfOf,
    /// Sends the whole file whatever was asked for.
    IgnoreRange,
}

/// Serves `file` to as many connections as there are replies; gives back the requests.
fn serve(file: &'static [u8], replies: Vec<Reply>) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let thread = std::thread::spawn(move || {
        replies
            .into_iter()
            .map(|reply| answer(&listener.accept().unwrap().0, file, reply))
            .collect()
    });
    (base, thread)
}

/// Reads one request and answers it.
fn answer(mut stream: &TcpStream, file: &[u8], reply: Reply) -> String {
    let (mut request, mut byte) = (String::new(), [0]);
    while !request.ends_with("\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
        request.push(char::from(byte[0]));
    }
    let start = range_of(&request);
    let (status, start) = match (&reply, start) {
        (Reply::IgnoreRange, _) | (_, None) => ("200 OK".to_owned(), 0),
        (_, Some(start)) => {
            let last = file.len() - 1;
            let range = format!("Content-Range: bytes {start}-{last}/{}", file.len());
            (format!("206 Partial Content\r\n{range}"), start)
        }
    };
    let body = &file[start..];
    let head =
        format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    let bytes = match reply {
        Reply::Raw(bytes) => bytes,
        Reply::HalfOf => [head.as_bytes(), &body[..body.len() / 2]].concat(),
        Reply::Good | Reply::IgnoreRange => [head.as_bytes(), body].concat(),
    };
    stream.write_all(&bytes).unwrap();
    request
}

/// The first byte a request asks for.
fn range_of(request: &str) -> Option<usize> {
    let line = request.lines().find(|line| line.to_lowercase().starts_with("range:"))?;
    line.split("bytes=").nth(1)?.trim_end_matches('-').parse().ok()
}

fn status(line: &str) -> Reply {
    Reply::Raw(format!("HTTP/1.1 {line}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").into())
}

/// Bytes that do not repeat early, so that a wrong offset shows.
fn file() -> &'static [u8] {
    let bytes: Vec<u8> = (0..200_000u32).flat_map(|k| k.wrapping_mul(k).to_le_bytes()).collect();
    bytes.leak()
}

/// A source of one file that sums to what `file` does.
fn source(file: &[u8], unpacks_to: Option<&'static str>) -> Source {
    let sum: String = Sha256::digest(file).iter().map(|byte| format!("{byte:02x}")).collect();
    let name = "some-file.gz";
    let remote = RemoteFile { name, bytes: file.len() as u64, sha256: sum.leak() };
    Source { base: "http://127.0.0.1:1", files: vec![remote].leak(), unpacks_to }
}

/// Fetches without pauses; errors are shown relative to the folder and the server.
fn fetch_to(folder: &Path, source: &Source, base: &str) -> Result<PathBuf, String> {
    let root = format!("{}/", folder.display());
    fetch_source(source, folder, Some(base), Duration::ZERO, &mut |_| {})
        .map_err(|error| error.to_string().replace(&root, "").replace(base, "SERVER"))
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn a_file_arrives_whole_with_progress_and_is_not_fetched_twice() {
    let (folder, file) = (tempfile::tempdir().unwrap(), file());
    let (base, server) = serve(file, vec![Reply::Good]);
    let mut seen = vec![];
    let to = folder.path().join("made/on/the/way");
    let source = source(file, None);
    for _ in 0..2 {
        let got = fetch_source(&source, &to, Some(&format!("{base}/")), Duration::ZERO, &mut |p| {
            seen.push((p.received, p.total));
        });
        assert_eq!(got.unwrap(), to);
    }
    assert_eq!(std::fs::read(to.join("some-file.gz")).unwrap(), file);
    assert_eq!(names(&to), ["some-file.gz"]);
    assert!(seen.is_sorted() && seen.len() > 3, "{seen:?}");
    assert_eq!(seen.last(), Some(&(800_000, 800_000)));
    let requests = server.join().unwrap();
    assert!(requests[0].starts_with("GET /some-file.gz HTTP/1.1\r\n"), "{}", requests[0]);
}

#[test]
fn a_download_that_breaks_off_is_taken_up_where_it_stopped() {
    let (folder, file) = (tempfile::tempdir().unwrap(), file());
    let (base, server) = serve(file, vec![Reply::HalfOf, Reply::HalfOf, Reply::Good]);
    fetch_to(folder.path(), &source(file, None), &base).unwrap();
    assert_eq!(std::fs::read(folder.path().join("some-file.gz")).unwrap(), file);
    let ranges: Vec<_> = server.join().unwrap().iter().map(|request| range_of(request)).collect();
    assert_eq!(ranges, [None, Some(400_000), Some(600_000)]);
}

#[test]
fn a_later_call_goes_on_with_what_an_earlier_one_left() {
    let (folder, file) = (tempfile::tempdir().unwrap(), file());
    let gone = || Reply::Raw(vec![]);
    let replies = vec![Reply::HalfOf, gone(), gone(), gone(), gone(), gone(), Reply::Good];
    let (base, server) = serve(file, replies);
    let source = source(file, None);
    let error = fetch_to(folder.path(), &source, &base).unwrap_err();
    let want = "downloading SERVER/some-file.gz stopped after 400000 bytes (run the same command \
                again to resume)";
    assert_eq!(error, want);
    assert_eq!(names(folder.path()), ["some-file.gz.part"]);
    fetch_to(folder.path(), &source, &base).unwrap();
    assert_eq!(std::fs::read(folder.path().join("some-file.gz")).unwrap(), file);
    assert_eq!(range_of(&server.join().unwrap()[6]), Some(400_000));
}

#[test]
fn a_server_that_ignores_ranges_is_read_from_the_start() {
    let (folder, file) = (tempfile::tempdir().unwrap(), file());
    let (base, server) = serve(file, vec![Reply::HalfOf, Reply::IgnoreRange]);
    fetch_to(folder.path(), &source(file, None), &base).unwrap();
    assert_eq!(std::fs::read(folder.path().join("some-file.gz")).unwrap(), file);
    assert_eq!(range_of(&server.join().unwrap()[1]), Some(400_000));
}

#[test]
fn a_server_that_refuses_the_range_is_asked_again_from_the_start() {
    let (folder, file) = (tempfile::tempdir().unwrap(), file());
    let wrong = "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 7-9/800000\r\n\
                 Content-Length: 3\r\nConnection: close\r\n\r\nabc";
    for refusal in [status("416 Range Not Satisfiable"), Reply::Raw(wrong.into())] {
        let path = folder.path().join("some-file.gz");
        std::fs::write(folder.path().join("some-file.gz.part"), &file[..1000]).unwrap();
        let (base, server) = serve(file, vec![refusal, Reply::Good]);
        fetch_to(folder.path(), &source(file, None), &base).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), file);
        let requests = server.join().unwrap();
        assert_eq!((range_of(&requests[0]), range_of(&requests[1])), (Some(1000), None));
        std::fs::remove_file(path).unwrap();
    }
}

#[test]
fn a_whole_part_is_checked_and_renamed_without_asking() {
    let (folder, file) = (tempfile::tempdir().unwrap(), file());
    std::fs::write(folder.path().join("some-file.gz.part"), file).unwrap();
    fetch_to(folder.path(), &source(file, None), "http://127.0.0.1:1").unwrap();
    assert_eq!(names(folder.path()), ["some-file.gz"]);
}

#[test]
fn a_corrupt_file_is_named_with_both_sums_and_removed() {
    let (folder, file) = (tempfile::tempdir().unwrap(), file());
    let mut corrupt = file.to_vec();
    corrupt[123_456] ^= 1;
    let corrupt: &'static [u8] = corrupt.leak();
    let (base, server) = serve(corrupt, vec![Reply::Good]);
    let (good, bad) = (source(file, None), source(corrupt, None));
    assert_eq!(
        fetch_to(folder.path(), &good, &base).unwrap_err(),
        format!(
            "some-file.gz has the wrong sha256 sum {}, expected {}; it was removed: run the same \
             command again, or use another base address",
            bad.files[0].sha256, good.files[0].sha256
        )
    );
    assert!(names(folder.path()).is_empty());
    server.join().unwrap();
}

#[test]
fn a_server_that_sends_too_much_is_stopped_and_nothing_is_kept() {
    let (folder, file) = (tempfile::tempdir().unwrap(), file());
    // Without a length: the client reads until the connection ends.
    let endless = [&b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"[..], file, b"x"].concat();
    let (base, server) = serve(file, vec![Reply::Raw(endless)]);
    assert_eq!(
        fetch_to(folder.path(), &source(file, None), &base).unwrap_err(),
        "the server sent at least 800001 bytes of some-file.gz, expected 800000; it was removed: \
         run the same command again, or use another base address"
    );
    assert!(names(folder.path()).is_empty());
    server.join().unwrap();
}

#[test]
fn a_file_in_the_way_is_left_alone() {
    let (folder, file) = (tempfile::tempdir().unwrap(), file());
    std::fs::write(folder.path().join("some-file.gz"), "mine").unwrap();
    let error = fetch_to(folder.path(), &source(file, None), "http://127.0.0.1:1").unwrap_err();
    assert!(error.starts_with("some-file.gz is already there but is another file"), "{error}");
    assert_eq!(std::fs::read(folder.path().join("some-file.gz")).unwrap(), b"mine");
}

#[test]
fn a_server_without_the_file_is_not_asked_twice() {
    let folder = tempfile::tempdir().unwrap();
    let (base, server) = serve(b"", vec![status("404 Not Found")]);
    assert_eq!(
        fetch_to(folder.path(), &source(b"x", None), &base).unwrap_err(),
        "SERVER/some-file.gz answered with status 404, expected the file"
    );
    assert!(names(folder.path()).is_empty());
    assert_eq!(server.join().unwrap().len(), 1);
}

#[test]
fn a_server_in_trouble_is_asked_again() {
    let (folder, file) = (tempfile::tempdir().unwrap(), file());
    let trouble = || status("503 Service Unavailable");
    let (base, server) = serve(file, vec![trouble(), trouble(), Reply::Good]);
    fetch_to(folder.path(), &source(file, None), &base).unwrap();
    assert_eq!(server.join().unwrap().len(), 3);
}

#[test]
fn no_server_and_no_address_are_told_apart_from_a_bad_file() {
    let folder = tempfile::tempdir().unwrap();
    let error = fetch_to(folder.path(), &source(b"x", None), "http://127.0.0.1:1").unwrap_err();
    assert!(error.contains("SERVER/some-file.gz stopped after 0 bytes"), "{error}");
    let error = fetch_to(folder.path(), &source(b"x", None), "not an address").unwrap_err();
    assert!(error.contains("SERVER/some-file.gz stopped after 0 bytes"), "{error}");
}

/// A gzipped tar archive with one file in it.
fn archive(path: &str) -> &'static [u8] {
    let mut tar = tar::Builder::new(GzEncoder::new(vec![], Compression::default()));
    let mut header = tar::Header::new_gnu();
    header.set_size(5);
    header.set_mode(0o644);
    tar.append_data(&mut header, path, &b"hello"[..]).unwrap();
    tar.into_inner().unwrap().finish().unwrap().leak()
}

#[test]
fn an_archive_is_unpacked_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let file = archive("batches/test_batch.bin");
    let (base, server) = serve(file, vec![Reply::Good]);
    for _ in 0..2 {
        let got = fetch_to(folder.path(), &source(file, Some("batches")), &base).unwrap();
        assert_eq!(got, folder.path().join("batches"));
    }
    assert_eq!(std::fs::read(folder.path().join("batches/test_batch.bin")).unwrap(), b"hello");
    assert_eq!(names(folder.path()), ["batches"]);
    server.join().unwrap();
}

#[test]
fn an_archive_without_its_folder_leaves_no_trace_of_one() {
    let folder = tempfile::tempdir().unwrap();
    let file = archive("elsewhere/test_batch.bin");
    let (base, server) = serve(file, vec![Reply::Good]);
    let error = fetch_to(folder.path(), &source(file, Some("batches")), &base).unwrap_err();
    assert_eq!(error, "cannot unpack some-file.gz");
    assert_eq!(names(folder.path()), ["some-file.gz"]);
    server.join().unwrap();
}

#[test]
fn a_damaged_archive_is_named_and_not_the_temporary_folder() {
    let folder = tempfile::tempdir().unwrap();
    let whole = archive("batches/test_batch.bin");
    let file: &'static [u8] = &whole[..whole.len() / 2];
    let (base, server) = serve(file, vec![Reply::Good]);
    let error = fetch_source(
        &source(file, Some("batches")),
        folder.path(),
        Some(&base),
        Duration::ZERO,
        &mut |_| {},
    );
    let DatasetError::Unpack { path, source } = error.unwrap_err() else { panic!("unpacked") };
    assert_eq!(path, folder.path().join("some-file.gz"));
    assert!(!source.to_string().contains(".unpacking-"), "{source}");
    assert_eq!(names(folder.path()), ["some-file.gz"]);
    server.join().unwrap();
}

#[test]
fn names_and_sums_are_well_formed() {
    for set in FetchSet::ALL {
        assert_eq!(set.name().parse::<FetchSet>().unwrap(), set);
        assert!(set.base().starts_with("http") && !set.base().ends_with('/'));
        for file in set.source().files {
            assert!(file.sha256.len() == 64 && file.bytes > 1000, "{}", file.name);
            assert!(file.sha256.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f')));
        }
    }
    let error = "imagenet".parse::<FetchSet>().unwrap_err().to_string();
    assert_eq!(
        error,
        "there is no set `imagenet` to fetch, expected mnist, fashion-mnist or cifar10"
    );
}
