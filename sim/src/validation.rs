//! What a game says of an input before it takes it.

/// The answer of [`Simulation::validate`](crate::Simulation::validate).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Validation<I> {
    /// The step gets the input as it was sent.
    Accept,
    /// The step gets this instead: what the player may do of what it wants.
    Clamp(I),
    /// The step does not get it: this tick is one without an input of the player.
    Reject,
    /// The step does not get it, and the player is reported to the operators, with this reason: no honest
    /// client would send it. At most 256 bytes; longer ones are truncated. An operator can have players
    /// removed who are reported too often.
    Report(String),
}

impl<I> Validation<I> {
    /// [`Report`](Self::Report) with this reason.
    pub fn report(reason: impl Into<String>) -> Self {
        Self::Report(reason.into())
    }
}
