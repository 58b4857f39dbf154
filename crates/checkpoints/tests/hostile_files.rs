//! Files that try to run something, lie about sizes, or are damaged: a clear error each, never a
//! panic, never more memory than the file is worth.

use std::error::Error;
use std::path::{Path, PathBuf};

use tweedie_checkpoints::{CheckpointError, TorchFile};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

/// The message of an error with those of its sources.
fn chain(error: &dyn Error) -> String {
    let rest = error.source().map_or_else(String::new, |source| format!(": {}", chain(source)));
    format!("{error}{rest}")
}

fn open_bytes(bytes: &[u8]) -> Result<TorchFile, CheckpointError> {
    TorchFile::from_bytes(Path::new("hostile.pt"), bytes.to_vec())
}

#[track_caller]
fn check_refused(bytes: &[u8], says: &str) {
    let message = chain(&open_bytes(bytes).expect_err(says));
    assert!(message.contains(says), "{message}");
    assert!(message.contains("hostile.pt"), "does not name the file: {message}");
}

/// A zip archive as torch writes it, around one pickle and one storage of four bytes.
fn archive(pickle: &[u8], byte_order: &[u8]) -> Vec<u8> {
    let mut output = Vec::new();
    let mut zip = rawzip::ZipArchiveWriter::new(&mut output);
    let storage = &1.0_f32.to_le_bytes()[..];
    let entries = [("data.pkl", pickle), ("byteorder", byte_order), ("data/0", storage)];
    for (name, content) in entries {
        let (mut entry, config) = zip.new_file(format!("model/{name}")).start().unwrap();
        let mut writer = config.wrap(&mut entry);
        std::io::Write::write_all(&mut writer, content).unwrap();
        let (_, descriptor) = writer.finish().unwrap();
        entry.finish(descriptor).unwrap();
    }
    zip.finish().unwrap();
    output
}

/// A pickle of a tensor over storage 0, said to hold `elements` floats.
fn tensor(elements: u32, offset: u32, shape: u32, stride: u32) -> Vec<u8> {
    let mut pickle = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storage".to_vec();
    pickle.extend(b"ctorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpu");
    number(&mut pickle, elements);
    pickle.extend(b"tQ");
    number(&mut pickle, offset);
    for size in [shape, stride] {
        number(&mut pickle, size);
        // a tuple of one
        pickle.push(0x85);
    }
    pickle.extend(b"\x89NtR.");
    pickle
}

/// The instruction of an integer of five bytes.
fn number(pickle: &mut Vec<u8>, value: u32) {
    pickle.extend(b"\x8a\x05");
    pickle.extend(value.to_le_bytes());
    pickle.push(0);
}

#[test]
fn the_file_that_hostile_ones_are_made_from_is_sound() {
    let file = open_bytes(&archive(&tensor(1, 0, 1, 1), b"little")).unwrap();
    assert_eq!(file.root().as_tensor().unwrap().read().unwrap(), 1.0_f32.to_le_bytes());
}

#[test]
fn pickles_that_torch_wrote_around_a_call_of_the_system_are_refused_by_name() {
    for name in ["harmful.pt", "harmful-legacy.pt"] {
        let message = chain(&TorchFile::open(&data(name)).unwrap_err());
        assert!(message.contains("`posix.system`"), "{message}");
        assert!(message.contains(name) && message.contains("at byte "), "{message}");
    }
}

#[test]
fn a_saved_module_is_refused_by_its_class() {
    let message = chain(&TorchFile::open(&data("whole-module.pt")).unwrap_err());
    assert!(message.contains("`torch.nn.modules.linear.Linear`"), "{message}");
}

#[test]
fn tensors_that_are_not_stored_as_they_are_are_refused() {
    let refused = |name: &str| chain(&TorchFile::open(&data(name)).unwrap_err());
    let message = refused("conjugate.pt");
    assert!(message.contains("not as its conjugate or negative"), "{message}");
    let message = refused("sparse.pt");
    assert!(message.contains("`torch._utils._rebuild_sparse_tensor`"), "{message}");
}

#[test]
fn files_that_are_taken_for_weights_are_told_what_they_are() {
    let mut tar = vec![0; 512];
    tar[257..262].copy_from_slice(b"ustar");
    check_refused(&tar, "a tar archive, as torch wrote before version 0.1.10");
    check_refused(b"version https://git-lfs.github.com/spec/v1\noid", "a pointer of Git LFS");
    check_refused(b"\n<!DOCTYPE html><html>", "a web page");
    check_refused(b"--image_size 64\n", "is no file of torch: it is text");
    check_refused("caf\u{e9}".as_bytes(), "is no file of torch: it is text");
}

#[test]
fn a_function_that_would_call_itself_is_refused() {
    let nested = b"\x80\x02ctorch._tensor\n_rebuild_from_type_v2\nq\0(h\0ctorch\nTensor\n(ttR.";
    check_refused(nested, "what makes a tensor is a name, expected one of torch's functions");
    let other =
        b"\x80\x02ctorch._tensor\n_rebuild_from_type_v2\n(h\0ccollections\nOrderedDict\n(tNtR.";
    check_refused(other, "value 0 is recalled");
    let kind =
        b"\x80\x02ctorch._tensor\n_rebuild_from_type_v2\n(Nccollections\nOrderedDict\n(tNtR.";
    check_refused(kind, "the type of a tensor is a name");
}

#[test]
fn arrays_whose_bytes_do_not_fit_their_shape_are_refused() {
    let array = |size: u8| {
        let mut pickle = b"\x80\x04cnumpy._core.numeric\n_frombuffer\n(C\x08abcdefgh".to_vec();
        pickle.extend(b"cnumpy\ndtype\nX\x02\0\0\0i2\x85RK");
        pickle.extend([size, 0x85]);
        pickle.extend(b"X\x01\0\0\0CtR.");
        archive(&pickle, b"little")
    };
    assert_eq!(open_bytes(&array(4)).unwrap().root().as_array().unwrap().1, [4]);
    check_refused(&array(5), "an array's shape and as many bytes");
}

#[test]
fn every_way_to_name_or_call_something_is_refused() {
    let system = "`os.system`";
    check_refused(b"\x80\x02cos\nsystem\n(X\x02\0\0\0lstR.", system);
    check_refused(b"cos\nsystem\n(S'ls'\ntR.", system);
    check_refused(b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x02ls\x85R.", system);
    check_refused(b"(S'ls'\nios\nsystem\n.", system);
    check_refused(b"(cos\nsystem\nS'ls'\no.", system);
    check_refused(b"(ccollections\nOrderedDict\no.", "the instruction OBJ is not allowed");
    check_refused(b"\x80\x02ccollections\nOrderedDict\n)\x81.", "NEWOBJ is not allowed");
    check_refused(b"\x80\x04ccollections\nOrderedDict\n)}\x92.", "NEWOBJ_EX is not allowed");
    check_refused(b"\x80\x02\x82\x01.", "EXT1 is not allowed");
    check_refused(b"\x80\x02X\x01\0\0\0a}b.", "attributes are set of is a text");
    check_refused(b"\x80\x02cbuiltins\neval\n.", "`builtins.eval`");
    check_refused(b"\x80\x02ctorch.storage\n_load_from_bytes\n.", "_load_from_bytes`");
    check_refused(b"\x80\x02}X\x01\0\0\0a\x85R.", "what is called is a dict");
}

#[test]
fn a_name_hidden_behind_recalled_texts_is_refused() {
    check_refused(b"\x80\x04\x8c\x02os\x940\x8c\x06system\x940h\0h\x01\x93.", "`os.system`");
}

#[test]
fn the_same_refusals_hold_inside_an_archive() {
    check_refused(&archive(b"\x80\x02cos\nsystem\n.", b"little"), "`os.system`");
}

#[test]
fn big_endian_files_are_refused() {
    check_refused(&archive(&tensor(1, 0, 1, 1), b"big"), "big-endian");
    let magic = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.";
    let machine = b"\x80\x02}X\x0d\0\0\0little_endian\x89s.";
    check_refused(&[&magic[..], machine].concat(), "big-endian");
}

#[test]
fn tensors_that_their_storage_cannot_hold_are_refused() {
    check_refused(&archive(&tensor(1_000_000_000, 0, 1, 1), b"little"), "said to take 4000000000");
    check_refused(&archive(&tensor(1, 0, 2, 1), b"little"), "does not fit its storage");
    check_refused(&archive(&tensor(1, 1, 1, 1), b"little"), "does not fit its storage");
    check_refused(&archive(&tensor(1, 0, u32::MAX, 1), b"little"), "does not fit its storage");
    check_refused(&archive(&tensor(1, 0, 2, u32::MAX), b"little"), "does not fit its storage");
    // a stride of zero repeats one element; a billion of them would be 4 GB out of 500 bytes
    check_refused(&archive(&tensor(1, 0, 1_000_000_000, 0), b"little"), "does not fit its storage");
}

#[test]
fn texts_longer_than_the_file_are_refused() {
    check_refused(b"\x80\x02X\xff\xff\xff\x7faa.", "2147483647 bytes more are claimed, 3 are left");
    check_refused(b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\xffa.", "truncated");
    check_refused(b"\x80\x04\x8b\xff\xff\xff\xffa.", "truncated");
}

#[test]
fn operands_that_are_not_there_are_missed() {
    for bytes in
        [&b"\x80\x02."[..], b"\x80\x02a.", b"\x80\x020.", b"\x80\x022.", b"\x80\x02N(\x85."]
    {
        check_refused(bytes, "lacks its operand");
    }
    check_refused(b"\x80\x02t.", "lacks its mark");
    check_refused(b"\x80\x02h\x07.", "value 7 is recalled but was never kept");
    check_refused(b"\x80\x02\xff.", "0xff is no instruction");
    check_refused(b"\x80\x09.", "protocol 9");
    check_refused(b"", "0 are left");
}

#[test]
fn values_inside_themselves_and_nested_beyond_measure_are_harmless() {
    // a list that holds itself
    let endless = b"\x80\x02]q\0h\0a.";
    let file = open_bytes(&archive(endless, b"little")).unwrap();
    assert_eq!(file.root().at(&["0"; 1000]).unwrap().kind(), "a list");
    assert!(file.root().tensors().is_err());
    // half a million lists in each other
    let mut deep = b"\x80\x02".to_vec();
    deep.extend(vec![b']'; 500_000]);
    deep.extend(vec![b'a'; 499_999]);
    deep.push(b'.');
    drop(open_bytes(&archive(&deep, b"little")).unwrap());
    // every list holds the one before twice: 2^60 items when written out
    let mut laughs = b"\x80\x02]q\0".to_vec();
    for level in 0..60_u8 {
        laughs.extend([b']', b'(', b'h', level, b'h', level, b'e', b'q', level + 1]);
    }
    laughs.push(b'.');
    let file = open_bytes(&archive(&laughs, b"little")).unwrap();
    assert_eq!(file.root().items().unwrap().len(), 2);
}

#[test]
fn copies_of_a_large_value_are_counted() {
    // the same list of 4096 items made a set again and again
    let mut pickle = b"\x80\x02](".to_vec();
    pickle.extend(vec![b'N'; 4096]);
    pickle.extend(b"e\x85q\x000c__builtin__\nset\nq\x010");
    for _ in 0..20_000 {
        pickle.extend(b"h\x01h\0R0");
    }
    pickle.extend(b"N.");
    check_refused(&archive(&pickle, b"little"), "its values would take more than 33554432 bytes");
}

#[test]
fn every_truncation_is_an_error() {
    for name in ["zip-4.pt", "legacy-2.pt"] {
        let whole = std::fs::read(data(name)).unwrap();
        for length in 0..whole.len() {
            assert!(open_bytes(&whole[..length]).is_err(), "{name} cut to {length} bytes is read");
        }
    }
}

#[test]
fn no_changed_byte_makes_it_panic() {
    for name in ["zip-4.pt", "legacy-2.pt"] {
        let mut bytes = std::fs::read(data(name)).unwrap();
        for at in 0..bytes.len() {
            let kept = bytes[at];
            for other in [0xff, kept ^ 1] {
                bytes[at] = other;
                let _ = open_bytes(&bytes);
            }
            bytes[at] = kept;
        }
    }
}
