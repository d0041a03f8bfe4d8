//! Bodies in JSON.

use super::ApiError;
use actix_web::{http::StatusCode, web::Bytes};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, MapAccess, Visitor, value::MapAccessDeserializer},
};
use std::{fmt, marker::PhantomData};

/// What an object in JSON says. (A list of the values alone, which serde takes for a struct as well, names
/// none of them: nobody can have meant it.)
pub(super) struct Object<T>(pub(super) T);

struct Fields<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(Fields(PhantomData))
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(fields)).map(Object)
    }
}

/// What a body says that may be left out. One that is empty or `null` says nothing: then it is the default.
pub(super) fn optional<T: Default + DeserializeOwned>(body: &Bytes) -> Result<T, ApiError> {
    if body.is_empty() {
        return Ok(T::default());
    }
    let read = serde_json::from_slice::<Option<Object<T>>>(body);
    let read = read.map(|read| read.map(|Object(says)| says).unwrap_or_default());
    read.map_err(|e| ApiError::new(StatusCode::BAD_REQUEST, "malformed_json", e.to_string()))
}
