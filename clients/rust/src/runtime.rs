//! What the client takes from the runtime.

use std::time::Instant;

/// The runtime's clock, which is virtual if a test has paused it. The core is given the time as an argument
/// instead.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
