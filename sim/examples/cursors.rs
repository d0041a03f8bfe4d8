//! Plays the game `cursors` in memory, like a room: `cargo run -p driftless-sim --example cursors`.

use driftless_sim::{
    GameKind, PlayerInput, Setup, Snapshot,
    games::cursors::{Cursors, Pointer},
};
use prost::Message;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let kind = GameKind::of::<Cursors>();
    let mut room = kind.start(&Setup::new(7, 20))?;
    let mut seen = Snapshot::new(&kind.schema());

    room.join(1, 1, "Ada");
    room.join(1, 2, "Grace");
    for tick in 1..=5 {
        // The bytes that a client sends.
        let pointer = Pointer { x: 10 * tick as i32, y: 3 };
        room.input(PlayerInput::new(1, &pointer.encode_to_vec()[..]))?;
        if tick == 3 {
            room.leave(tick, 2);
        }
        room.step(tick);
        room.snapshot(tick, &mut seen);

        let cursors = &seen.tables()[0];
        print!("tick {tick}, checksum {:08x}:", room.checksum());
        for (row, player) in cursors.ids().iter().enumerate() {
            print!("  player {player} at {}, {}", cursors.column(0)[row], cursors.column(1)[row]);
        }
        println!();
    }

    // The whole room as bytes: it can continue from here, on this machine or another.
    let restored = kind.restore(&room.save())?;
    assert_eq!(restored.checksum(), room.checksum());
    Ok(())
}
