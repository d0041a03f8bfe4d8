//! What a server says of a player whom it does not let in.

use super::DialError;
use driftless_proto::code::CloseCode;
use serde::Deserialize;

/// The media type of the server's errors (RFC 9457).
pub(super) const PROBLEM: &str = "application/problem+json";
/// The name of an error that ends by itself.
pub(super) const EARLY: &str = "token_not_valid_yet";

#[derive(Deserialize)]
struct Problem {
    detail: String,
    code: String,
}

/// The refusal in a problem with this status. None: it says nothing of the player, or a proxy has said it.
pub(super) fn read(address: &str, status: u16, problem: &[u8]) -> Option<DialError> {
    let code = code(status)?;
    let Problem { detail: reason, code: name } = serde_json::from_slice(problem).ok()?;
    let address = address.to_owned();
    is_ours(&name).then_some(DialError::Denied { address, code, name, reason })
}

/// As which close code the server would say the same.
pub(super) fn code(status: u16) -> Option<CloseCode> {
    match status {
        401 => Some(CloseCode::Unauthenticated),
        403 => Some(CloseCode::Forbidden),
        _ => None,
    }
}

fn is_ours(name: &str) -> bool {
    matches!(name, "unauthenticated" | "no_token" | "revoked" | "forbidden")
        || name.starts_with("token_")
        || name.ends_with("_forbidden")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denied(status: u16, name: &str) -> Option<(CloseCode, bool)> {
        let body = format!(r#"{{"type":"about:blank","status":{status},"detail":"why","code":"{name}"}}"#);
        let error = read("a:1", status, body.as_bytes())?;
        Some((error.denied().unwrap(), error.may_retry()))
    }

    #[test]
    fn only_the_servers_own_word_about_a_player_counts() {
        let unauthenticated = CloseCode::Unauthenticated;
        assert_eq!(denied(401, "token_expired"), Some((unauthenticated, false)));
        assert_eq!(denied(401, "no_token"), Some((unauthenticated, false)));
        assert_eq!(denied(401, EARLY), Some((unauthenticated, true)));
        assert_eq!(denied(403, "room_forbidden"), Some((CloseCode::Forbidden, false)));
        for (status, name) in [(403, "waf_rule_12"), (404, "no_such_path"), (503, "token_in_use")] {
            assert_eq!(denied(status, name), None, "{status} {name}");
        }
        for foreign in ["", "Forbidden", r#"{"message":"Forbidden"}"#, r#"{"detail":"rule 12","status":403}"#]
        {
            assert_eq!(read("a:1", 403, foreign.as_bytes()), None, "{foreign}");
        }
    }
}
