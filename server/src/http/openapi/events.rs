//! The events of streams, as OpenAPI 3.2 describes them (`itemSchema`). This document is of 3.1, which knows
//! the text alone; so they stand beside it, as an extension.

use serde_json::{Value, json};

/// The events of a stream: their names, and what their data are.
type Events = Vec<(&'static str, Value)>;

/// Describes the events of all streams.
pub(super) fn describe(document: &mut Value) {
    for (path, method, events) in streams() {
        let at = ["paths", path, method, "responses", "200", "content", "text/event-stream"];
        let Some(content) = at.iter().try_fold(&mut *document, |value, key| value.get_mut(key)) else {
            continue;
        };
        let items: Vec<Value> = events.into_iter().map(|(name, data)| item(name, &data)).collect();
        *content = json!({
            "schema": { "type": "string", "description": "Server-Sent Events (WHATWG HTML, section 9.2)" },
            "x-itemSchema": { "oneOf": items },
        });
    }
}

fn streams() -> Vec<(&'static str, &'static str, Events)> {
    let of = |name: &str| json!({ "$ref": format!("#/components/schemas/{name}") });
    let users = || [vec![("message", of("Whereabouts"))], reading()].concat();
    let published =
        json!({ "description": "What was published: any text. A publisher may give another name" });
    vec![
        ("/v1/topics/{name}", "get", [vec![("message", published)], reading()].concat()),
        ("/v1/presence/{user}", "get", users()),
        ("/v1/presence", "post", users()),
        ("/v1/lobby", "get", vec![("rooms", of("LobbyPage")), ("changes", of("Changes"))]),
        (
            "/v1/queue/{ticket}",
            "get",
            vec![
                ("waiting", of("TicketState")),
                ("matched", of("TicketState")),
                ("refused", object(&["code", "reason"])),
                ("gone", object(&[])),
            ],
        ),
        (
            "/v1/stream",
            "get",
            vec![
                ("hello", object(&["version", "process"])),
                ("server", figures("Figures of the server, each second")),
                ("rooms", figures("Figures of the rooms, each second")),
                (
                    "presence",
                    figures("Who came and went: `changes`, and how many there were besides: `more`"),
                ),
                ("missed", object(&["topic"])),
            ],
        ),
    ]
}

/// What everybody is told who reads a topic.
fn reading() -> Events {
    vec![("gap", object(&["after"])), ("goodbye", object(&["code", "reason"]))]
}

/// An object of texts.
fn object(texts: &[&str]) -> Value {
    let properties: Value = texts.iter().map(|name| (*name, json!({ "type": "string" }))).collect();
    json!({ "type": "object", "required": texts, "properties": properties })
}

fn figures(description: &str) -> Value {
    json!({ "type": "object", "description": description })
}

/// An event. One without a name is a `message` to whoever listens.
fn item(name: &str, data: &Value) -> Value {
    let json_text = |data: &Value| json!({ "type": "string", "contentMediaType": "application/json", "contentSchema": data });
    let is_json = data.get("type").is_some() || data.get("$ref").is_some();
    let data = if is_json {
        json_text(data)
    } else {
        json!({ "type": "string", "description": data["description"] })
    };
    let mut properties = json!({ "id": { "type": "string" }, "data": data });
    let mut required = vec!["data"];
    if name != "message" {
        properties["event"] = json!({ "const": name });
        required.push("event");
    }
    json!({ "type": "object", "title": name, "required": required, "properties": properties })
}
