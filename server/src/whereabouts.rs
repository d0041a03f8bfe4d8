//! Where users are, at all nodes together, for whoever asks or watches.
//!
//! ```text
//! presence ─► Outlet ─► Redis, if there are other nodes     Finder::find: presence here, Redis elsewhere
//!                  ╰──► hints ─► tend ─► topics of users ─► whoever watches
//! ```
//!
//! A hint says of whom something may have changed; what it is, is asked for. So many changes of a user are
//! one event, and what is told is the newest.

use crate::{
    clock::time_of_day,
    metrics::Metrics,
    nodes::{Abroad, Hint, Told, Unavailable},
    presence::{Presence, UserListener, Visit, WhereAre, Whereabouts},
    topics::Watched,
};
use actix::Addr;
use std::{
    collections::HashSet,
    sync::{Arc, Weak},
    time::Duration,
};
use tokio::{
    select,
    sync::{mpsc, watch},
    time::sleep,
};

/// Users that are asked of at once.
const TOGETHER: usize = 100;
/// Hints that come within this time are looked at together.
const SOON: Duration = Duration::from_millis(20);
/// Time between two attempts after a failure.
const AGAIN: Duration = Duration::from_millis(500);

/// Finds users.
pub(crate) struct Finder {
    presence: Addr<Presence>,
    /// The other nodes, and the name of this one, if there may be others.
    abroad: Option<(Arc<Abroad>, Arc<str>)>,
    watched: Arc<Watched>,
    metrics: Arc<Metrics>,
}

/// Where presence says where this node's users are.
pub(crate) struct Outlet {
    /// For other nodes.
    told: Option<mpsc::UnboundedSender<Told>>,
    /// For those who watch here.
    hints: mpsc::UnboundedSender<Hint>,
    watched: watch::Receiver<bool>,
}

impl Outlet {
    pub(crate) fn new(
        told: Option<mpsc::UnboundedSender<Told>>,
        hints: mpsc::UnboundedSender<Hint>,
        watched: watch::Receiver<bool>,
    ) -> Self {
        Self { told, hints, watched }
    }

    fn tell(&self, users: Vec<(Arc<str>, Vec<Visit>)>, what: fn(Vec<(Arc<str>, String)>) -> Told) {
        if *self.watched.borrow() {
            let _ = self.hints.send(Hint::Users(users.iter().map(|(user, _)| user.clone()).collect()));
        }
        if let Some(told) = &self.told {
            let users = users.into_iter().map(|(user, visits)| (user, Visit::write(&visits)));
            let _ = told.send(what(users.collect()));
        }
    }
}

impl UserListener for Outlet {
    fn is_listening(&self) -> bool {
        self.told.is_some() || *self.watched.borrow()
    }

    fn changed(&self, users: Vec<(Arc<str>, Vec<Visit>)>) {
        self.tell(users, Told::Changed);
    }

    fn all(&self, users: Vec<(Arc<str>, Vec<Visit>)>) {
        self.tell(users, Told::All);
    }
}

impl Finder {
    pub(crate) fn new(
        presence: Addr<Presence>,
        abroad: Option<(Arc<Abroad>, Arc<str>)>,
        watched: Arc<Watched>,
        metrics: Arc<Metrics>,
    ) -> Arc<Self> {
        Arc::new(Self { presence, abroad, watched, metrics })
    }

    /// Where these users are, in the order of the question.
    ///
    /// # Errors
    /// Nobody knows, because Redis does not answer.
    pub(crate) async fn find(&self, users: &[Arc<str>]) -> Result<Vec<Whereabouts>, Unavailable> {
        let found = self.try_find(users).await;
        self.metrics.nodes.presence_questions.inc(if found.is_ok() { "answered" } else { "unavailable" });
        found
    }

    async fn try_find(&self, users: &[Arc<str>]) -> Result<Vec<Whereabouts>, Unavailable> {
        let here = self.presence.send(WhereAre(users.to_vec())).await;
        let here = here.map_err(|error| Unavailable { why: error.to_string(), wait: AGAIN })?;
        let node = self.abroad.as_ref().map(|(_, node)| node.clone());
        let here = here.into_iter().map(|visits| visits.into_iter().map(|visit| (node.clone(), visit)));
        let mut found: Vec<Vec<_>> = here.map(Iterator::collect).collect();
        if let Some((abroad, _)) = &self.abroad {
            for (user, node, visits) in abroad.ask(users.to_vec()).await? {
                if let Some(found) = found.get_mut(user) {
                    found.extend(visits.into_iter().map(|visit| (Some(node.clone()), visit)));
                }
            }
        }
        Ok(users.iter().cloned().zip(found).map(|(user, visits)| Whereabouts::of(user, visits)).collect())
    }

    /// Tells whoever watches these users where they are. Those of whom nobody knows are left.
    async fn tell(&self, users: &mut HashSet<Arc<str>>) {
        let due = self.watched.among(users.drain().collect());
        for (n, some) in due.chunks(TOGETHER).enumerate() {
            match self.find(some).await {
                Ok(found) => found.iter().for_each(|whereabouts| {
                    let text = serde_json::to_string(whereabouts).unwrap_or_default();
                    let now_ms = u64::try_from(time_of_day().as_millis()).unwrap_or(u64::MAX);
                    self.watched.tell(&whereabouts.user, text.into(), now_ms);
                }),
                Err(_) => return users.extend(due[n * TOGETHER..].iter().cloned()),
            }
        }
    }
}

/// Tells those who watch users what changes, for as long as there is somebody who finds them.
pub(crate) async fn tend(finder: Weak<Finder>, mut hints: mpsc::UnboundedReceiver<Hint>) {
    let mut due = HashSet::new();
    let Some(watched) = finder.upgrade().map(|finder| finder.watched.clone()) else { return };
    loop {
        select! {
            hint = hints.recv() => match hint {
                Some(hint) => note(&mut due, &watched, hint),
                None => return,
            },
            () = watched.newcomer() => {}
            () = sleep(AGAIN), if !due.is_empty() => {}
        }
        sleep(SOON).await;
        while let Ok(hint) = hints.try_recv() {
            note(&mut due, &watched, hint);
        }
        due.extend(watched.new_ones());
        let Some(finder) = finder.upgrade() else { return };
        if !due.is_empty() {
            finder.tell(&mut due).await;
        }
    }
}

fn note(due: &mut HashSet<Arc<str>>, watched: &Watched, hint: Hint) {
    due.extend(match hint {
        Hint::Users(users) => watched.among(users),
        Hint::All => watched.all(),
    });
}
