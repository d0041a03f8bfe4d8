//! Which file or folder something is.

use serde::{Deserialize, Serialize};
use std::{fs::Metadata, os::unix::fs::MetadataExt};

/// Which file or folder something is, whatever that is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Inode {
    device: u64,
    number: u64,
}

impl From<Metadata> for Inode {
    fn from(found: Metadata) -> Self {
        Self { device: found.dev(), number: found.ino() }
    }
}
