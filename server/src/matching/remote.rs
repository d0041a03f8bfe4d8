//! The desk of several servers: a script in Redis, which does each thing in one step.

use super::{
    desk::{Commit, Decision, LIFE_MS, Most, NotTaken, Seen},
    desks::DeskAway,
    ticket::{Ticket, TicketId},
};
use crate::{
    clock::millis,
    nodes::{Failure, Way},
};
use redis::Script;
use std::time::Duration;

/// Tickets that are read at a time: everybody else waits for Redis meanwhile.
const PAGE: usize = if cfg!(test) { 2 } else { 500 };

/// Longest time for an answer of Redis.
pub(super) const ANSWER: Duration = Duration::from_secs(2);

/// The way to it.
pub(super) struct Remote {
    way: Way,
    script: Script,
}

impl Remote {
    pub(super) fn new(way: Way) -> Self {
        Self { way, script: Script::new(include_str!("desk.lua")) }
    }

    pub(super) async fn add(&self, ticket: &Ticket, most: Most) -> Result<Result<(), NotTaken>, DeskAway> {
        let (id, user) = (ticket.id.to_string(), ticket.user.as_deref().unwrap_or_default());
        let source = ticket.source.map_or_else(String::new, |source| source.to_string());
        let [tickets, of_source] = [most.tickets, most.of_source].map(|most| most.to_string());
        let (says, life, party) = (text_of(ticket)?, LIFE_MS.to_string(), ticket.party.to_string());
        let asked = [&*id, &ticket.kind, user, &says, &tickets, &life, &source, &party, &of_source];
        let answer = self.ask("add", &asked).await?;
        match word(&answer) {
            "done" => Ok(Ok(())),
            "full" => Ok(Err(NotTaken::Full)),
            "source" => Ok(Err(NotTaken::SourceFull)),
            _ => Err(nonsense(&answer)),
        }
    }

    pub(super) async fn look(&self, id: TicketId, life_ms: u64) -> Result<Option<Seen>, DeskAway> {
        seen(&self.ask("look", &[&id.to_string(), &life_ms.to_string()]).await?)
    }

    pub(super) async fn away(&self, id: TicketId) -> Result<(), DeskAway> {
        self.ask("away", &[&id.to_string(), &LIFE_MS.to_string()]).await.map(drop)
    }

    pub(super) async fn decided(&self, ids: &[TicketId]) -> Result<Vec<TicketId>, DeskAway> {
        let mut decided = Vec::new();
        for ids in ids.chunks(PAGE) {
            let arguments: Vec<_> = ids.iter().map(TicketId::to_string).collect();
            let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
            let answer = self.ask("decided", &arguments).await?;
            let [word, gone @ ..] = &*answer else { return Err(nonsense(&answer)) };
            let gone = gone.iter().map(|id| TicketId::parse(id)).collect::<Option<Vec<_>>>();
            decided.extend(gone.filter(|_| word == "decided").ok_or_else(|| nonsense(&answer))?);
        }
        Ok(decided)
    }

    pub(super) async fn cancel(&self, id: TicketId) -> Result<Option<Seen>, DeskAway> {
        seen(&self.ask("cancel", &[&id.to_string()]).await?)
    }

    pub(super) async fn lead(&self, who: &str, lasts: Duration) -> Result<Option<u64>, DeskAway> {
        let answer = self.ask("lead", &[who, &millis(lasts).to_string()]).await?;
        match (word(&answer), answer.get(1).and_then(|epoch| epoch.parse().ok())) {
            ("leads", Some(epoch)) => Ok(Some(epoch)),
            ("other", _) => Ok(None),
            _ => Err(nonsense(&answer)),
        }
    }

    pub(super) async fn give_way(&self, who: &str) -> Result<(), DeskAway> {
        self.ask("yield", &[who]).await.map(drop)
    }

    pub(super) async fn waiting(&self, kind: &str) -> Result<Vec<Ticket>, DeskAway> {
        let (mut waiting, mut last, page) = (Vec::new(), "0".to_owned(), PAGE.to_string());
        loop {
            let answer = self.ask("waiting", &[kind, &last, &page]).await?;
            let [word, after, tickets @ ..] = &*answer else { return Err(nonsense(&answer)) };
            // One that another version has written is left to that.
            waiting.extend(tickets.iter().filter_map(|says| serde_json::from_str::<Ticket>(says).ok()));
            if word != "more" {
                return Ok(waiting);
            }
            last.clone_from(after);
        }
    }

    pub(super) async fn commit(&self, epoch: u64, made: &[(TicketId, Decision)]) -> Result<Commit, DeskAway> {
        let lasts = made.iter().map(|(_, decision)| decision.lasts_ms()).max().unwrap_or_default();
        let mut arguments = vec![epoch.to_string(), lasts.to_string()];
        for (id, decision) in made {
            arguments.extend([id.to_string(), text_of(decision)?]);
        }
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let answer = self.ask("commit", &arguments).await?;
        match word(&answer) {
            "done" => Ok(Commit::Done),
            "lost" => Ok(Commit::LeaseLost),
            "gone" => Ok(Commit::Gone),
            _ => Err(nonsense(&answer)),
        }
    }

    async fn ask(&self, operation: &str, arguments: &[&str]) -> Result<Vec<String>, DeskAway> {
        let mut call = self.script.prepare_invoke();
        call.key(self.way.key("queue")).arg(self.way.prefix()).arg(operation);
        for argument in arguments {
            call.arg(*argument);
        }
        Ok(self.way.call(ANSWER, &call).await?)
    }
}

impl From<Failure> for DeskAway {
    fn from(failure: Failure) -> Self {
        Self(failure.to_string())
    }
}

fn seen(answer: &[String]) -> Result<Option<Seen>, DeskAway> {
    let says = answer.get(1).map_or("", String::as_str);
    let seen = match word(answer) {
        "none" => return Ok(None),
        "waiting" => serde_json::from_str(says).map(Seen::Waiting).ok(),
        "matched" => {
            let left = answer.get(2).and_then(|left| left.parse().ok());
            serde_json::from_str::<Decision>(says).ok().zip(left).map(|(decision, left)| decision.seen(left))
        }
        _ => None,
    };
    seen.map(Some).ok_or_else(|| nonsense(answer))
}

fn word(answer: &[String]) -> &str {
    answer.first().map_or("", String::as_str)
}

fn text_of(value: &impl serde::Serialize) -> Result<String, DeskAway> {
    serde_json::to_string(value).map_err(|error| DeskAway(error.to_string()))
}

fn nonsense(answer: &[String]) -> DeskAway {
    DeskAway(format!("the script has returned {answer:?}"))
}
