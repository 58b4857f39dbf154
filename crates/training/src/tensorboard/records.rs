//! The framing of event files, and dropping records from them.

use std::path::Path;

use prost::Message as _;
use tweedie_checkpoints::write_atomically;

use super::messages::Event;
use crate::TrainError;

/// Length and its checksum before the message, a checksum after it.
const HEAD: usize = 12;
const TAIL: usize = 4;

/// One record.
pub(super) fn encode(event: &Event) -> Vec<u8> {
    let message = event.encode_to_vec();
    let length = (message.len() as u64).to_le_bytes();
    let mut record = Vec::with_capacity(HEAD + message.len() + TAIL);
    record.extend_from_slice(&length);
    record.extend_from_slice(&masked_checksum(&length).to_le_bytes());
    record.extend_from_slice(&message);
    record.extend_from_slice(&masked_checksum(&message).to_le_bytes());
    record
}

/// The whole records at the start of `bytes`, and how many bytes they take.
pub(super) fn decode_all(bytes: &[u8]) -> (Vec<Event>, usize) {
    let mut events = Vec::new();
    let mut at = 0;
    while let Some((event, taken)) = decode(&bytes[at..]) {
        events.push(event);
        at += taken;
    }
    (events, at)
}

fn decode(bytes: &[u8]) -> Option<(Event, usize)> {
    let (length, rest) = bytes.split_first_chunk::<8>()?;
    let (sum, rest) = rest.split_first_chunk::<4>()?;
    if masked_checksum(length) != u32::from_le_bytes(*sum) {
        return None;
    }
    let (message, rest) =
        rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
    let (sum, _) = rest.split_first_chunk::<4>()?;
    if masked_checksum(message) != u32::from_le_bytes(*sum) {
        return None;
    }
    Some((Event::decode(message).ok()?, HEAD + message.len() + TAIL))
}

/// Drops all records of steps after `step`, and torn ones, from the event files in `folder`.
pub(super) fn drop_after(folder: &Path, step: u64) -> Result<(), TrainError> {
    for entry in std::fs::read_dir(folder).map_err(TrainError::io("list", folder))? {
        let path = entry.map_err(TrainError::io("list", folder))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if !name.starts_with("events.out.tfevents.") {
            continue;
        }
        let bytes = std::fs::read(&path).map_err(TrainError::io("read", &path))?;
        let (events, _) = decode_all(&bytes);
        let kept: Vec<u8> =
            events.iter().filter(|event| event.step <= step as i64).flat_map(encode).collect();
        if kept.is_empty() {
            std::fs::remove_file(&path).map_err(TrainError::io("remove", &path))?;
        } else if kept != bytes {
            write_atomically(&path, &kept)?;
        }
    }
    Ok(())
}

/// CRC-32C, rotated and shifted so that sums of data that holds sums stay useful.
fn masked_checksum(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_framed_as_tensorflow_frames_it() {
        // Written by tensorboard 2.21's own EventFileWriter: Event(wall_time=1.5, step=3,
        // file_version="brain.Event:2").
        let event = Event {
            wall_time: 1.5,
            step: 3,
            what: Some(super::super::messages::What::FileVersion("brain.Event:2".to_owned())),
        };
        let hex: String = encode(&event).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, RECORD);
    }

    const RECORD: &str =
        "1a00000000000000129bd82d09000000000000f83f10031a0d627261696e2e4576656e743a32e3c0b95c";

    #[test]
    fn damage_ends_the_reading() {
        let record = encode(&Event { wall_time: 0.0, step: 1, what: None });
        for index in 0..record.len() {
            let mut damaged = record.clone();
            damaged[index] ^= 1;
            assert_eq!(decode_all(&damaged).0.len(), 0, "byte {index}");
        }
        assert_eq!(decode_all(&[&record[..], &record[..7]].concat()).0.len(), 1);
    }
}
