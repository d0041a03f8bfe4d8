//! A game's own page.

mod folder;
mod large;
mod policy;

use super::{
    ApiError, HttpState,
    file::{Freshness, Packed},
    media::media_type,
};
use actix_web::{
    HttpRequest, HttpResponse,
    http::{Method, header::HeaderValue},
    web,
};
use bytes::Bytes;
use folder::Folder;
use large::Large;
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::Instant,
};

/// A game's own page and the files that it loads, which the server serves at `/`. Made from the path of a
/// folder, or from a list of files:
///
/// ```
/// use driftless_server::Pages;
/// // The output of a bundler, read when something is requested.
/// let folder = Pages::from("page/dist");
/// // Files that are part of the program: path and content.
/// const EMBEDDED: &[(&str, &[u8])] = &[("index.html", b"<!doctype html>"), ("main.js", b"")];
/// let embedded = Pages::from(EMBEDDED);
/// ```
///
/// `/` is `index.html`, and `/a/` is `a/index.html`. The extension determines a file's type. Files whose
/// names begin with a dot, or that lie outside the folder (also through links), are not served. Browsers ask
/// each time whether a file has changed, and get it compressed if it has at most 4 MiB and its type says that
/// it shrinks. Longer ones are sent as they are, and those of a folder straight from the disk.
///
/// A policy (`Content-Security-Policy`) says what the page may do: use scripts, styles, images, sounds,
/// fonts, workers and WebAssembly of its own server, run scripts that are part of the page itself, and
/// connect to game servers elsewhere. No other script runs, so a player's name that is inserted into the page
/// by mistake does no harm. [`Pages::policy`] changes it.
#[derive(Clone)]
pub struct Pages {
    source: Arc<Source>,
    policy: Option<Arc<str>>,
}

enum Source {
    Folder(Folder),
    Embedded(&'static [(&'static str, &'static [u8])], OnceLock<HashMap<&'static str, Found>>),
}

/// A file, and the default policy of what it contains.
#[derive(Clone)]
struct Found {
    policy: HeaderValue,
    content: Content,
}

#[derive(Clone)]
enum Content {
    Kept(Arc<Packed>),
    OnDisk(Large),
}

impl Pages {
    /// The files of a folder, read when they are requested: at most 64 MiB each, of which 64 MiB in all are
    /// kept in memory. A relative path starts at the folder in which the program was started.
    pub fn folder(path: impl Into<PathBuf>) -> Self {
        Self { source: Arc::new(Source::Folder(Folder::new(path.into()))), policy: None }
    }

    /// Files that are part of the program: paths without a leading slash, and contents.
    pub fn embedded(files: &'static [(&'static str, &'static [u8])]) -> Self {
        Self { source: Arc::new(Source::Embedded(files, OnceLock::new())), policy: None }
    }

    /// Uses this `Content-Security-Policy` instead of the default one.
    #[must_use]
    pub fn policy(mut self, policy: impl Into<String>) -> Self {
        self.policy = Some(policy.into().into());
        self
    }

    /// The policy, if it is not a valid header value.
    pub(crate) fn bad_policy(&self) -> Option<&str> {
        self.policy.as_deref().filter(|policy| HeaderValue::from_str(policy).is_err())
    }

    /// The path of the page itself, if it does not exist.
    pub(crate) fn missing(&self) -> Option<PathBuf> {
        match &*self.source {
            Source::Folder(folder) => Some(folder.path().join(INDEX)).filter(|index| !index.is_file()),
            Source::Embedded(files, _) => {
                let there = files.iter().any(|(path, _)| *path == INDEX);
                (!there).then(|| PathBuf::from(INDEX))
            }
        }
    }

    /// Finds a file. Blocks.
    fn read(&self, path: &str) -> Option<Found> {
        let mut found = match &*self.source {
            Source::Folder(folder) => folder.read(path, Instant::now())?,
            Source::Embedded(files, packed) => {
                let pack = |&(path, body): &(&'static str, &'static [u8])| {
                    let packed = Arc::new(Packed::new(path, Bytes::from_static(body)));
                    (path, Found { policy: usual_policy(path, body), content: Content::Kept(packed) })
                };
                packed.get_or_init(|| files.iter().map(pack).collect()).get(path)?.clone()
            }
        };
        if let Some(policy) = &self.policy {
            found.policy = header(policy);
        }
        Some(found)
    }
}

impl Found {
    fn answer(self, request: &HttpRequest) -> HttpResponse {
        match self.content {
            Content::Kept(file) => file.answer(request, self.policy, Freshness::Revalidated),
            Content::OnDisk(file) => file.answer(request, self.policy, Freshness::Revalidated),
        }
    }
}

fn usual_policy(path: &str, body: &[u8]) -> HeaderValue {
    header(&policy::usual(if is_page(path) { body } else { &[] }))
}

fn header(policy: &str) -> HeaderValue {
    HeaderValue::from_str(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
}

/// Whether the policy of a file depends on its content.
fn is_page(path: &str) -> bool {
    media_type(path).0.starts_with("text/html")
}

const INDEX: &str = "index.html";

impl From<&str> for Pages {
    fn from(path: &str) -> Self {
        Self::folder(path)
    }
}

impl From<String> for Pages {
    fn from(path: String) -> Self {
        Self::folder(path)
    }
}

impl From<&Path> for Pages {
    fn from(path: &Path) -> Self {
        Self::folder(path)
    }
}

impl From<PathBuf> for Pages {
    fn from(path: PathBuf) -> Self {
        Self::folder(path)
    }
}

impl From<&'static [(&'static str, &'static [u8])]> for Pages {
    fn from(files: &'static [(&'static str, &'static [u8])]) -> Self {
        Self::embedded(files)
    }
}

/// Answers a request for a path that no route has.
pub(super) async fn find(
    request: HttpRequest,
    state: web::Data<HttpState>,
) -> Result<HttpResponse, ApiError> {
    let nothing = || ApiError::no_such_path(request.path());
    let pages = state.pages.as_ref().filter(|_| [Method::GET, Method::HEAD].contains(request.method()));
    let pages = pages.ok_or_else(nothing)?.clone();
    let path = file_path(request.path()).ok_or_else(nothing)?;
    let is_page = path == INDEX;
    match web::block(move || pages.read(&path))
        .await
        .map_err(|_| ApiError::unavailable("the reader of files"))?
    {
        Some(file) => Ok(file.answer(&request)),
        None if is_page => Err(ApiError::no_page()),
        None => Err(nothing()),
    }
}

/// The file that a request's path refers to. None: it cannot refer to any.
fn file_path(path: &str) -> Option<String> {
    let path = decode(path.strip_prefix('/')?)?;
    let path = if path.is_empty() || path.ends_with('/') { path + INDEX } else { path };
    let usable = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.contains(['\\', ':', '\0']);
    path.split('/').all(usable).then_some(path)
}

/// Decodes `%20` and the like.
fn decode(path: &str) -> Option<String> {
    let mut parts = path.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        let digit = |at: usize| char::from(digits.as_bytes()[at]).to_digit(16);
        bytes.push((digit(0)? * 16 + digit(1)?) as u8);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_within_the_folder() {
        for (path, file) in [
            ("/", Some("index.html")),
            ("/docs/", Some("docs/index.html")),
            ("/a.js", Some("a.js")),
            ("/a%20b/c.png", Some("a b/c.png")),
            ("/%C3%A4.js", Some("ä.js")),
            ("/a..b.js", Some("a..b.js")),
        ] {
            assert_eq!(file_path(path).as_deref(), file, "{path}");
        }
        for path in [
            "",
            "a.js",
            "//",
            "//etc/passwd",
            "/../a",
            "/a/../b",
            "/.git/config",
            "/a/.env",
            "/%2e%2e/a",
            "/%2E%2E%2Fa",
            "/a%2f..%2fb",
            "/a\\b",
            "/..%5ca",
            "/c:/a",
            "/a%00",
            "/%",
            "/%2",
            "/%zz",
            "/%ff",
            "/%+1",
            "/%é",
        ] {
            assert_eq!(file_path(path), None, "{path}");
        }
    }
}
