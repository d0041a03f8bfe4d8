//! Pages of long lists.

use crate::ground::whole::WholeText;
use serde::Deserialize;

/// Entries of a page if the request does not say how many.
const DEFAULT: usize = 100;
/// Most entries of a page. Whoever makes the list does nothing else meanwhile.
pub(super) const MOST: usize = 1_000;

/// How many entries a page has, at most.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "WholeText<usize>")]
pub(super) struct Limit(pub(super) usize);

impl Default for Limit {
    fn default() -> Self {
        Self(DEFAULT)
    }
}

impl TryFrom<WholeText<usize>> for Limit {
    type Error = String;

    fn try_from(WholeText(limit): WholeText<usize>) -> Result<Self, String> {
        match limit {
            1..=MOST => Ok(Self(limit)),
            _ => Err(format!("limit is {limit}, outside 1..={MOST}")),
        }
    }
}
