//! Any text as a name of a room or a player is refused, or taken in a form that is taken as it is.
#![no_main]

use driftless_proto::{
    lane::Lane,
    limits::{MAX_NAME, MAX_ROOM_NAME},
    names::{GUEST, check_text, display_name, is_room_name},
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = Lane::of_client_message(data);
    let Ok(text) = str::from_utf8(data) else { return };
    if let Ok(name) = display_name(text) {
        assert!(name.chars().count() <= MAX_NAME && !name.starts_with(GUEST));
        assert_eq!(check_text(&name), Ok(()));
        assert_eq!(display_name(&name), Ok(name), "applying it twice changes nothing more");
    }
    if is_room_name(text) {
        assert!(text.len() <= MAX_ROOM_NAME && !text.contains(['/', '\\', '%', '?', ' ']));
    }
});
