//! Sound files with a few changes.

use rand::RngExt;
use rand::rngs::StdRng;

/// A file of the corpus with one to eight changes, and which it was made from.
pub(crate) fn damaged(corpus: &[Vec<u8>], random: &mut StdRng) -> (usize, Vec<u8>) {
    let index = random.random_range(0..corpus.len());
    let mut file = corpus[index].clone();
    for _ in 0..random.random_range(1..=8) {
        let other = &corpus[random.random_range(0..corpus.len())];
        change(&mut file, other, random);
    }
    (index, file)
}

fn change(file: &mut Vec<u8>, other: &[u8], random: &mut StdRng) {
    if file.is_empty() {
        file.push(0);
    }
    let at = random.random_range(0..file.len());
    let end = (at + random.random_range(1..=16)).min(file.len());
    match random.random_range(0..9) {
        0 => file[at] ^= 1 << random.random_range(0..8),
        1 => file[at] = random.random(),
        2 => file[at] = [0, 1, 0x7f, 0x80, 0xff, b'0', b'9', b'"'][random.random_range(0..8)],
        3 => drop(file.drain(at..end)),
        4 => file.truncate(at),
        5 => {
            let again = file[at..end].to_vec();
            file.splice(at..at, again);
        }
        6 => file[at..end].fill(if random.random() { 0xff } else { 0 }),
        7 => {
            let from = random.random_range(0..other.len());
            let to = (from + random.random_range(1..=64)).min(other.len());
            file.splice(at..end, other[from..to].iter().copied());
        }
        _ => {
            // an instruction of a pickle, or a letter of a number
            let codes = b"()]}.0125eaQRbtsu\x80\x85\x86\x87\x88\x89\x8a\x8c\x93\x94\x95-+,[{:";
            file.insert(at, codes[random.random_range(0..codes.len())]);
        }
    }
}
