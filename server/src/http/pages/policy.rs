//! What a game's page may do in a browser.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::digest::{SHA256, digest};

/// The default policy of a page with this text: as little as games need. Its inline scripts are allowed by
/// their hashes (CSP Level 3, section 6.7.3.3), because a policy that allows every inline script would also
/// allow what players write.
pub(super) fn usual(page: &[u8]) -> String {
    let scripts: String = scripts(page).iter().map(|script| format!(" 'sha256-{}'", hash(script))).collect();
    format!(
        "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'{scripts}; style-src 'self' 'unsafe-inline'; \
         img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' blob:; \
         connect-src 'self' data: blob: ws: wss: https:; object-src 'none'; base-uri 'none'; form-action 'self'; \
         frame-ancestors 'none'"
    )
}

/// Texts of a page's inline scripts. If one is missed here, it does not run; nothing worse happens.
fn scripts(page: &[u8]) -> Vec<&str> {
    let mut rest = std::str::from_utf8(page).unwrap_or_default();
    let mut found = Vec::new();
    while let Some(begin) = find(rest, "<script") {
        let Some((_, body)) = rest[begin..].split_once('>') else { break };
        let Some(end) = find(body, "</script") else { break };
        if end > 0 {
            found.push(&body[..end]);
        }
        rest = &body[end..];
    }
    found
}

/// The position of a word, ignoring case. The word is ASCII.
fn find(text: &str, word: &str) -> Option<usize> {
    text.as_bytes().windows(word.len()).position(|window| window.eq_ignore_ascii_case(word.as_bytes()))
}

fn hash(script: &str) -> String {
    // As a browser sees it after parsing the page.
    STANDARD.encode(digest(&SHA256, script.replace("\r\n", "\n").as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_of_a_page_are_let_in_and_no_others() {
        let page = "<!doctype html><SCRIPT type=module>a(1)</SCRIPT><script src=\"/x.js\"></script><p>\u{e9}<script>\r\nb\r\n</script>";
        assert_eq!(scripts(page.as_bytes()), ["a(1)", "\r\nb\r\n"]);
        // printf 'a(1)' | openssl dgst -sha256 -binary | base64
        let policy = usual(page.as_bytes());
        let first = "'wasm-unsafe-eval' 'sha256-D9CEvPd5JS/XAgugRnIA9Gb7qTSvKgHvBc690oXb0vk=' 'sha256-";
        assert!(policy.contains(first), "{policy}");
        assert_eq!(hash("\r\nb\r\n"), hash("\nb\n"));
        for page in ["", "<script", "<script>", "<script>a", "\u{e9}<scr"] {
            assert!(scripts(page.as_bytes()).is_empty(), "{page}");
        }
        assert!(scripts(b"\xff<script>a</script>").is_empty());
    }
}
