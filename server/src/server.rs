//! Builds a server and starts it.

mod error;
mod from;
mod hand_over;
mod interior;
mod listen;
mod neighbours;
mod parts;
mod prepared;
mod restore;
mod running;

pub use error::StartError;
pub(crate) use hand_over::HandedOver;
#[doc(hidden)]
pub use interior::Interior;
pub use running::Running;

use crate::{
    config::Config,
    door::{self, Denied, Knock, OwnScheme},
    ground::identity::Identity,
    http::Pages,
    jobs::Jobs,
    matching::{Functions, MatchFunction},
    nodes,
    room::{
        events::{Hear, RoomEvent},
        record,
    },
    store,
};
use actix_web::web::ServiceConfig;
use driftless_sim::GameKind;
use parts::Parts;
pub(crate) use prepared::Prepared;
use std::{convert::Infallible, fmt::Display, path::PathBuf, sync::Arc, time::Duration};

/// Longest time from the last goodbye to the exit.
const DRAIN_LIMIT: Duration = Duration::from_secs(8);
/// Longest time for rooms to go to other nodes.
const MOVE_LIMIT: Duration = Duration::from_secs(60);
/// Time over which clients are told to come back when rooms are carried over a restart, at most.
const CARRY_SPREAD: Duration = Duration::from_millis(500);
/// Minimum time for rooms to reach their next tick before they are carried over.
const CARRY_LIMIT: Duration = Duration::from_millis(1_500);
/// Minimum time for listeners to hear the events that wait when the server stops.
const HEAR_LIMIT: Duration = Duration::from_millis(1_000);
/// Longest time for readers of topics to take their goodbyes. (One that does not read may take none.)
const READERS_LIMIT: Duration = Duration::from_secs(1);
/// Longest time from the goodbyes to the exit: rooms are carried over (to a store and to a file), store and
/// the recordings are written, other nodes are told, and listeners hear the last events.
const END_LIMIT: Duration = Duration::from_secs(
    2 * CARRY_LIMIT.as_secs()
        + store::FINISH.as_secs()
        + nodes::LEAVE_LIMIT.as_secs()
        + record::FINISH.as_secs()
        + HEAR_LIMIT.as_secs()
        + 1, // parts of seconds
);
/// Time for the answer to the client that requested the drain: without players, the server ends right
/// afterwards.
const DRAIN_ANSWER: Duration = Duration::from_millis(100);
/// How long a thread may take for its goodbyes before the next has its turn.
const STUCK: Duration = Duration::from_millis(200);
/// How long those whose rooms have gone to other nodes may take to go there, too.
const SENT_LIMIT: Duration = Duration::from_millis(500);
/// Time between two batches of goodbyes, and two checks whether all connections have ended.
const DRAIN_POLL: Duration = Duration::from_millis(20);
/// Connections of a thread that are not players': requests of operators, and refused upgrades.
const HTTP_CONNECTIONS: usize = 1024;
/// Time limit for the head of a connection's first request. (For all of it, and all later requests: see
/// `transport::lease`.)
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections that may wait to be accepted.
const BACKLOG: u32 = 4096;

/// The argument of [`Server::routes`].
type Routes = Arc<dyn Fn(&mut ServiceConfig) + Send + Sync>;
/// The argument of [`Server::jobs_from`].
type OpenJobs = Box<dyn FnOnce() -> Result<Jobs, String> + Send>;

/// A server being built: the games that it offers, and additions.
///
/// ```no_run
/// # use driftless_sim::games::cursors::Cursors as Tag;
/// use driftless_server::{Server, actix_web::{HttpResponse, web}};
/// use driftless_sim::GameKind;
/// use std::process::ExitCode;
///
/// fn main() -> ExitCode {
///     Server::new(&[GameKind::of::<Tag>()])
///         .pages(concat!(env!("CARGO_MANIFEST_DIR"), "/page/dist"))
///         .routes(|app| {
///             app.route("/season", web::get().to(|| async { HttpResponse::Ok().body("spring") }));
///         })
///         .main()
/// }
/// ```
#[must_use = "a server does nothing until `main` or `start` is called"]
pub struct Server {
    games: Vec<GameKind>,
    pages: Option<Pages>,
    routes: Vec<Routes>,
    jobs: OpenJobs,
    hear: Vec<Hear>,
    carry: Option<PathBuf>,
    from: Vec<from::FromFile>,
    authenticate: Option<OwnScheme>,
    matching: Functions,
}

impl Server {
    /// A server that offers these games. Rooms whose makers name no kind have the first one, unless the
    /// configuration says otherwise.
    pub fn new(games: &[GameKind]) -> Self {
        Self {
            games: games.to_vec(),
            pages: None,
            routes: Vec::new(),
            jobs: Box::new(|| Ok(Jobs::new())),
            hear: Vec::new(),
            carry: None,
            from: Vec::new(),
            authenticate: None,
            matching: Functions::new(),
        }
    }

    /// The game's own page, at `/`: a folder, which is read when something is requested, or files that are
    /// part of the program. See [`Pages`]. `--pages FOLDER` overrides it.
    pub fn pages(mut self, pages: impl Into<Pages>) -> Self {
        self.pages = Some(pages.into());
        self
    }

    /// Adds routes to the HTTP server, after its own and before the pages. `add` is called on each thread
    /// that accepts connections.
    ///
    /// Requests reach them only after the checks of all requests: the limits of head, time and origin.
    /// Answers that do not set `Content-Security-Policy` and `Cache-Control` get values that allow nothing:
    /// send `text/html` with a policy of its own.
    pub fn routes(mut self, add: impl Fn(&mut ServiceConfig) + Send + Sync + 'static) -> Self {
        self.routes.push(Arc::new(add));
        self
    }

    /// The handlers of the jobs that games [request](driftless_sim::Step::ask). Without them, all jobs are
    /// answered with [`NoHandler`](driftless_sim::JobError::NoHandler).
    pub fn jobs(self, jobs: Jobs) -> Self {
        self.jobs_from(|| Ok::<_, Infallible>(jobs))
    }

    /// Like [`jobs`](Self::jobs), for handlers that need something first, such as an open database. `open` is
    /// called when the server starts, before it accepts anybody, and not by commands that run no server
    /// (`replay`, `--help`). If it fails, the server does not start, and the error is the line that the
    /// operator reads: it should say what is wrong and what to do.
    pub fn jobs_from<E: Display>(mut self, open: impl FnOnce() -> Result<Jobs, E> + Send + 'static) -> Self {
        self.jobs = Box::new(|| open().map_err(|error| error.to_string()));
        self
    }

    /// Calls `hear` with the events of rooms: made, reported, ended. It runs on a thread of its own, one
    /// event after another, and may wait for a web hook; but when thousands of events wait for it, more are
    /// dropped (and counted: `driftless_room_events_dropped_total`).
    pub fn on(mut self, hear: impl Fn(&RoomEvent) + Send + Sync + 'static) -> Self {
        self.hear.push(Arc::new(hear));
        self
    }

    /// Makes matches of this kind of game from the queue, in place of what the setting `queue` says: groups
    /// of a size ([`Groups`](crate::Groups)), or a function of your own.
    pub fn matching(mut self, kind: &str, function: impl MatchFunction + 'static) -> Self {
        self.matching.insert(kind.to_owned(), Arc::new(function));
        self
    }

    /// Finds out who players are in a way of your own, instead of by signed tokens: a session's cookie, a
    /// ticket of a shop. `who` is called for each connection, with whatever the client shows, and again when
    /// a client sends a fresh token because the old one expires. It may wait, for 5 s at most, but must not
    /// block: it runs among the players of its thread.
    ///
    /// ```no_run
    /// # use driftless_sim::{GameKind, games::cursors::Cursors as Tag};
    /// use driftless_server::{Denied, Identity, Knock, Server, User};
    ///
    /// # async fn user_of(session: &str) -> Option<String> { None }
    /// async fn by_ticket(knock: Knock) -> Result<Identity, Denied> {
    ///     let ticket = knock.token.ok_or_else(|| Denied::unauthenticated("log in first"))?;
    ///     let user = user_of(&ticket).await.ok_or_else(|| Denied::unauthenticated("log in again"))?;
    ///     Ok(Identity::of(User::Known(user.into())))
    /// }
    ///
    /// # fn f() {
    /// Server::new(&[GameKind::of::<Tag>()]).authenticate(by_ticket).main();
    /// # }
    /// ```
    pub fn authenticate<F>(mut self, who: F) -> Self
    where
        F: AsyncFn(Knock) -> Result<Identity, Denied> + Send + Sync + 'static,
    {
        let who = Arc::new(who);
        self.authenticate = Some(Arc::new(move |knock| {
            let who = who.clone();
            Box::pin(async move { who(knock).await })
        }));
        self
    }

    /// Carries rooms over a restart: when the server stops, they are written to this file with their seats,
    /// and the next server with it goes on with those that fit its games. The server also uses the names with
    /// `.part`, `.taken` and `.bad` after this one.
    #[doc(hidden)]
    pub fn carry(mut self, file: impl Into<PathBuf>) -> Self {
        self.carry = Some(file.into());
        self
    }

    /// Makes a room when the server starts, unless there is one of its name: as the room of a recording was
    /// at a tick. `from`: `[NAME=]FILE[@TICK]`, as of `--from`. Its seats wait for players, who do not come,
    /// as nobody has their tokens; others may join.
    pub fn room_from(mut self, from: &str) -> Self {
        self.from.extend(from.parse());
        self
    }

    /// Starts everything, within an actix system. The future ends when the server has stopped; with an error
    /// if the threads that accept connections cannot start, or rooms that the next server should have are
    /// lost.
    ///
    /// # Errors
    /// If there is no game, two have the same name, the address cannot be listened on, there is no
    /// certificate, a thread cannot be started, what [`jobs_from`](Self::jobs_from) opens fails, or the
    /// recording folder is not writable. Nothing runs then.
    pub fn start(
        self,
        config: Config,
    ) -> Result<(Running, impl Future<Output = std::io::Result<()>>), StartError> {
        self.prepare(config)?.start()
    }

    /// Everything that may fail for reasons that an operator can change, without any thread or actor yet.
    pub(crate) fn prepare(self, config: Config) -> Result<Prepared, StartError> {
        Prepared::new(self, config)
    }

    /// What of it would keep a server with this configuration from starting, as far as that shows without
    /// starting it.
    pub(crate) fn faults(&self, config: &Config) -> Vec<StartError> {
        prepared::faults(self, config)
    }

    /// What its configuration names at other machines and does not get from there now. Asks, with a limit.
    pub(crate) fn unreachable(&self, config: &Config) -> Vec<String> {
        let keys = if self.authenticates() { Vec::new() } else { door::unreachable_keys(config) };
        keys.into_iter().chain(neighbours::unreachable(config)).collect()
    }

    /// Whether it has a way of its own to find out who players are.
    pub(crate) fn authenticates(&self) -> bool {
        self.authenticate.is_some()
    }

    /// The games.
    pub(crate) fn games(&self) -> &[GameKind] {
        &self.games
    }
}
