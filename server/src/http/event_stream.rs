//! Answers that are streams of Server-Sent Events (WHATWG HTML, section 9.2).

use crate::transport::lease;
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, http::header};
use bytes::Bytes;
use futures_util::Stream;
use std::convert::Infallible;

/// Whether a request is for what happens from now on.
pub(super) fn wants_events(request: &HttpRequest) -> bool {
    let accept = request.headers().get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/event-stream"))
}

/// What comes before the events.
pub(super) fn head() -> HttpResponseBuilder {
    let mut answer = HttpResponse::Ok();
    answer
        .content_type("text/event-stream")
        // For nginx, which would otherwise buffer events until there are 4 KiB of them.
        .insert_header(("x-accel-buffering", "no"));
    answer
}

/// Events as they come, for as long as somebody reads them.
pub(super) fn stream(events: impl Stream<Item = Result<Bytes, Infallible>> + 'static) -> HttpResponse {
    lease::make_endless();
    head().streaming(events)
}
