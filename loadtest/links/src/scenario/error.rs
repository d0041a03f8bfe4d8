//! What is wrong with a scenario.

use super::Scenario;
use std::path::PathBuf;

/// Why there is no scenario: the fault of whoever wrote it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScenarioError {
    /// Neither a file nor a name that is known.
    #[error(
        "there is no scenario {name:?}: give a file (./{name}.toml) or one of {}",
        Scenario::built_in().collect::<Vec<_>>().join(", ")
    )]
    Unknown {
        /// As given.
        name: String,
    },
    /// The file cannot be read.
    #[error("{}: {reason}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// It is not TOML, or has unknown keys. The reason names line and key.
    #[error("{file}: {reason}")]
    BadToml {
        /// The file, or the name of one that comes with the program.
        file: String,
        /// What is wrong, and where.
        reason: String,
    },
    /// A value is outside what the key allows.
    #[error("{file}: {key} is {value}, but must be {allowed}")]
    Bad {
        /// As above.
        file: String,
        /// The key, with its phase (counted from 1) and way.
        key: String,
        /// The value.
        value: String,
        /// What it may be.
        allowed: String,
    },
}
