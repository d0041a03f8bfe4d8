//! Any bytes as a stream of messages, cut anywhere, are refused or read as if in one piece, and what is kept
//! is bounded.
#![no_main]

use bytes::{Bytes, BytesMut};
use driftless_proto::framing::{Framing, FramingError, put_message};
use libfuzzer_sys::fuzz_target;

const MAX: usize = 200;

fn read(framing: &mut Framing, mut chunk: Bytes, out: &mut Vec<Bytes>) -> Result<(), FramingError> {
    while let Some(message) = framing.next_message(&mut chunk)? {
        assert!(message.len() <= MAX);
        out.push(message);
    }
    assert!(chunk.is_empty());
    Ok(())
}

fuzz_target!(|input: &[u8]| {
    let [step, stream @ ..] = input else { return };
    let (mut whole, mut cut) = (Vec::new(), Vec::new());
    let mut framing = Framing::new(MAX);
    let of_whole = read(&mut framing, Bytes::copy_from_slice(stream), &mut whole);
    let mut framing_cut = Framing::new(MAX);
    let chunks = stream.chunks(usize::from(*step).max(1));
    let of_cut = chunks.map(|c| read(&mut framing_cut, Bytes::copy_from_slice(c), &mut cut)).find(Result::is_err);
    assert_eq!(of_whole.is_err(), of_cut.is_some());
    assert_eq!(whole, cut);

    // What was read can be written and read again.
    let mut again = BytesMut::new();
    whole.iter().for_each(|message| put_message(message, &mut again));
    let mut out = Vec::new();
    assert_eq!(read(&mut Framing::new(MAX), again.freeze(), &mut out), Ok(()));
    assert_eq!(out, whole);
});
