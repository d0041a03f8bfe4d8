//! Reads keys from where they are.

use super::keys::{Key, KeyError};
use crate::ground::{key_source::KeySource, unreadable::unreadable};
use std::{fs::File, io::Read, time::Duration};

/// Longest file or answer, bytes.
const MAX_BYTES: u64 = 1 << 20;
/// Time limit of a request for keys.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// Redirects that are followed.
const MAX_REDIRECTS: u32 = 3;

/// Why a source gives no keys.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SourceError {
    #[error("{}", unreadable(.0))]
    Read(#[from] std::io::Error),
    #[error("longer than {MAX_BYTES} bytes")]
    TooLong,
    #[error("{0}")]
    Request(Box<ureq::Error>),
    #[error("{0}")]
    Keys(#[from] KeyError),
}

/// The keys that are there now. May wait for an answer: not to be called where players are served.
pub(crate) fn read(source: &KeySource) -> Result<Vec<Key>, SourceError> {
    match source {
        KeySource::File(path) => Ok(Key::read(&limited(File::open(path)?)?)?),
        KeySource::Url(url) => Ok(Key::read_jwks(&fetch(url)?)?),
    }
}

fn fetch(url: &str) -> Result<Vec<u8>, SourceError> {
    let config = ureq::Agent::config_builder()
        .timeout_global(Some(REQUEST_TIMEOUT))
        .max_redirects(MAX_REDIRECTS)
        .build();
    let failed = |error| SourceError::Request(Box::new(error));
    let answer = config.new_agent().get(url).call().map_err(failed)?;
    limited(answer.into_body().into_reader())
}

fn limited(reader: impl Read) -> Result<Vec<u8>, SourceError> {
    let mut bytes = Vec::new();
    reader.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES { Err(SourceError::TooLong) } else { Ok(bytes) }
}
