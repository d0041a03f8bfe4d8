//! What parts of the server are called.

/// A part of the server that may fail while the process goes on. Not every server has each of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartName {
    /// Whether connections can be accepted.
    Accept,
    /// Whether this node's address is its own.
    Address,
    /// The certificate from files.
    Certificate,
    /// The lease of this node.
    Lease,
    /// Whether log lines are written.
    Log,
    /// Whether other nodes learn who is in the rooms of this one.
    Presence,
    /// Redis.
    Redis,
    /// Whether rooms can be written to the store.
    Store,
    /// Whether ticks are in time.
    Ticks,
    /// Whether what is published to topics gets to all nodes.
    TopicsPublish,
    /// Whether what is read of topics here comes from all nodes.
    TopicsRead,
    /// Whether there is a key that tokens can be checked with.
    TokenKeys,
    /// Whether the sources of such keys can be read.
    TokenSources,
}

impl PartName {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Accept,
        Self::Address,
        Self::Certificate,
        Self::Lease,
        Self::Log,
        Self::Presence,
        Self::Redis,
        Self::Store,
        Self::Ticks,
        Self::TopicsPublish,
        Self::TopicsRead,
        Self::TokenKeys,
        Self::TokenSources,
    ];

    /// In answers and metrics.
    pub fn text(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Address => "address",
            Self::Certificate => "certificate",
            Self::Lease => "lease",
            Self::Log => "log",
            Self::Presence => "presence",
            Self::Redis => "redis",
            Self::Store => "store",
            Self::Ticks => "ticks",
            Self::TopicsPublish => "topics_publish",
            Self::TopicsRead => "topics_read",
            Self::TokenKeys => "token_keys",
            Self::TokenSources => "token_sources",
        }
    }
}
