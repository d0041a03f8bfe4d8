//! From a signal to the exit.

use crate::server::Running;
use std::io;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::warn;

/// Exit code after a second signal: 128 + SIGTERM, as a shell would report it.
const EXIT_FORCED: i32 = 128 + 15;

/// Waits for SIGTERM or SIGINT, then drains the server. A second signal ends the process at once.
///
/// # Errors
/// If the signals cannot be watched.
pub async fn drain_on_signal(running: Running) -> io::Result<()> {
    let mut signals =
        Signals { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? };
    signals.next().await;
    actix_rt::spawn(async move {
        signals.next().await;
        warn!("second signal: exiting at once");
        std::process::exit(EXIT_FORCED);
    });
    running.drain().await;
    Ok(())
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
