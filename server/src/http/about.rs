//! A page for people that lists what the server offers.

use super::HttpState;
use actix_web::{HttpResponse, http::header, web};

/// The page.
pub(super) async fn about(state: web::Data<HttpState>) -> HttpResponse {
    let link = |(path, game): &(&str, &str)| format!("<a href=\"{path}\">{game}</a>");
    let links: Vec<String> = match &state.pages {
        Some(_) => vec!["<a href=\"/\">the game</a>".to_owned()],
        None => state.demos.iter().map(link).collect(),
    };
    let play = if links.is_empty() { String::new() } else { format!("Play: {}. ", links.join(", ")) };

    HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
        .body(PAGE.replace("{{play}}", &play))
}

/// Allows nothing but the page's own style.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const PAGE: &str = concat!(
    r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>Driftless</title>
<style>body { font: 16px/1.5 system-ui; max-width: 40em; margin: 3em auto; padding: 0 1em } td { padding-right: 2em }</style>
<h1>Driftless "#,
    env!("CARGO_PKG_VERSION"),
    r#"</h1>
<p>An authoritative multiplayer game-state server. Games connect by WebSocket at <code>/v1/connect</code>, subprotocol <code>driftless.v1</code>.
<p>{{play}}Watch: <a href="/dashboard">dashboard</a>. Read: <a href="/guide">the guide</a>.
<table>
<tr><td><a href="/v1/rooms">/v1/rooms</a><td>the rooms; operators POST a JSON object to make one
<tr><td><a href="/v1/presence">/v1/presence</a><td>who is here
<tr><td><a href="/metrics">/metrics</a><td>figures for Prometheus
<tr><td><a href="/livez">/livez</a><td>whether the process answers
<tr><td><a href="/healthz?verbose">/healthz?verbose</a><td>whether all is well, and what is not
<tr><td><a href="/readyz">/readyz</a><td>whether it takes clients
</table>
</html>
"#
);
