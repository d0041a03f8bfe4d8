//! The guide, one page per chapter. `build.rs` renders it from `guide/`.

use super::{
    ApiError,
    file::{Freshness, Packed},
    front::routed,
};
use actix_web::{HttpRequest, HttpResponse, http::header::HeaderValue};
use bytes::Bytes;
use std::{collections::HashMap, sync::LazyLock};

/// Text and a style sheet. There are no scripts.
const POLICY: &str =
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Path and page.
static CHAPTERS: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/guide.rs"));
const STYLE: (&str, &str) = ("/assets/guide.css", include_str!("../../guide/style.css"));

/// What is sent for each path. Compressed once, when the first is requested.
static PACKED: LazyLock<HashMap<&'static str, Packed>> = LazyLock::new(|| {
    let pages = CHAPTERS.iter().map(|&(path, page)| (path, Packed::new("guide.html", page.into())));
    let style = (STYLE.0, Packed::new(STYLE.0, Bytes::from_static(STYLE.1.as_bytes())));
    pages.chain([style]).collect()
});

pub(super) fn paths() -> impl Iterator<Item = &'static str> {
    CHAPTERS.iter().map(|(path, _)| *path).chain([STYLE.0])
}

/// The chapter at the request's path, or the style sheet.
pub(super) async fn file(request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let path = routed(&request);
    let packed = PACKED.get(path).ok_or_else(|| ApiError::no_such_path(path))?;
    Ok(packed.answer(&request, HeaderValue::from_static(POLICY), Freshness::Revalidated))
}
