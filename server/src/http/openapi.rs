//! The description of the API, at `/v1/openapi.json` (OpenAPI 3.1): put together from what stands beside each
//! handler and each answer, and from what this server has.

mod events;

use super::{
    HttpState, admin, certificate, health, inspect, matching, metrics, moving, nodes, presence, queue, rooms,
    stream, topics, users,
};
use crate::ground::api_error::Problem;
use actix_web::{
    HttpResponse,
    web::{Bytes, Data},
};
use serde_json::{Value, json};
use utoipa::{
    Modify, OpenApi,
    openapi::{
        ContentBuilder, Ref, RefOr, ResponseBuilder,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Driftless",
        description = "Rooms, presence and operation of a Driftless server. Games connect at /v1/connect, which is described in the guide (/guide/protocol)."
    ),
    paths(
        health::livez,
        health::readyz,
        health::healthz,
        metrics::metrics,
        connect,
        rooms::list,
        rooms::create,
        rooms::show,
        matching::find,
        matching::lobby,
        queue::enter,
        queue::show,
        queue::leave,
        admin::close_room,
        moving::move_room,
        inspect::state,
        admin::kick,
        users::revoke,
        users::pardon,
        users::list_revoked,
        admin::drain,
        admin::drain_state,
        nodes::nodes,
        nodes::rooms,
        nodes::drain,
        nodes::move_room,
        stream::stream,
        topics::read,
        topics::publish,
        certificate::certificate,
        presence::presence,
        presence::find_user,
        presence::find_users,
        openapi,
    ),
    components(schemas(Problem<'_>)),
    modifiers(&Errors, &Operators),
    tags(
        (name = "rooms", description = "Rooms and who is in them"),
        (name = "matches", description = "Finding a room to play in"),
        (name = "topics", description = "What is said to all who read it"),
        (name = "operators", description = "What only operators may do: with the admin token"),
        (name = "health", description = "For whoever looks after the server"),
    )
)]
struct Api;

/// Every operation may answer with a problem.
struct Errors;

impl Modify for Errors {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        let schema = RefOr::Ref(Ref::from_schema_name("Problem"));
        let content = ContentBuilder::new().schema(Some(schema)).build();
        let problem = ResponseBuilder::new().description("What is wrong").content(PROBLEM, content).build();
        for operation in api.paths.paths.values_mut().flat_map(|path| {
            [&mut path.get, &mut path.post, &mut path.delete].into_iter().filter_map(Option::as_mut)
        }) {
            operation.responses.responses.insert("default".to_owned(), RefOr::T(problem.clone()));
        }
    }
}

/// How operators and players show who they are.
struct Operators;

impl Modify for Operators {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("The admin token"));
        let components = api.components.get_or_insert_default();
        components.add_security_scheme("operator", SecurityScheme::Http(scheme.build()));
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("A player's token"));
        components.add_security_scheme("player", SecurityScheme::Http(scheme.build()));
    }
}

const PROBLEM: &str = "application/problem+json";

/// The description of a server that has these kinds of games.
pub(crate) fn document(kinds: &[&str]) -> Bytes {
    let mut document = serde_json::to_value(Api::openapi()).unwrap_or_default();
    // No other makes a room. None is the default.
    let kinds: Value = kinds.iter().map(|kind| json!(kind)).chain([Value::Null]).collect();
    for of in ["RoomSpec", "MatchRequest"] {
        if let Some(kind) = document.pointer_mut(&format!("/components/schemas/{of}/properties/kind")) {
            kind["enum"] = kinds.clone();
        }
    }
    if let Some(info) = document.pointer_mut("/components/schemas/RoomSpec/properties/info") {
        info["additionalProperties"] = json!({ "type": ["string", "number", "boolean"] });
    }
    events::describe(&mut document);
    document.to_string().into()
}

/// This description.
#[utoipa::path(get, path = "/v1/openapi.json", tag = "health", responses(
    (status = 200, description = "An OpenAPI document", content_type = "application/json", body = Object)
))]
pub(super) async fn openapi(state: Data<HttpState>) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(state.description.clone())
}

/// Plays, over a WebSocket.
///
/// Subprotocol `driftless.v1`, binary frames; the guide has the protocol. Without an upgrade: 426.
#[utoipa::path(get, path = "/v1/connect", tag = "rooms", responses(
    (status = 101, description = "The connection is a WebSocket now"),
))]
#[allow(dead_code)] // The transport has the handler, and knows nothing of HTTP's documents.
fn connect() {}

#[cfg(test)]
mod tests {
    use super::{super::page, *};
    use driftless_proto::limits::MAX_PLAYERS;
    use driftless_sim::TICK_RATES;
    use std::collections::BTreeSet;

    fn document() -> Value {
        serde_json::from_slice(&super::document(&["arena", "cursors"])).unwrap()
    }

    #[test]
    fn every_route_is_in_the_document_and_nothing_else() {
        let document = document();
        let paths = document["paths"].as_object().unwrap();
        let described: BTreeSet<(String, String)> = paths
            .iter()
            .flat_map(|(path, operations)| {
                operations.as_object().unwrap().keys().map(|method| (path.clone(), method.to_uppercase()))
            })
            .collect();
        let served = super::super::API.iter().flat_map(|(path, allow, _)| {
            // HEAD is GET without a body.
            let methods = allow.split(", ").filter(|method| *method != "HEAD");
            methods.map(|method| ((*path).to_owned(), method.to_owned()))
        });
        assert_eq!(described, served.collect());
    }

    #[test]
    fn every_stream_is_a_text_and_says_what_its_events_are() {
        let document = document();
        let operations = document["paths"].as_object().unwrap().values();
        let operations = operations.flat_map(|path| path.as_object().unwrap().values());
        let streams: Vec<&Value> = operations
            .flat_map(|operation| operation["responses"].as_object().unwrap().values())
            .filter_map(|response| response["content"].get("text/event-stream"))
            .collect();
        assert_eq!(streams.len(), 6);
        for stream in &streams {
            assert_eq!(stream["schema"]["type"], "string", "{stream}");
            let events = stream["x-itemSchema"]["oneOf"].as_array().unwrap();
            assert!(events.iter().all(|event| event["properties"]["data"]["type"] == "string"), "{stream}");
        }
        let named = |name: &str| streams.iter().filter(|of| of.to_string().contains(name)).count();
        for (name, streams) in [("goodbye", 3), ("changes", 1), ("matched", 1), ("hello", 1)] {
            assert_eq!(named(&format!("\"{name}\"")), streams, "{name}");
        }
    }

    #[test]
    fn the_ranges_are_those_that_are_checked() {
        let document = document();
        let of_room = &document["components"]["schemas"]["RoomSpec"]["properties"];
        let range = |key: &str| (of_room[key]["minimum"].as_u64(), of_room[key]["maximum"].as_u64());
        let (least, most) = (*TICK_RATES.start(), *TICK_RATES.end());
        assert_eq!(range("tick_rate"), (Some(least.into()), Some(most.into())));
        assert_eq!(range("max_players"), (Some(1), Some(MAX_PLAYERS.into())));
        assert_eq!(of_room["kind"]["enum"], json!(["arena", "cursors", null]));
        for path in ["/v1/rooms", "/v1/presence"] {
            let parameters = document["paths"][path]["get"]["parameters"].as_array().unwrap();
            let limit = parameters.iter().find(|parameter| parameter["name"] == "limit").unwrap();
            assert_eq!(limit["schema"]["maximum"].as_u64(), Some(page::MOST as u64), "{path}");
        }
    }

    #[test]
    fn every_reference_leads_somewhere_and_every_operation_says_what_it_is() {
        let document = document();
        fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
            match value {
                Value::Object(map) => {
                    found.extend(map.get("$ref").and_then(Value::as_str));
                    map.values().for_each(|value| references(value, found));
                }
                Value::Array(values) => values.iter().for_each(|value| references(value, found)),
                _ => {}
            }
        }
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(found.len() > 20, "{found:?}");
        for reference in found {
            let target = document.pointer(reference.trim_start_matches('#'));
            assert!(target.is_some(), "{reference} leads nowhere");
        }
        let mut ids = BTreeSet::new();
        for (path, operations) in document["paths"].as_object().unwrap() {
            for (method, operation) in operations.as_object().unwrap() {
                let named = ["operationId", "summary"].map(|key| operation[key].as_str().unwrap_or_default());
                assert!(named.iter().all(|text| !text.is_empty()), "{method} {path}: {operation}");
                assert!(ids.insert(named[0].to_owned()), "{method} {path} has the id of another");
                let places = path.matches('{').count();
                let parameters = operation["parameters"].as_array().into_iter().flatten();
                let in_path = parameters.filter(|parameter| parameter["in"] == "path").count();
                assert_eq!(in_path, places, "{method} {path}");
                assert!(operation["responses"]["default"]["content"][PROBLEM].is_object(), "{method} {path}");
            }
        }
    }
}
