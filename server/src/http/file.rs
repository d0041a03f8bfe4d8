//! A file as it is sent: as it is or packed, with a tag by which a browser learns that it has it.

use super::media::media_type;
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
};

/// How long a browser may use what it has without asking again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Freshness {
    /// For ever if the address has a version (`?v=`): the pages that name it are built together with it, so
    /// the address means the same content as long as it exists.
    Versioned,
    /// It asks each time, with the tag.
    Revalidated,
}

const FOREVER: &str = "public, max-age=31536000, immutable";
const REVALIDATE: &str = "no-cache";

/// A file, packed once.
pub(super) struct Packed {
    content_type: &'static str,
    plain: Representation,
    gzip: Option<Representation>,
}

/// One way to send a file.
struct Representation {
    tag: String,
    body: Bytes,
}

impl Packed {
    /// What it is, its name says.
    pub(super) fn new(path: &str, body: Bytes) -> Self {
        let (content_type, shrinks) = media_type(path);
        let hash = hash(&body);
        let gzip =
            shrinks.then(|| Representation { tag: format!("\"{hash:016x}-gzip\""), body: gzip(&body) });
        Self {
            content_type,
            plain: Representation { tag: format!("\"{hash:016x}\""), body },
            gzip: gzip.filter(|gzip| !gzip.body.is_empty()),
        }
    }

    /// Bytes that it takes in memory.
    pub(super) fn size(&self) -> usize {
        self.plain.body.len() + self.gzip.as_ref().map_or(0, |gzip| gzip.body.len())
    }

    /// The content as it is.
    pub(super) fn body(&self) -> &Bytes {
        &self.plain.body
    }

    /// Whether it is a page.
    pub(super) fn is_html(&self) -> bool {
        self.content_type.starts_with("text/html")
    }

    /// The answer. `policy`: what the content may do in a browser.
    pub(super) fn answer(
        &self,
        request: &HttpRequest,
        policy: HeaderValue,
        freshness: Freshness,
    ) -> HttpResponse {
        let codings = [Encoding::identity(), Encoding::gzip()];
        let gzip_wanted = || {
            AcceptEncoding::parse(request)
                .is_ok_and(|accepted| accepted.negotiate(codings.iter()) == Some(Encoding::gzip()))
        };
        let gzip = self.gzip.as_ref().filter(|_| gzip_wanted());
        let Representation { tag, body } = gzip.unwrap_or(&self.plain);
        let has_it = |value: &HeaderValue| {
            value
                .to_str()
                .is_ok_and(|tags| tags.split(',').any(|t| t.trim().trim_start_matches("W/") == *tag))
        };
        let unchanged = request.headers().get_all(header::IF_NONE_MATCH).any(has_it);
        let mut response = if unchanged { HttpResponse::NotModified() } else { HttpResponse::Ok() };
        let versioned =
            || web::Query::<Version>::from_query(request.query_string()).is_ok_and(|q| !q.v.is_empty());
        let forever = freshness == Freshness::Versioned && versioned();
        response
            .insert_header((header::ETAG, tag.as_str()))
            .insert_header((header::VARY, "accept-encoding"))
            .insert_header((header::CACHE_CONTROL, if forever { FOREVER } else { REVALIDATE }))
            .insert_header((header::CONTENT_SECURITY_POLICY, policy));
        if unchanged {
            return response.finish();
        }
        if gzip.is_some() {
            response.insert_header((header::CONTENT_ENCODING, "gzip"));
        }
        response.content_type(self.content_type).body(body.clone())
    }
}

#[derive(serde::Deserialize)]
struct Version {
    v: String,
}

fn gzip(body: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    // Neither can fail: it writes to memory.
    encoder.write_all(body).and_then(|()| encoder.finish()).unwrap_or_default().into()
}

/// The same for the same build, which is what a tag needs.
fn hash(body: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    body.hash(&mut hasher);
    hasher.finish()
}
