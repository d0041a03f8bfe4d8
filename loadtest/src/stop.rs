//! Ctrl-C: the first one ends the run early, with a report; the second ends the program.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// Whether the user has asked to stop. Clones share the flag.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    flag: Arc<AtomicBool>,
}

impl Stop {
    /// One that Ctrl-C (SIGINT) and SIGTERM set.
    pub fn on_signals() -> std::io::Result<Self> {
        let stop = Self::default();
        for signal in [libc::SIGINT, libc::SIGTERM] {
            // In this order, so that the first signal only sets the flag and the second finds it set.
            signal_hook::flag::register_conditional_shutdown(signal, 130, stop.flag.clone())?;
            signal_hook::flag::register(signal, stop.flag.clone())?;
        }
        Ok(stop)
    }
    /// Whether it was asked for.
    pub fn is_set(&self) -> bool {
        self.flag.load(Ordering::Relaxed)
    }
}
