//! Files that operators write.

use super::{Options, resolve};
use std::path::Path;

/// A file of settings. Those of files are left out: what those would read is not for this to choose.
pub(crate) fn fuzz(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let mut options = Options::default();
    let read = options.read(Path::new("driftless.toml"), text);
    ["tls_certificate", "tls_key", "token_keys"].iter().for_each(|key| drop(options.take(key)));
    match read.and_then(|()| resolve(options, &["cursors", "arena"], false)) {
        Ok(resolved) => {
            assert!(resolved.settings.iter().all(|one| !one.hidden || one.value.is_none()), "a secret")
        }
        Err(error) => assert!(!error.to_string().is_empty(), "it says what is wrong"),
    }
}
