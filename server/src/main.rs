//! The `driftless` binary: the games that come with Driftless.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    driftless_server::main(&driftless_sim::games::kinds())
}
