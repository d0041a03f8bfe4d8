//! The web pages that are part of the server: the demo, the smallest example, the dashboard, and the SDK as a
//! module. `npm run build` in `clients/web` builds them and they are embedded here, so that the server needs
//! no files. Each page is a row of `PAGES`.

use super::{
    ApiError,
    file::{Freshness, Packed},
    front::routed,
};
use actix_web::{HttpRequest, HttpResponse, http::header::HeaderValue};
use bytes::Bytes;
use std::{collections::HashMap, sync::LazyLock};

/// What a page may do: run the server's own scripts, modules and styles, and connect to Driftless servers
/// (which for WebTransport are an origin of their own).
const POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; \
                      img-src 'self' data:; connect-src 'self' ws: wss: https:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

struct File {
    /// The game that it shows. None: it is served whatever the games are.
    game: Option<&'static str>,
    path: &'static str,
    /// Its extension determines the type.
    name: &'static str,
    body: &'static [u8],
}

macro_rules! file {
    ($game:expr, $path:expr, $name:literal, $ending:literal) => {
        File {
            game: $game,
            path: $path,
            name: concat!($name, $ending),
            body: include_bytes!(concat!("../../dist/", $name, $ending)),
        }
    };
}

macro_rules! page {
    ($game:expr, $path:literal, $name:literal) => {
        [
            file!($game, $path, $name, ".html"),
            file!($game, concat!("/assets/", $name, ".js"), $name, ".js"),
            file!($game, concat!("/assets/", $name, ".css"), $name, ".css"),
        ]
    };
}

static PAGES: [[File; 3]; 3] = [
    page!(Some("arena"), "/", "arena"),
    page!(Some("cursors"), "/cursors", "cursors"),
    page!(None, "/dashboard", "dashboard"),
];
/// Modules with the rules of games, which their pages use for prediction.
static MODULES: [File; 1] = [file!(Some("arena"), "/assets/arena.wasm", "arena", ".wasm")];
static SDK: File = file!(None, "/sdk/driftless.js", "sdk", ".js");

/// What is sent for each file, by path. Compressed once, when the first file is requested.
static PACKED: LazyLock<HashMap<&'static str, Packed>> = LazyLock::new(|| {
    let packed = |file: &File| (file.path, Packed::new(file.name, Bytes::from_static(file.body)));
    files().map(packed).collect()
});

fn files() -> impl Iterator<Item = &'static File> {
    PAGES.iter().flatten().chain(&MODULES).chain([&SDK])
}

/// The demo pages of these games: path and the game's name.
pub(crate) fn demos(games: &[&str]) -> Vec<(&'static str, &'static str)> {
    let first = PAGES.iter().filter_map(|[page, ..]| Some((page.path, page.game?)));
    first.filter(|(_, game)| games.contains(game)).collect()
}

/// The paths of all files: of these demos, and of what is always served.
pub(super) fn paths(demos: &[(&str, &str)]) -> impl Iterator<Item = &'static str> {
    files()
        .filter(|file| file.game.is_none_or(|game| demos.iter().any(|(_, of)| *of == game)))
        .map(|file| file.path)
}

/// The file at the request's path.
pub(super) async fn file(request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let path = routed(&request);
    let packed = PACKED.get(path).ok_or_else(|| ApiError::no_such_path(path))?;
    Ok(packed.answer(&request, HeaderValue::from_static(POLICY), Freshness::Versioned))
}
