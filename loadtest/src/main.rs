//! The `loadtest` binary: the swarm with bots for the games that come with Driftless.

use driftless_loadtest::BotKind;
use driftless_sim::games::cursors::Cursors;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    driftless_loadtest::main(&[BotKind::wanderers(), BotKind::of::<Cursors>()])
}
