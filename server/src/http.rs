//! The HTTP API: health, metrics, rooms and presence, as JSON.
//!
//! | path | method | answer |
//! | --- | --- | --- |
//! | `/` and every path not below | GET | the game's own [`Pages`], after the routes that the program adds |
//! | `/`, `/cursors` | GET | without own pages, if the server offers these games: the demo, the smallest example |
//! | `/dashboard` | GET | the dashboard |
//! | `/assets/*` | GET | files that these pages load |
//! | `/sdk/driftless.js` | GET | the SDK for browsers, as a module |
//! | `/about` | GET | a page that lists these paths |
//! | `/guide`, `/guide/*` | GET | the guide for people who make games |
//! | `/livez` | GET | 200 while the process serves |
//! | `/readyz` | GET | 200, or 503 while the server takes no clients |
//! | `/healthz` | GET | 200, or 503 while something is wrong; `?verbose` says what (see [`health`](crate::health)) |
//! | `/metrics` | GET | OpenMetrics, or the older Prometheus text for clients that do not accept it |
//! | `/v1/rooms` | GET | rooms, by name: `?after=NAME`, `?limit=N`; `next` is the value of `after` for the next page |
//! | `/v1/rooms` | POST | operators, or everybody (`open_rooms`): makes a room from a `RoomSpec`: 201 and its summary |
//! | `/v1/rooms/{name}` | GET | one room |
//! | `/v1/rooms/{name}` | DELETE | operators: closes the room; its players get close code 4004 |
//! | `/v1/rooms/{name}/move` | POST | operators: has the room go on at another node; `{"node":"NAME"}`, or where there is least to do |
//! | `/v1/rooms/{name}/state` | GET | operators: schema, seats and entities |
//! | `/v1/rooms/{name}/players/{player}` | DELETE | operators: removes a player, with close code 4510 |
//! | `/v1/users/{user}/revoke` | POST | operators: ends the access of a user, with close code 4516; `{"seconds":N}` for how long |
//! | `/v1/users/{user}/revoke` | DELETE | operators: lets the user in again |
//! | `/v1/revoked` | GET | operators: users whose access is revoked: `?after=USER`, `?limit=N` |
//! | `/v1/topics/{name}` | GET | what is published in a topic, as Server-Sent Events (see `topics`) |
//! | `/v1/topics/{name}` | POST | publishes something: `?event=NAME`, `?latest=true` |
//! | `/v1/stream` | GET | operators: what happens, as Server-Sent Events (see [`feed`](crate::feed)) |
//! | `/v1/drain` | POST | operators: like SIGTERM; players get close code 4000 |
//! | `/v1/drain` | GET | operators: how far it is |
//! | `/v1/nodes` | GET | operators: all nodes, with what they have to do |
//! | `/v1/nodes/rooms` | GET | operators: the rooms of each node with the most players |
//! | `/v1/nodes/{node}/drain` | POST | operators: has that node drain |
//! | `/v1/nodes/{node}/move` | POST | operators: has that node give a room to another: `{"room":…,"to":…}` |
//! | `/v1/openapi.json` | GET | the description of all this, as OpenAPI |
//! | `/v1/match` | POST | finds a room with seats for a party, or makes one, and keeps the seats |
//! | `/v1/lobby` | GET | rooms that anybody can enter: `?kind=`, `?filter=`, `?after=`, `?limit=`; live as Server-Sent Events |
//! | `/v1/queue` | POST | waits for a match: takes a ticket |
//! | `/v1/queue/{ticket}` | GET | what is known of it; `?wait=SECONDS`; live as Server-Sent Events |
//! | `/v1/queue/{ticket}` | DELETE | takes it back |
//! | `/v1/certificate` | GET | where QUIC and WebTransport are, and the hashes of certificates to trust |
//! | `/v1/presence` | GET | who is here; `?room=NAME`, `?limit=N`, `?after=ROOM/USER` |
//! | `/v1/presence` | POST | where users are, at any nodes: `{"users":[…]}`; live as Server-Sent Events |
//! | `/v1/presence/{user}` | GET | where a user is, at any node; live as Server-Sent Events |
//!
//! Who counts as an operator: see [`Access`].
//!
//! Errors are answered as problems (RFC 9457), `{"status":409,"code":"room_exists","detail":"…",…}`. The
//! WebSocket endpoint `/v1/connect` belongs to the transport.

mod about;
mod access;
mod admin;
mod body;
mod builtin;
mod certificate;
mod event_stream;
mod file;
mod front;
mod guide;
mod health;
mod inspect;
mod matching;
mod media;
mod metrics;
mod moving;
mod nodes;
mod openapi;
mod page;
mod pages;
mod presence;
mod queue;
mod rooms;
mod stream;
mod topics;
mod users;

use crate::ground::api_error::ApiError;
pub(crate) use access::Access;
pub(crate) use builtin::demos;
pub(crate) use front::front;
pub(crate) use inspect::entities;
pub(crate) use openapi::document as description;
pub use pages::Pages;

use crate::{
    config::Config,
    door::Door,
    factory::Factory,
    feed::Feed,
    ground::{places::Places, rate::Rate},
    health::Health,
    matching::{Matchmaker, Queue},
    metrics::Metrics,
    moving::Mover,
    nodes::{Nodes, Overview, Users},
    presence::Presence,
    registry::Registry,
    store::RevokedUsers,
    tls,
    topics::Topics,
    transport,
    whereabouts::Finder,
};
use actix::Addr;
use actix_web::{
    HttpRequest, Resource, guard,
    http::StatusCode,
    web::{self, Bytes},
};
use parking_lot::Mutex;
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::sync::Notify;

/// What the handlers need. Register as `web::Data<HttpState>`.
pub(crate) struct HttpState {
    /// The rooms.
    pub registry: Arc<Registry>,
    /// Makes rooms.
    pub factory: Arc<Factory>,
    /// The other nodes, if there may be others.
    pub nodes: Option<Arc<Nodes>>,
    /// What operators see of them, and ask of them.
    pub overview: Option<Arc<Overview>>,
    /// Finds rooms for parties.
    pub matchmaker: Arc<Matchmaker>,
    /// Who waits for a match.
    pub queue: Arc<Queue>,
    /// Those who are told what changes in the lobby.
    pub lobby_readers: Arc<Places>,
    /// Those who are told what becomes of tickets.
    pub queue_readers: Arc<Places>,
    /// Moves rooms to them.
    pub mover: Option<Arc<Mover>>,
    /// The members of all rooms.
    pub presence: Addr<Presence>,
    /// Finds users, at all nodes.
    pub finder: Arc<Finder>,
    /// The figures.
    pub metrics: Arc<Metrics>,
    /// The events of the stream.
    pub feed: Arc<Feed>,
    /// The topics.
    pub topics: Arc<Topics>,
    /// What is wrong.
    pub health: Arc<Health>,
    /// Decides who is an operator.
    pub access: Access,
    /// Determines the source of a request, and which pages may read.
    pub door: Arc<Door>,
    /// Where the next server learns which users are revoked. None: there is no store.
    pub revoked: Option<Arc<RevokedUsers>>,
    /// What other nodes know of users, if there may be others.
    pub users: Option<Arc<Users>>,
    /// The rate of costly requests per address.
    pub costly: Costly,
    /// Whether everybody may make rooms.
    pub open_rooms: bool,
    /// Time limit of a request, including its body.
    pub request_timeout: Duration,
    /// Time limit for the client to read an answer.
    pub answer_timeout: Duration,
    /// Asks the server to drain.
    pub drain: Arc<Notify>,
    /// The certificates of QUIC, and of HTTP if it uses TLS.
    pub certificates: tls::Pair,
    /// Where QUIC and WebTransport are served, if they are.
    pub quic: Option<SocketAddr>,
    /// Pages for the built-in games: path and game.
    pub demos: Vec<(&'static str, &'static str)>,
    /// The game's own pages.
    pub pages: Option<Pages>,
    /// The description of the API.
    pub description: Bytes,
    /// The configuration.
    pub config: Config,
}

impl HttpState {
    /// Whether an operator's change would last: while another process follows this one, that would not know.
    fn may_change(&self) -> Result<(), ApiError> {
        match self.registry.drain_state().is_handed_over() {
            true => {
                let message = "another process is just following this server: ask it again in a second";
                Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "draining", message))
            }
            false => Ok(()),
        }
    }
}

/// The rate of costly requests per address.
#[derive(Debug)]
pub(crate) struct Costly(Mutex<Rate>);

impl Default for Costly {
    fn default() -> Self {
        Self(Mutex::new(Rate::new(front::COSTLY_INTERVAL, front::COSTLY_AT_ONCE)))
    }
}

/// Most readers who are told what changes in the lobby.
pub(crate) const LOBBY_READERS: usize = 256;
/// Most of them from one address.
pub(crate) const LOBBY_READERS_OF_ADDRESS: usize = 32;
/// Longest body of a request, bytes.
pub(crate) const MAX_BODY: usize = 16 * 1024;

/// A topic.
const TOPIC: &str = "/v1/topics/{name}";

/// What adds the handlers of a path.
type Add = fn(Resource) -> Resource;

/// The paths of the API, the methods that each takes, and their handlers. `openapi` describes them.
const API: &[(&str, &str, Add)] = &[
    (transport::PATH, "GET", |path| path.route(web::get().to(transport::websocket::connect))),
    ("/livez", "GET, HEAD", |path| path.route(get().to(health::livez))),
    ("/readyz", "GET, HEAD", |path| path.route(get().to(health::readyz))),
    ("/healthz", "GET, HEAD", |path| path.route(get().to(health::healthz))),
    ("/metrics", "GET, HEAD", |path| path.route(get().to(metrics::metrics))),
    ("/v1/openapi.json", "GET, HEAD", |path| path.route(get().to(openapi::openapi))),
    ("/v1/rooms", "GET, HEAD, POST", |path| {
        path.route(get().to(rooms::list)).route(web::post().to(rooms::create))
    }),
    ("/v1/rooms/{name}", "GET, HEAD, DELETE", |path| {
        path.route(get().to(rooms::show)).route(web::delete().to(admin::close_room))
    }),
    ("/v1/rooms/{name}/move", "POST", |path| path.route(web::post().to(moving::move_room))),
    ("/v1/rooms/{name}/state", "GET, HEAD", |path| path.route(get().to(inspect::state))),
    ("/v1/rooms/{name}/players/{player}", "DELETE", |path| path.route(web::delete().to(admin::kick))),
    ("/v1/users/{user}/revoke", "POST, DELETE", |path| {
        path.route(web::post().to(users::revoke)).route(web::delete().to(users::pardon))
    }),
    ("/v1/revoked", "GET, HEAD", |path| path.route(get().to(users::list_revoked))),
    ("/v1/drain", "GET, HEAD, POST", |path| {
        path.route(get().to(admin::drain_state)).route(web::post().to(admin::drain))
    }),
    ("/v1/nodes", "GET, HEAD", |path| path.route(get().to(nodes::nodes))),
    ("/v1/nodes/rooms", "GET, HEAD", |path| path.route(get().to(nodes::rooms))),
    ("/v1/nodes/{node}/drain", "POST", |path| path.route(web::post().to(nodes::drain))),
    ("/v1/nodes/{node}/move", "POST", |path| path.route(web::post().to(nodes::move_room))),
    (TOPIC, "GET, HEAD, POST", |path| {
        path.route(get().to(topics::read)).route(web::post().to(topics::publish))
    }),
    ("/v1/stream", "GET", |path| path.route(web::get().to(stream::stream))),
    ("/v1/match", "POST", |path| path.route(web::post().to(matching::find))),
    ("/v1/queue", "POST", |path| path.route(web::post().to(queue::enter))),
    ("/v1/queue/{ticket}", "GET, HEAD, DELETE", |path| {
        path.route(get().to(queue::show)).route(web::delete().to(queue::leave))
    }),
    ("/v1/lobby", "GET, HEAD", |path| path.route(get().to(matching::lobby))),
    ("/v1/certificate", "GET, HEAD", |path| path.route(get().to(certificate::certificate))),
    ("/v1/presence", "GET, HEAD, POST", |path| {
        path.route(get().to(presence::presence)).route(web::post().to(presence::find_users))
    }),
    ("/v1/presence/{user}", "GET, HEAD", |path| path.route(get().to(presence::find_user))),
];

/// Adds all routes, and the answers to bad input. Requests reach them through [`front`].
pub(crate) fn routes(config: &mut web::ServiceConfig, state: &HttpState) {
    for path in builtin::paths(&state.demos) {
        config.service(resource(path, "GET, HEAD").route(get().to(builtin::file)));
    }
    for path in guide::paths() {
        config.service(resource(path, "GET, HEAD").route(get().to(guide::file)));
    }
    if state.pages.is_none() && !state.demos.iter().any(|(path, _)| *path == "/") {
        config.service(resource("/", "GET, HEAD").route(get().to(about::about)));
    }
    config
        .app_data(
            web::JsonConfig::default()
                .limit(MAX_BODY)
                // (A foreign page is refused by its origin, whatever it sends.)
                .content_type_required(false)
                .error_handler(|e, _| ApiError::from(e).into()),
        )
        .app_data(web::QueryConfig::default().error_handler(|e, _| ApiError::bad_query(&e).into()))
        .service(resource("/about", "GET, HEAD").route(get().to(about::about)));
    for (path, allow, add) in API {
        config.service(add(resource(path, allow)));
    }
}

/// The answer to all other paths.
pub(crate) fn everything_else() -> actix_web::Route {
    web::to(pages::find)
}

/// A path that answers other methods with 405, naming the allowed ones.
fn resource(path: &str, allow: &'static str) -> Resource {
    web::resource(path).default_service(web::to(move |request: HttpRequest| async move {
        ApiError::method_not_allowed(request.method(), allow)
    }))
}

fn get() -> actix_web::Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}
