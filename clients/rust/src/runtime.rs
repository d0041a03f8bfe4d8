//! What the shell takes from the runtime.

use std::time::Instant;

/// The runtime's clock, which is virtual where a test has paused it. The core is given the time instead.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
