//! Bodies that may be left out.

use super::ApiError;
use actix_web::{http::StatusCode, web::Bytes};
use serde::de::DeserializeOwned;

/// What a body says in JSON. One that is empty or `null` says nothing: then it is the default.
pub(super) fn optional<T: Default + DeserializeOwned>(body: &Bytes) -> Result<T, ApiError> {
    if body.is_empty() {
        return Ok(T::default());
    }
    let read = serde_json::from_slice::<Option<T>>(body).map(Option::unwrap_or_default);
    read.map_err(|e| ApiError::new(StatusCode::BAD_REQUEST, "malformed_json", e.to_string()))
}
