//! Reading all tensors of a file takes little more memory than they do.
//!
//! `PEAK_MEGABYTES=400 cargo test --release -p tweedie-checkpoints --test peak_memory -- --nocapture`
//! measures a file of that size and prints the figures. One test alone stands here, since the peak is
//! the whole process's.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;

use tweedie_checkpoints::{Dtype, TensorFile, TorchFile, View, write_safetensors};

/// Tensors of a file, all of one size.
const TENSORS: usize = 24;

/// A tensor whose bytes are made when they are written.
struct Filled {
    shape: Vec<usize>,
    value: u8,
}

impl View for Filled {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        vec![self.value; self.data_len()].into()
    }

    fn data_len(&self) -> usize {
        4 * self.shape[0]
    }
}

fn tensors(elements: usize) -> impl Iterator<Item = (String, Filled)> {
    (0..TENSORS)
        .map(move |n| (format!("layer.{n}"), Filled { shape: vec![elements], value: n as u8 }))
}

/// What `torch.save` writes for a dict of such tensors.
fn write_torch(path: &Path, elements: usize) {
    let mut pickle = b"\x80\x02}(".to_vec();
    let text = |pickle: &mut Vec<u8>, text: &str| {
        pickle.push(b'X');
        pickle.extend((text.len() as u32).to_le_bytes());
        pickle.extend(text.as_bytes());
    };
    let number = |pickle: &mut Vec<u8>, value: usize| {
        pickle.push(b'J');
        pickle.extend((value as u32).to_le_bytes());
    };
    for (index, (name, _)) in tensors(elements).enumerate() {
        text(&mut pickle, &name);
        pickle.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        text(&mut pickle, "storage");
        pickle.extend(b"ctorch\nFloatStorage\n");
        text(&mut pickle, &index.to_string());
        text(&mut pickle, "cpu");
        number(&mut pickle, elements);
        pickle.extend(b"tQK\0");
        number(&mut pickle, elements);
        pickle.extend(b"\x85K\x01\x85\x89NtR");
    }
    pickle.extend(b"u.");
    let mut zip = rawzip::ZipArchiveWriter::new(fs::File::create(path).unwrap());
    let mut add = |name: String, content: &[u8]| {
        let (mut entry, config) = zip.new_file(name).start().unwrap();
        let mut writer = config.wrap(&mut entry);
        writer.write_all(content).unwrap();
        let (_, descriptor) = writer.finish().unwrap();
        entry.finish(descriptor).unwrap();
    };
    add("model/data.pkl".to_owned(), &pickle);
    for (index, (_, tensor)) in tensors(elements).enumerate() {
        add(format!("model/data/{index}"), &tensor.data());
    }
    zip.finish().unwrap();
}

/// A figure in kB of Linux's account of this process.
fn account(name: &str) -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim_start_matches(':').trim().trim_end_matches("kB").trim().parse().ok()
}

/// Keeps every tensor, as a network would, and gives the peak beyond `before`, in kB what the process held
/// at its start, over the bytes of the tensors.
fn measured(before: u64, open: impl Fn() -> TensorFile) -> Option<f64> {
    // the peak begins anew
    fs::write("/proc/self/clear_refs", "5").ok()?;
    let file = open();
    let kept: BTreeMap<&str, Vec<u8>> =
        file.iter().map(|(name, tensor)| (name, tensor.read().unwrap())).collect();
    let peak = account("VmHWM")?.saturating_sub(before) as f64 * 1024.0;
    let bytes: usize = kept.values().map(Vec::len).sum();
    assert_eq!(kept["layer.7"][5], 7);
    Some(peak / bytes as f64)
}

#[test]
fn reading_peaks_at_no_more_than_1_2_times_the_weights() {
    let megabytes = std::env::var("PEAK_MEGABYTES").ok().and_then(|n| n.parse().ok()).unwrap_or(96);
    let before = account("VmRSS").unwrap_or_default();
    let elements = megabytes * 1_000_000 / 4 / TENSORS;
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (folder.path().join("w.safetensors"), folder.path().join("w.pth"));
    write_safetensors(&one, tensors(elements), &BTreeMap::new()).unwrap();
    write_torch(&other, elements);
    let safetensors = measured(before, || TensorFile::open(&one).unwrap());
    let torch = measured(before, || TorchFile::open(&other).unwrap().root().tensors().unwrap());
    for (name, ratio) in [("safetensors", safetensors), ("torch", torch)] {
        let Some(ratio) = ratio else {
            eprintln!("left out: this system keeps no account of a process's peak");
            return;
        };
        println!("{name}: {megabytes} MB of weights, peak {ratio:.3} times that");
        assert!(ratio <= 1.2, "{name}: {ratio} times the weights");
    }
}
