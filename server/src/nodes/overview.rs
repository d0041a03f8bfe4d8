//! What operators see of other nodes, and ask of them. Nothing else waits for this.
//!
//! | key | what |
//! | --- | --- |
//! | `{PREFIX}:looked` | somebody looks at the rooms of all nodes: gone soon after the last look |
//! | `{PREFIX}:busiest:NODE` | the node's rooms with the most players, while somebody looks |
//!
//! What is asked of another node is a word in its [inbox], which may be lost: whether it was done shows in
//! what the node says of itself.

use super::{
    Nodes, Unavailable,
    ask::{Failure, Incarnation},
    inbox::{self, Word},
    node::Node,
    way::Way,
};
use crate::{clock::millis, thread};
use redis::{cmd, pipe};
use serde::{Deserialize, Serialize};
use std::{io, sync::Arc, time::Duration};
use tokio::{
    select,
    sync::{mpsc, oneshot, watch},
    time::interval,
};
use utoipa::ToSchema;

/// Rooms that are named of each node.
pub(crate) const BUSIEST: usize = 50;
/// How long somebody counts as looking.
const LOOKS: Duration = Duration::from_secs(10);
/// Time between two times that a node says which rooms it has, if somebody looks.
const SAY: Duration = Duration::from_secs(1);
/// How long that counts.
const COUNTS: Duration = Duration::from_secs(4);
/// Longest time for an answer.
const LIMIT: Duration = Duration::from_secs(1);

/// The rooms of a node, or of all.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub(crate) struct Busiest {
    /// How many there are.
    pub total: usize,
    /// Those with the most players: at most 50.
    pub rooms: Vec<BusyRoom>,
}

/// A room.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct BusyRoom {
    /// Its name.
    pub name: Arc<str>,
    /// Its kind of game.
    pub kind: String,
    /// Seats taken, by people.
    pub players: u32,
    /// Most players.
    pub max_players: u32,
    /// Spectators, including admins.
    pub spectators: u32,
}

/// What an operator asks of another node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Errand {
    /// To drain.
    Drain,
    /// To have a room go on at another node: the one with this name, or where there is least to do.
    Move { room: Arc<str>, to: Option<String> },
}

/// The way to the other nodes, for operators.
#[derive(Debug)]
pub(crate) struct Overview {
    to: mpsc::UnboundedSender<Request>,
}

#[derive(Debug)]
enum Request {
    Rooms(oneshot::Sender<Result<Vec<(String, Busiest)>, Unavailable>>),
    Tell(Incarnation, Errand, oneshot::Sender<Result<(), Unavailable>>),
}

struct Thread {
    way: Way,
    limit: Duration,
    me: watch::Receiver<Incarnation>,
    busiest: Box<dyn Fn() -> Busiest + Send>,
}

impl Overview {
    /// Starts the thread that asks Redis, for the node that is now `me`. `busiest`: the rooms here.
    ///
    /// # Errors
    /// If the system gives no thread. (Redis may come later.)
    pub(crate) fn start(
        way: Way,
        lease: Duration,
        me: watch::Receiver<Incarnation>,
        busiest: impl Fn() -> Busiest + Send + 'static,
    ) -> io::Result<Arc<Self>> {
        let (to, requests) = mpsc::unbounded_channel();
        let (limit, busiest) = (LIMIT.min(lease / 2), Box::new(busiest));
        thread::runs("overview", async move || Thread { way, limit, me, busiest }.run(requests).await)?;
        Ok(Arc::new(Self { to }))
    }

    /// The rooms of all nodes, by the nodes' names. A node of which nobody has asked lately says nothing yet.
    pub(crate) async fn rooms(&self) -> Result<Vec<(String, Busiest)>, Unavailable> {
        let (tell, told) = oneshot::channel();
        let _ = self.to.send(Request::Rooms(tell));
        told.await.unwrap_or_else(|_| Err(Unavailable::gone()))
    }

    /// Asks something of the node with this name. False: there is none.
    pub(crate) async fn tell(&self, nodes: &Nodes, node: &str, errand: Errand) -> Result<bool, Unavailable> {
        let Some(to) = nodes.incarnation(node) else { return Ok(false) };
        let (tell, told) = oneshot::channel();
        let _ = self.to.send(Request::Tell(to, errand, tell));
        told.await.unwrap_or_else(|_| Err(Unavailable::gone())).map(|()| true)
    }
}

impl Thread {
    /// Does what is asked, until nobody can ask for anything any more.
    async fn run(self, mut requests: mpsc::UnboundedReceiver<Request>) {
        let mut says = interval(SAY);
        loop {
            select! {
                request = requests.recv() => match request {
                    Some(Request::Rooms(tell)) => drop(tell.send(self.rooms().await.map_err(unavailable))),
                    Some(Request::Tell(to, errand, tell)) => {
                        let told = inbox::tell(&self.way, self.limit, &to, &Word::Errand(errand)).await;
                        drop(tell.send(told.map_err(unavailable)));
                    }
                    None => return,
                },
                // If that fails, so does what is asked of Redis otherwise: that says so.
                _ = says.tick() => drop(self.say().await),
            }
        }
    }

    /// Says which rooms are here, if somebody looks.
    async fn say(&self) -> Result<(), Failure> {
        let looked = cmd("EXISTS").arg(self.key("looked")).to_owned();
        let looks: bool = self.way.ask(self.limit, async |redis| looked.query_async(redis).await).await?;
        if !looks {
            return Ok(());
        }
        let me = self.me.borrow().clone();
        let text = serde_json::to_string(&(self.busiest)()).unwrap_or_default();
        let mut say = cmd("SET");
        say.arg(self.key(&format!("busiest:{me}"))).arg(text).arg("PX").arg(millis(COUNTS));
        self.way.ask(self.limit, async |redis| say.query_async(redis).await).await
    }

    async fn rooms(&self) -> Result<Vec<(String, Busiest)>, Failure> {
        let all = self.way.ask(self.limit, async |redis| {
            let mut look = pipe();
            look.cmd("SET").arg(self.key("looked")).arg(1).arg("PX").arg(millis(LOOKS)).ignore();
            look.cmd("SMEMBERS").arg(self.key("nodes"));
            let (nodes,): (Vec<String>,) = look.query_async(redis).await?;
            let mut get = cmd("MGET");
            for node in &nodes {
                get.arg(self.key(&format!("lease:{node}"))).arg(self.key(&format!("busiest:{node}")));
            }
            match nodes.is_empty() {
                true => Ok(Vec::new()),
                false => get.query_async::<Vec<Option<String>>>(redis).await,
            }
        });
        let all = all.await?;
        let of = |[says, busiest]: &[Option<String>; 2]| {
            let Node { name, .. } = serde_json::from_str(says.as_deref()?).ok()?;
            let busiest = busiest.as_deref().and_then(|text| serde_json::from_str(text).ok());
            Some((name, busiest.unwrap_or_default()))
        };
        let mut rooms: Vec<_> = all.as_chunks::<2>().0.iter().filter_map(of).collect();
        rooms.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(rooms)
    }

    fn key(&self, name: &str) -> String {
        self.way.key(name)
    }
}

fn unavailable(failure: Failure) -> Unavailable {
    Unavailable { why: failure.to_string(), wait: LIMIT }
}
