//! A game's prediction as a WebAssembly module, for pages: [`Predict`] and [`Prediction`] behind a plain C
//! ABI.
//!
//! A game's library is compiled to `wasm32-unknown-unknown` with `crate-type = ["cdylib", "rlib"]` and one
//! line:
//!
//! ```
//! # use driftless_sim::games::arena::Arena;
//! driftless_sim::export_predict!(Arena);
//! ```
//!
//! On other targets it exports nothing. The page's SDK takes the module's address: `connect({ prediction:
//! wasm(url) })`.
//!
//! # The module
//! It imports nothing. All numbers have 32 bits; a pointer is an address in the exported `memory`, valid
//! until the next call.
//!
//! | export | what |
//! | --- | --- |
//! | `driftless_abi() → version` | [`ABI`] |
//! | `driftless_buffer(length) → pointer` | where to write this many bytes for the next call |
//! | `driftless_start(player, tick_rate)` | a new seat: forgets everything |
//! | `driftless_state(input) → outcome` | the buffer has a state that contains the inputs up to this number |
//! | `driftless_push(sequence) → outcome` | the buffer has an input, encoded, that was sent with this number |
//! | `driftless_shown() → pointer` | the player's row as predicted, an `i32` for each column of its kind; 0: it has none |
//! | `driftless_shown_after() → pointer` | the same, as if the input in the buffer were the next one |
//! | `driftless_own() → kind` | the schema's kind of that row |
//! | `driftless_error() → quanta` | [`Prediction::error`] |
//!
//! An outcome is 0 if the bytes were taken, 1 for a state older than what is known, and 2 for bytes that are
//! not a state or input of this game: the module's version is not the server's.
//!
//! A state has the same format as for its checksum, 32-bit little-endian numbers: the tick; then for each
//! table, in the schema's order, the number of entities, their ids in ascending order, and each column's
//! values in the order of the ids; then the texts, if there are any: see
//! [`Snapshot::checksum`](crate::Snapshot::checksum).

use crate::{Predict, Prediction, Snapshot};
use prost::Message;

/// Version of the exports.
pub const ABI: u32 = 1;

/// The result of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Outcome {
    /// Taken.
    Taken = 0,
    /// A state older than what is known.
    Older = 1,
    /// Not a state or input of this game.
    Malformed = 2,
}

/// The implementation of the exports of [`export_predict!`](crate::export_predict).
#[derive(Debug)]
pub struct Module<P: Predict> {
    buffer: Vec<u8>,
    state: Snapshot,
    prediction: Prediction<P>,
}

impl<P: Predict> Default for Module<P> {
    fn default() -> Self {
        Self { buffer: Vec::new(), state: Snapshot::new(&P::schema()), prediction: Prediction::new(0, 1) }
    }
}

impl<P: Predict> Module<P> {
    /// A buffer for the bytes of the next call.
    pub fn buffer(&mut self, length: usize) -> &mut [u8] {
        self.buffer.resize(length, 0);
        &mut self.buffer
    }

    /// A new seat.
    pub fn start(&mut self, player: u32, tick_rate: u32) {
        self.prediction = Prediction::new(player, tick_rate);
    }

    /// Takes the state in the buffer.
    pub fn state(&mut self, input: u32) -> Outcome {
        if read_state(&self.buffer, &mut self.state).is_none() {
            return Outcome::Malformed;
        }
        if self.prediction.reconcile(input, &self.state) { Outcome::Taken } else { Outcome::Older }
    }

    /// Takes the input in the buffer, which was sent.
    pub fn push(&mut self, sequence: u32) -> Outcome {
        let Some(input) = self.input() else { return Outcome::Malformed };
        self.prediction.push(sequence, input);
        Outcome::Taken
    }

    /// The player's row as predicted.
    pub fn shown(&mut self) -> Option<&[i32]> {
        self.prediction.shown()
    }

    /// The player's row, as if the input in the buffer were the next one.
    pub fn shown_after(&mut self) -> Option<&[i32]> {
        let input = self.input()?;
        self.prediction.shown_after(&input)
    }

    /// The error of the prediction, quanta.
    pub fn error(&self) -> u32 {
        self.prediction.error()
    }

    fn input(&self) -> Option<P::Input> {
        P::Input::decode(&self.buffer[..]).ok()
    }
}

/// Reads a state. None: it is not one of this schema.
fn read_state(bytes: &[u8], out: &mut Snapshot) -> Option<()> {
    let (words, []) = bytes.as_chunks::<4>() else { return None };
    let word = |at: usize| words.get(at).map(|&bytes| u32::from_le_bytes(bytes));
    out.clear(word(0)?);
    let mut at = 1;
    let mut row = Vec::new();
    for kind in 0..out.tables().len() {
        let table = out.table_mut(kind);
        let length = word(at)? as usize;
        let ids = at + 1;
        at = length.checked_mul(table.width() + 1)?.checked_add(ids)?;
        if at > words.len() {
            return None;
        }
        for n in 0..length {
            row.clear();
            row.extend(
                (1..=table.width()).filter_map(|column| word(ids + column * length + n)).map(|v| v as i32),
            );
            table.push(word(ids + n)?, &row);
        }
    }
    if at < words.len() {
        at += 1;
        for _ in 0..word(at - 1).filter(|&texts| texts > 0)? {
            let (number, length) = (word(at)?, word(at + 1)? as usize);
            let start = at.checked_add(2)?;
            at = length.div_ceil(4).checked_add(start)?;
            let text = bytes.get(4 * start..)?.get(..length)?;
            if out.bytes(text) as u32 != number {
                return None;
            }
        }
    }
    (at == words.len()).then_some(())
}

/// Exports a game's prediction from a WebAssembly module: see [`wasm`](crate::wasm). Use it once per module.
#[macro_export]
macro_rules! export_predict {
    ($game:ty) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            use std::{cell::RefCell, ptr::null};
            use $crate::wasm::{ABI, Module};

            thread_local! {
                static MODULE: RefCell<Module<$game>> = RefCell::default();
            }

            fn with<T>(call: impl FnOnce(&mut Module<$game>) -> T) -> T {
                MODULE.with_borrow_mut(call)
            }

            #[unsafe(no_mangle)]
            extern "C" fn driftless_abi() -> u32 {
                ABI
            }
            #[unsafe(no_mangle)]
            extern "C" fn driftless_buffer(length: u32) -> *mut u8 {
                with(|module| module.buffer(length as usize).as_mut_ptr())
            }
            #[unsafe(no_mangle)]
            extern "C" fn driftless_start(player: u32, tick_rate: u32) {
                with(|module| module.start(player, tick_rate))
            }
            #[unsafe(no_mangle)]
            extern "C" fn driftless_state(input: u32) -> u32 {
                with(|module| module.state(input) as u32)
            }
            #[unsafe(no_mangle)]
            extern "C" fn driftless_push(sequence: u32) -> u32 {
                with(|module| module.push(sequence) as u32)
            }
            #[unsafe(no_mangle)]
            extern "C" fn driftless_shown() -> *const i32 {
                with(|module| module.shown().map_or(null(), <[i32]>::as_ptr))
            }
            #[unsafe(no_mangle)]
            extern "C" fn driftless_shown_after() -> *const i32 {
                with(|module| module.shown_after().map_or(null(), <[i32]>::as_ptr))
            }
            #[unsafe(no_mangle)]
            extern "C" fn driftless_own() -> u32 {
                <$game as $crate::Predict>::OWN as u32
            }
            #[unsafe(no_mangle)]
            extern "C" fn driftless_error() -> u32 {
                with(|module| module.error())
            }
        };
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Schema,
        games::arena::{Arena, ArenaInput, PLAYERS},
    };

    fn words(words: &[i32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    fn call(module: &mut Module<Arena>, bytes: &[u8]) {
        module.buffer(bytes.len()).copy_from_slice(bytes);
    }

    #[test]
    fn a_state_is_read_as_its_checksum_is_made() {
        let schema = Schema::new()
            .kind("a", |kind| kind.hold("one", &["x", "y"], 1))
            .kind("b", |kind| kind.hold("two", &["z"], 1));
        let mut state = Snapshot::new(&schema);
        let bytes = words(&[9, 2, 4, 7, 40, 70, -40, -70, 1, 5, -1]);
        assert_eq!(read_state(&bytes, &mut state), Some(()));
        let mut expected = Snapshot::new(&schema);
        expected.clear(9);
        expected.table_mut(0).push(4, &[40, -40]);
        expected.table_mut(0).push(7, &[70, -70]);
        expected.table_mut(1).push(5, &[-1]);
        assert_eq!(state, expected);
        assert_eq!(state.checksum(), crc32c::crc32c(&bytes));
    }

    #[test]
    fn a_state_is_read_with_its_texts() {
        let schema = Schema::new().kind("a", |kind| kind.text("name", &["name"]));
        let mut state = Snapshot::new(&schema);
        let name = state.text("Ada L.");
        let mut bytes = words(&[9, 1, 4, name, 1, name, 6]);
        bytes.extend(b"Ada L.\0\0");
        assert_eq!(read_state(&bytes, &mut state), Some(()));
        assert_eq!(state.checksum(), crc32c::crc32c(&bytes));
        assert_eq!(state.text_of(state.tables()[0].column(0)[0]), "Ada L.");
        for (at, word) in [(4, -1), (4, 0), (4, 2), (5, name + 1), (6, -1), (6, 5_000)] {
            let mut damaged = bytes.clone();
            damaged[4 * at..4 * at + 4].copy_from_slice(&words(&[word]));
            assert_eq!(read_state(&damaged, &mut state), None, "{word} at {at}");
            assert_eq!(read_state(&bytes[..4 * at], &mut state), (at == 4).then_some(()));
        }
    }

    // Promise 6: "Nothing a peer sends panics the server." Likewise for the page.
    #[test]
    fn bytes_that_are_no_state_or_input_are_refused() {
        let mut module = Module::<Arena>::default();
        module.start(1, 20);
        let good = words(&[1, 0, 0, 0]);
        call(&mut module, &good);
        assert_eq!(module.state(0), Outcome::Taken);
        let bad =
            [words(&[1, 0, 0]), words(&[1, 0, 0, 0, 0]), words(&[1, -1, 0, 0]), good[..15].to_vec(), vec![]];
        for bytes in bad {
            call(&mut module, &bytes);
            assert_eq!(module.state(0), Outcome::Malformed, "{bytes:?}");
        }
        call(&mut module, &[8]);
        assert_eq!((module.push(1), module.shown_after()), (Outcome::Malformed, None));
    }

    #[test]
    fn an_input_moves_the_player_and_a_state_confirms_it() {
        let mut module = Module::<Arena>::default();
        module.start(7, 20);
        call(&mut module, &words(&[1, 1, 7, 5_000, 5_000, 0, 100, 0, 1, 3, 0, 0]));
        assert_eq!(module.state(0), Outcome::Taken);
        call(&mut module, &ArenaInput { move_x: 127, ..Default::default() }.encode_to_vec());
        assert_eq!(module.shown_after().map(|row| row[0]), Some(5_005));
        assert_eq!(module.shown().map(|row| row[0]), Some(5_000));
        assert_eq!(module.push(1), Outcome::Taken);
        assert_eq!(module.shown(), Some(&[5_005, 5_000, 0, 100, 0, 1, 3][..]));
        call(&mut module, &words(&[2, 1, 7, 5_002, 5_004, 0, 75, 0, 1, 3, 0, 0]));
        assert_eq!((module.state(1), module.error()), (Outcome::Taken, 5));
        assert_eq!(module.shown().map(|row| row[3]), Some(75));
        assert_eq!(module.state(0), Outcome::Older);
        assert_eq!(Arena::OWN, PLAYERS);
    }
}
