//! The web pages: the demo, the smallest example, the dashboard. Built by `npm run build` in `clients/web` and embedded here, so
//! that the server needs no file beside itself. Each page is a row of [`FILES`].

use super::ApiError;
use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{self, AcceptEncoding, Encoding, Header, HeaderValue},
    web,
};
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use std::{
    hash::{DefaultHasher, Hash, Hasher},
    io::Write,
    sync::LazyLock,
};

/// What a page may do: run our scripts and styles, and talk to servers of ours (which for WebTransport are an origin of their own).
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self' ws: wss: https:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// An address with the hash of the content (`?v=`) means the same for ever.
const FOREVER: &str = "public, max-age=31536000, immutable";
/// Others are asked for again, with the tag.
const REVALIDATE: &str = "no-cache";

struct File {
    path: &'static str,
    content_type: &'static str,
    body: &'static [u8],
}

macro_rules! file {
    ($path:expr, $content_type:literal, $name:literal, $ending:literal) => {
        File {
            path: $path,
            content_type: $content_type,
            body: include_bytes!(concat!("../../../clients/web/dist/", $name, $ending)),
        }
    };
}

macro_rules! page {
    ($path:literal, $name:literal) => {
        [
            file!($path, "text/html; charset=utf-8", $name, ".html"),
            file!(concat!("/assets/", $name, ".js"), "text/javascript; charset=utf-8", $name, ".js"),
            file!(concat!("/assets/", $name, ".css"), "text/css; charset=utf-8", $name, ".css"),
        ]
    };
}

static FILES: [[File; 3]; 3] =
    [page!("/", "arena"), page!("/cursors", "cursors"), page!("/dashboard", "dashboard")];

/// What is sent for each file: itself, and packed to a third. Packed once, when the first file is asked for.
static PACKED: LazyLock<Vec<[Representation; 2]>> = LazyLock::new(|| files().map(representations).collect());

/// One way to send a file.
struct Representation {
    tag: String,
    encoding: Option<&'static str>,
    body: Bytes,
}

fn representations(file: &File) -> [Representation; 2] {
    let hash = hash(file.body);
    let plain = Representation {
        tag: format!("\"{hash:016x}\""),
        encoding: None,
        body: Bytes::from_static(file.body),
    };
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    // Neither can fail: it writes to memory.
    let gzipped = encoder.write_all(file.body).and_then(|()| encoder.finish()).unwrap_or_default();
    let gzip =
        Representation { tag: format!("\"{hash:016x}-gzip\""), encoding: Some("gzip"), body: gzipped.into() };
    [plain, gzip]
}

fn files() -> impl Iterator<Item = &'static File> {
    FILES.iter().flatten()
}

/// The paths of all pages and of what they load.
pub(super) fn paths() -> impl Iterator<Item = &'static str> {
    files().map(|file| file.path)
}

/// The file at the request's path.
pub(super) async fn page(request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let found = files().zip(PACKED.iter()).find(|(file, _)| file.path == request.path());
    let (file, [plain, gzip]) = found.ok_or_else(|| ApiError::no_such_path(request.path()))?;
    let codings = [Encoding::identity(), Encoding::gzip()];
    let gzip_wanted = AcceptEncoding::parse(&request)
        .is_ok_and(|accepted| accepted.negotiate(codings.iter()) == Some(Encoding::gzip()));
    let Representation { tag, encoding, body } = if gzip_wanted { gzip } else { plain };
    let has_it = |value: &HeaderValue| {
        value.to_str().is_ok_and(|tags| tags.split(',').any(|t| t.trim().trim_start_matches("W/") == *tag))
    };
    let unchanged = request.headers().get_all(header::IF_NONE_MATCH).any(has_it);
    let mut response = if unchanged { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    let versioned = web::Query::<Version>::from_query(request.query_string()).is_ok_and(|q| !q.v.is_empty());
    response
        .insert_header((header::ETAG, tag.as_str()))
        .insert_header((header::VARY, "accept-encoding"))
        .insert_header((header::CACHE_CONTROL, if versioned { FOREVER } else { REVALIDATE }))
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY));
    if unchanged {
        return Ok(response.finish());
    }
    if let Some(encoding) = *encoding {
        response.insert_header((header::CONTENT_ENCODING, encoding));
    }
    Ok(response.content_type(file.content_type).body(body.clone()))
}

#[derive(serde::Deserialize)]
struct Version {
    v: String,
}

/// The same for the same build, which is what a tag needs.
fn hash(body: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    body.hash(&mut hasher);
    hasher.finish()
}
