//! A file as it is sent: as it is or packed, with a tag by which a browser learns that it has it.

use super::media::media_type;
use actix_web::{
    HttpRequest, HttpResponse, HttpResponseBuilder,
    body::{BodySize, MessageBody},
    http::header::{self, AcceptEncoding, Encoding, Header, HeaderValue},
    web,
};
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use std::{
    convert::Infallible,
    hash::{DefaultHasher, Hash, Hasher},
    io::Write,
    pin::Pin,
    task::{Context, Poll},
};

/// Longest content that is packed, bytes: packing takes time, about 50 ms a MiB.
pub(super) const MAX_PACKED: usize = 4 << 20;
/// Most bytes that a connection gets at once: it copies them, and keeps the copy until the peer reads.
pub(super) const PIECE: usize = 64 << 10;

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
        let gzip = (shrinks && body.len() <= MAX_PACKED)
            .then(|| Representation { tag: format!("\"{hash:016x}-gzip\""), body: gzip(&body) })
            .filter(|gzip| !gzip.body.is_empty() && gzip.body.len() < body.len());
        Self { content_type, plain: Representation { tag: format!("\"{hash:016x}\""), body }, gzip }
    }

    /// Bytes that it takes in memory.
    pub(super) fn size(&self) -> usize {
        self.plain.body.len() + self.gzip.as_ref().map_or(0, |gzip| gzip.body.len())
    }

    /// Whether an answer with its content is still being sent.
    pub(super) fn is_in_transit(&self) -> bool {
        let shared = |way: &Representation| !way.body.is_empty() && !way.body.is_unique();
        shared(&self.plain) || self.gzip.as_ref().is_some_and(shared)
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
        let (mut response, unchanged) = head(request, tag, policy, freshness);
        if unchanged {
            return response.finish();
        }
        if gzip.is_some() {
            response.insert_header((header::CONTENT_ENCODING, "gzip"));
        }
        response.content_type(self.content_type).body(Pieces(body.clone()))
    }
}

/// What answers with content of this tag begin with, and whether the browser has the content already.
pub(super) fn head(
    request: &HttpRequest,
    tag: &str,
    policy: HeaderValue,
    freshness: Freshness,
) -> (HttpResponseBuilder, bool) {
    let has_it = |value: &HeaderValue| {
        value.to_str().is_ok_and(|tags| tags.split(',').any(|t| t.trim().trim_start_matches("W/") == tag))
    };
    let unchanged = request.headers().get_all(header::IF_NONE_MATCH).any(has_it);
    let mut response = if unchanged { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    let versioned =
        || web::Query::<Version>::from_query(request.query_string()).is_ok_and(|q| !q.v.is_empty());
    let forever = freshness == Freshness::Versioned && versioned();
    response
        .insert_header((header::ETAG, tag))
        .insert_header((header::VARY, "accept-encoding"))
        .insert_header((header::CACHE_CONTROL, if forever { FOREVER } else { REVALIDATE }))
        .insert_header((header::CONTENT_SECURITY_POLICY, policy));
    (response, unchanged)
}

/// A body that is handed over in pieces. Actix would copy it for each connection as a whole.
struct Pieces(Bytes);

impl MessageBody for Pieces {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.0.len() as u64)
    }

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        let length = self.0.len().min(PIECE);
        Poll::Ready((length > 0).then(|| Ok(self.0.split_to(length))))
    }
}

#[derive(serde::Deserialize)]
struct Version {
    v: String,
}

fn gzip(body: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    // Neither can fail: it writes to memory.
    encoder.write_all(body).and_then(|()| encoder.finish()).unwrap_or_default().into()
}

/// The same for the same build, which is what a tag needs.
fn hash(body: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    body.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;
    use std::{pin::pin, task::Waker};

    #[test]
    fn a_connection_gets_pieces_of_the_one_copy_in_memory() {
        let body: Bytes = (0..200_000_u32).map(|n| n as u8).collect::<Vec<_>>().into();
        let begin = body.as_ptr() as usize;
        let file = Packed::new("a.png", body.clone());
        let request = TestRequest::default().to_http_request();
        let answer =
            file.answer(&request, HeaderValue::from_static("default-src 'none'"), Freshness::Revalidated);
        let mut sent = pin!(answer.into_body());
        assert_eq!(sent.size(), BodySize::Sized(200_000));
        let mut at = 0;
        while let Poll::Ready(Some(Ok(piece))) =
            sent.as_mut().poll_next(&mut Context::from_waker(Waker::noop()))
        {
            assert!(piece.len() <= PIECE);
            assert_eq!(piece.as_ptr() as usize, begin + at, "a piece is no copy");
            at += piece.len();
        }
        assert_eq!(at, body.len());
    }

    #[test]
    fn only_what_is_short_and_shrinks_is_packed() {
        let packed = |path, length| Packed::new(path, vec![0; length].into()).gzip.is_some();
        assert!(packed("a.wasm", MAX_PACKED) && !packed("a.wasm", MAX_PACKED + 1));
        assert!(!packed("a.png", 1_000) && !packed("a.wasm", 1));
    }
}
