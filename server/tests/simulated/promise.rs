//! Whether a promise was kept.

/// A promise that was not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Number of the promise.
    pub promise: u32,
    pub what: String,
}

pub type Kept = Result<(), Broken>;

pub fn keep(promise: u32, kept: bool, what: impl FnOnce() -> String) -> Kept {
    if kept { Ok(()) } else { Err(Broken { promise, what: what() }) }
}
