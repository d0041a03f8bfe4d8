//! Who asks for a seat, at the door: may he have it, and is there a slot for him?

use super::{Denied, Door, Knock, Refused, identity};
use crate::{
    connection::{Entrance, Rooms, Search, SeatRequest, Ticket},
    ground::{
        entrant::Entrant,
        identity::{Identity, Role},
        once::Reserved,
        places::Place,
        refusal::Refusal,
        shared::RoomShared,
        sight::Sight,
        source::Source,
        tenure::Tenure,
        trace::TraceParent,
        transport_kind::TransportKind,
    },
    room::Seated,
    topics::Topics,
};
use driftless_proto::wire;
use futures_util::future::LocalBoxFuture;
use std::sync::Arc;

/// A player slot, and a token that is not used yet.
type Claim = (Place, Option<Reserved>);

impl Rooms for Door {
    fn find(self: Arc<Self>, mut wanted: SeatRequest, identity: Arc<Identity>, source: Source) -> Search {
        if let Err(denied) = self.check_entry(&mut wanted, &identity) {
            return Search::Over(Err(denied.into()));
        }
        let claim = match &wanted {
            SeatRequest::Join(join) => match self.claim(join, &identity, source) {
                Ok(claim) => Some(claim),
                Err(refusal) => return Search::Over(Err(refusal)),
            },
            SeatRequest::Resume(_) => None,
        };
        match claim {
            // Before a room is made for it.
            Some((place, Some(once))) if once.is_shared() => Search::Asks(Box::pin(async move {
                let once = match once.everywhere().await.map_err(Denied::from) {
                    Ok(once) => once,
                    Err(denied) => {
                        self.denied(&denied, source);
                        return self.guessed(denied.into(), source);
                    }
                };
                let found = match self.rooms.clone().find(wanted, identity, source) {
                    Search::Over(found) => found,
                    Search::Asks(found) => found.await,
                };
                match found {
                    Ok(ticket) => Ok(let_in(ticket, Some((place, Some(once))))),
                    Err(refusal) => {
                        // First: it may be told to go to another node, with this token.
                        once.give_back().await;
                        Err(refusal)
                    }
                }
            })),
            claim => self.search(wanted, identity, source, claim),
        }
    }

    fn enter(
        self: Arc<Self>,
        mut ticket: Ticket,
        entrant: Entrant,
    ) -> LocalBoxFuture<'static, Result<Seated, Refusal>> {
        let (source, resumes) = (entrant.source, matches!(ticket.wanted, SeatRequest::Resume(_)));
        let once = ticket.once.take();
        let entered = self.rooms.clone().enter(ticket, entrant);
        Box::pin(async move {
            let entered = entered.await;
            match entered {
                // Only now: a token is not spent on a room that does not take its player.
                Ok(_) => once.into_iter().for_each(Reserved::use_up),
                Err(e) if resumes => return self.guessed(e, source),
                Err(_) => {}
            }
            entered
        })
    }
}

impl Entrance for Door {
    fn topics(&self) -> &Arc<Topics> {
        &self.topics
    }

    fn identify(
        self: Arc<Self>,
        wanted: &SeatRequest,
        transport: TransportKind,
        source: Source,
        trace: Option<TraceParent>,
    ) -> LocalBoxFuture<'static, Result<Tenure, Refusal>> {
        let (room, kind) = match wanted {
            SeatRequest::Join(join) => (&join.room, Some(join.kind.clone())),
            SeatRequest::Resume(resume) => (&resume.room, None),
        };
        let mut knock = Knock::new(transport, source);
        (knock.room, knock.kind, knock.trace) = (Some(room.clone()), kind, trace);
        knock.token = Some(wanted.identity_token().to_owned()).filter(|token| !token.is_empty());
        Box::pin(async move { Ok(Door::identify(&self, knock).await?) })
    }

    fn renew(
        self: Arc<Self>,
        token: String,
        has: Arc<Identity>,
        room: Arc<RoomShared>,
        transport: TransportKind,
        source: Source,
    ) -> LocalBoxFuture<'static, Result<Option<Tenure>, Refusal>> {
        let mut knock = Knock::new(transport, source);
        (knock.room, knock.kind) = (Some(room.name.to_string()), Some(room.kind.to_owned()));
        knock.token = Some(token);
        Box::pin(async move {
            let tenure = match Door::identify(&self, knock).await {
                // A key that the issuer has made and this server cannot get yet is no fault of the player's.
                Err(denied) if denied.may_pass() => return Ok(None),
                known => known?,
            };
            let fresh = tenure.identity();
            if fresh.user != has.user || fresh.role != has.role {
                let reason = format!("the fresh token is of {} ({})", fresh.user, fresh.role);
                return Err(Denied::forbidden(reason).into());
            }
            Ok(Some(tenure))
        })
    }
}

impl Door {
    /// Finds the room for somebody who has this claim to a new seat in it.
    fn search(
        self: Arc<Self>,
        wanted: SeatRequest,
        identity: Arc<Identity>,
        source: Source,
        claim: Option<Claim>,
    ) -> Search {
        match self.rooms.clone().find(wanted, identity, source) {
            Search::Over(Ok(ticket)) => Search::Over(Ok(let_in(ticket, claim))),
            Search::Over(Err(e)) if claim.is_none() => Search::Over(self.guessed(e, source)),
            Search::Over(Err(e)) => Search::Over(Err(e)),
            Search::Asks(found) => {
                // Whoever guesses tokens has others asked no more often than it may join.
                if claim.is_none()
                    && let Err(refused) = self.new_player(source)
                {
                    self.count(refused, source);
                    return Search::Over(Err(refused.into()));
                }
                Search::Asks(Box::pin(async move { Ok(let_in(found.await?, claim)) }))
            }
        }
    }

    /// Whether this identity may have what is wanted. One that may enter only rooms of one kind asks for that
    /// kind, and one that may only watch asks to watch.
    fn check_entry(&self, wanted: &mut SeatRequest, identity: &Identity) -> Result<(), Denied> {
        match wanted {
            SeatRequest::Join(join) => {
                identity::may_enter(identity, Some(&join.room), Some(&join.kind))?;
                join.spectate |= identity.role != Role::Player;
                if let (true, Some(kind)) = (join.kind.is_empty(), &identity.entry.kind) {
                    join.kind = kind.to_string();
                }
                Ok(())
            }
            SeatRequest::Resume(_) if identity.role != Role::Player => {
                let reason = format!("a seat is a player's, and this token is of a {}", identity.role);
                Err(Denied::forbidden(reason))
            }
            SeatRequest::Resume(resume) => {
                let listed = self.registry.get(&resume.room);
                identity::may_enter(identity, Some(&resume.room), listed.map(|listed| listed.shared.kind))
            }
        }
    }

    /// What a new seat needs besides a room: a slot, and the token, if it is good for one seat only. First,
    /// so that no room is made for whoever gets none.
    fn claim(&self, join: &wire::Join, identity: &Identity, source: Source) -> Result<Claim, Refusal> {
        let once = match self.authenticator.reserve(identity) {
            Ok(once) => once,
            Err(denied) => {
                self.denied(&denied, source);
                return self.guessed(denied.into(), source);
            }
        };
        Ok((self.place(source, Sight::wanted(join, identity.role))?, once))
    }

    /// Takes a slot for a new player, or for a spectator, who takes none from players.
    fn place(&self, source: Source, sight: Sight) -> Result<Place, Refused> {
        let places = if sight.plays() { &self.places } else { &self.stands };
        self.new_player(source)
            .and_then(|()| Ok(places.take(source)?))
            .inspect_err(|refused| self.count(*refused, source))
    }

    /// A peer has asked for a seat that it cannot have. It counts like a join, so that guessing tokens is
    /// limited to the same rate.
    fn guessed<T>(&self, e: Refusal, source: Source) -> Result<T, Refusal> {
        self.new_player(source).inspect_err(|refused| self.count(*refused, source))?;
        Err(e)
    }
}

/// A room was found for somebody, with this claim to a new seat in it.
fn let_in(ticket: Ticket, claim: Option<Claim>) -> Ticket {
    match claim {
        Some((place, once)) => Ticket { place: Some(Arc::new(place)), once, ..ticket },
        None => ticket,
    }
}
