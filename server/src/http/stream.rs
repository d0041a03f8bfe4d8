//! The stream of events, as Server-Sent Events (WHATWG HTML, section 9.2).

use super::{ApiError, HttpState, access::Operator, event_stream};
use crate::feed::Reader;
use actix_rt::time::timeout;
use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use bytes::Bytes;
use futures_util::stream::unfold;
use std::{convert::Infallible, time::Duration};

/// After this much silence a comment is sent, so that proxies keep the connection and both ends see that it
/// is alive.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// Begins with what the reader has missed (`Last-Event-ID`), or for a new one with what is kept.
#[utoipa::path(get, path = "/v1/stream", tag = "operators", security(("operator" = [])),
    params(("last-event-id" = Option<String>, Header, description = "Go on after this event")),
    responses((status = 200, description = "Events, as they happen", content_type = "text/event-stream", body = String)))]
pub(super) async fn stream(
    _: Operator,
    request: HttpRequest,
    state: web::Data<HttpState>,
) -> Result<HttpResponse, ApiError> {
    let last = request.headers().get("last-event-id").and_then(|id| id.to_str().ok());
    let reader = state
        .feed
        .reader(last)
        .map_err(|e| ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "too_many_readers", e.to_string()))?;
    let events = unfold(reader, |mut reader| async move {
        let text = next(&mut reader).await;
        Some((Ok::<_, Infallible>(text), reader))
    });
    Ok(event_stream::stream(events))
}

async fn next(reader: &mut Reader) -> Bytes {
    loop {
        if let Some(text) = reader.take() {
            return text;
        }
        if timeout(HEARTBEAT, reader.changed()).await.is_err() {
            return Bytes::from_static(b": still here\n\n");
        }
    }
}
