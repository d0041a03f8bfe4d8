//! From a signal to the exit.

use crate::telemetry;
use std::{future::Future, io, time::Duration};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::warn;

/// Exit code after one signal too many: 128 + SIGTERM, as a shell would report it.
const EXIT_FORCED: i32 = 128 + 15;

/// Does `drain` after a signal. A second signal ends the process at once; or, if there is something that must
/// be kept, calls `hurry`, and a third one ends the process.
pub(crate) async fn drain_after_signal(
    mut signals: Signals,
    drain: impl Future<Output = ()>,
    hurry: Option<impl FnOnce() + 'static>,
) {
    actix_rt::spawn(async move {
        if let Some(hurry) = hurry {
            signals.next().await;
            warn!("second signal: stopping without waiting for anybody");
            hurry();
        }
        signals.next().await;
        warn!("one more signal: exiting at once");
        telemetry::flush();
        std::process::exit(EXIT_FORCED);
    });
    drain.await;
}

/// SIGTERM and SIGINT, which no longer end the process by themselves.
#[derive(Debug)]
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

/// SIGHUP, which no longer ends the process.
#[derive(Debug)]
pub(crate) struct Hangups(Signal);

impl Hangups {
    /// Takes over the signal.
    ///
    /// # Errors
    /// If the system does not allow watching it.
    pub(crate) fn watch() -> io::Result<Self> {
        signal(SignalKind::hangup()).map(Self)
    }

    /// Does this at each of them.
    pub(crate) async fn each(mut self, act: impl Fn()) {
        while self.0.recv().await.is_some() {
            act();
        }
    }
}

/// One of them has come.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Interrupted;

impl Signals {
    /// Takes over the signals. Call it before anything is started that has to end in order: until then, a
    /// signal ends the process.
    ///
    /// # Errors
    /// If the system does not allow watching the signals.
    pub(crate) fn watch() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits so long, unless a signal comes.
    pub(crate) async fn none_for(&mut self, time: Duration) -> Result<(), Interrupted> {
        match tokio::time::timeout(time, self.next()).await {
            Ok(()) => Err(Interrupted),
            Err(_) => Ok(()),
        }
    }

    /// Waits for the next one.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
