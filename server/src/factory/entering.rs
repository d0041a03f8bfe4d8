//! Finds the room that a player wants or the seat to come back to, and has its room take the player in.

use super::{Factory, FactoryError, RoomSpec};
use crate::{
    connection::{Rooms, Search, SeatRequest, Ticket},
    ground::{
        entrant::Entrant, identity::Identity, made_with::Maker, refusal::Refusal,
        reservation::ReservationToken, seat::ResumeToken, sight::Sight, source::Source, trace::TraceParent,
    },
    nodes::Hold,
    registry::{Listed, SeatPlace},
    room::{
        Join, Resume, RoomAddr, Seated,
        core::{JoinError, ResumeError},
    },
};
use actix::MailboxError;
use driftless_proto::{names::is_room_name, wire};
use futures_util::future::LocalBoxFuture;
use std::sync::Arc;

/// How often somebody may meet a room that is just ending before he is refused.
const ATTEMPTS: usize = 3;

impl Rooms for Factory {
    fn find(self: Arc<Self>, wanted: SeatRequest, identity: Arc<Identity>, source: Source) -> Search {
        let here = match &wanted {
            SeatRequest::Join(join) => match self.find_here(join) {
                Ok(None) if self.services.nodes.is_none() => self.make_for(join, source, None).map(Some),
                here => here,
            }
            .map(|here| here.map(|listed| (listed.room, listed.shared.watched_by())))
            .map_err(Refusal::from),
            SeatRequest::Resume(resume) => match self.seat(resume, &identity) {
                Ok((_, SeatPlace { room, .. })) => {
                    let listed = self.registry.get(&resume.room);
                    Ok(Some((room, listed.map_or(0, |listed| listed.shared.watched_by()))))
                }
                Err(ResumeError::UnknownToken) if self.may_be_elsewhere(&resume.room) => Ok(None),
                Err(error) => {
                    self.services.metrics.rooms.resumes.inc("unknown");
                    Err(error.into())
                }
            },
        };
        match here {
            Ok(Some((room, players))) => Search::Over(Ok(self.ticket(wanted, identity, room, players))),
            Ok(None) => Search::Asks(Box::pin(self.find_elsewhere(wanted, identity, source))),
            Err(refusal) => Search::Over(Err(refusal)),
        }
    }

    fn enter(
        self: Arc<Self>,
        ticket: Ticket,
        entrant: Entrant,
    ) -> LocalBoxFuture<'static, Result<Seated, Refusal>> {
        let Ticket { wanted, room, place, .. } = ticket;
        let entrant = Entrant { place, ..entrant };
        Box::pin(async move {
            match wanted {
                SeatRequest::Join(join) => self.join(room, join, entrant).await,
                SeatRequest::Resume(resume) => {
                    let resumed = self.resume(resume, entrant).await;
                    let metric = if resumed.is_ok() { "resumed" } else { "unknown" };
                    self.services.metrics.rooms.resumes.inc(metric);
                    resumed
                }
            }
        })
    }
}

impl Factory {
    async fn join(&self, mut room: RoomAddr, join: wire::Join, entrant: Entrant) -> Result<Seated, Refusal> {
        let Identity { user, name, .. } = &*entrant.identity;
        let user = user.id().clone();
        let asked = || if join.name.is_empty() { user.clone() } else { join.name.as_str().into() };
        let name = name.clone().unwrap_or_else(asked);
        for _ in 0..ATTEMPTS {
            let asked = Join {
                entrant: entrant.clone(),
                user: user.clone(),
                name: name.clone(),
                sight: Sight::wanted(&join, entrant.identity.role),
                options: join.options.clone(),
                reservation: ReservationToken::parse(&join.reservation),
            };
            match room.send(asked).await {
                // It has just ended: the next attempt makes a new one.
                Ok(Err(JoinError::Ended(_))) | Err(MailboxError::Closed) => {
                    room = self.find_or_create(&join, entrant.source).await?.room;
                }
                Ok(seated) => return seated.map_err(Refusal::from),
                Err(e) => return Err(e.into()),
            }
        }
        Err(MailboxError::Closed.into())
    }

    async fn resume(&self, resume: wire::Resume, entrant: Entrant) -> Result<Seated, Refusal> {
        let mut found = match self.seat(&resume, &entrant.identity) {
            Err(ResumeError::UnknownToken) if self.may_be_elsewhere(&resume.room) => {
                self.seat_elsewhere(&resume, &entrant.identity).await?
            }
            found => found?,
        };
        for _ in 0..ATTEMPTS {
            let (token, SeatPlace { room, player, .. }) = found;
            let received = resume.reliable_received;
            match room.send(Resume { entrant: entrant.clone(), player, token, received }).await {
                // It has just ended: it may go on at another node, or here again.
                Err(MailboxError::Closed) => found = self.seat_elsewhere(&resume, &entrant.identity).await?,
                Ok(seated) => return seated.map_err(Refusal::from),
                Err(e) => return Err(e.into()),
            }
        }
        Err(MailboxError::Closed.into())
    }

    pub(super) fn seat(
        &self,
        resume: &wire::Resume,
        identity: &Identity,
    ) -> Result<(ResumeToken, SeatPlace), ResumeError> {
        let token = ResumeToken::from_wire(&resume.token).ok_or(ResumeError::UnknownToken)?;
        let place = self.registry.seat(&token).filter(|place| *place.name == *resume.room);
        let place = place.ok_or(ResumeError::UnknownToken)?;
        // Of guests nothing is known but the token.
        let both_guests = || identity.user.is_guest() && place.user.is_guest();
        if place.user == identity.user || both_guests() {
            Ok((token, place))
        } else {
            Err(ResumeError::OtherUser)
        }
    }

    /// The room that a join is for, if it is here.
    pub(super) fn find_here(&self, join: &wire::Join) -> Result<Option<Listed>, FactoryError> {
        let (name, kind) = (&*join.room, kind_of(join));
        if !join.options.is_empty() && !self.config.join_options {
            return Err(FactoryError::NoJoinOptions);
        }
        if let Some(listed) = self.registry.get(name)
            && listed.room.connected()
        {
            return of_kind(listed, kind).map(Some);
        }
        if !is_room_name(name) {
            return Err(FactoryError::BadName(name.to_owned()));
        }
        if !join.spectate {
            self.kind(kind.unwrap_or(&self.default_kind))?;
        }
        Ok(None)
    }

    /// Makes the room that a join is for.
    pub(super) fn make_for(
        &self,
        join: &wire::Join,
        source: Source,
        hold: Option<Hold>,
    ) -> Result<Listed, FactoryError> {
        let (name, kind) = (&*join.room, kind_of(join));
        if let Some(none) = makes_none(join) {
            return Err(none);
        }
        let (kind_asked, options) = (kind.map(str::to_owned), join.options.clone());
        let trace = TraceParent::parse(&join.traceparent);
        let spec = RoomSpec { kind: kind_asked, options, trace, ..RoomSpec::default() };
        let name: Arc<str> = name.into();
        let made = self.make(self.next_id(), name.clone(), &spec, Maker::Joiner(source), hold)?;
        // Somebody else may have been faster: then it is their room.
        let (listed, _) = self.registry.get_or_start(&name, || self.start(made, None));
        of_kind(listed, kind)
    }

    pub(super) fn ticket(
        &self,
        wanted: SeatRequest,
        identity: Arc<Identity>,
        room: RoomAddr,
        players: u32,
    ) -> Ticket {
        let home = self.services.homes.for_player(&room, players);
        Ticket { wanted, identity, room, home, place: None, once: None }
    }
}

/// Why this makes no room, wherever that would be, if it does not.
pub(super) fn makes_none(join: &wire::Join) -> Option<FactoryError> {
    match (join.spectate, &*join.reservation) {
        (true, _) => Some(FactoryError::NoSuchRoom(join.room.clone())),
        (false, "") => None,
        (false, _) => Some(FactoryError::MatchOver(join.room.clone())),
    }
}

/// The kind of game that is requested, if any.
pub(super) fn kind_of(join: &wire::Join) -> Option<&str> {
    (!join.kind.is_empty()).then_some(&*join.kind)
}

pub(super) fn of_kind(listed: Listed, asked: Option<&str>) -> Result<Listed, FactoryError> {
    match asked {
        Some(asked) if asked != listed.shared.kind => Err(FactoryError::OtherKind {
            room: listed.shared.name.to_string(),
            is: listed.shared.kind.to_owned(),
            asked: asked.to_owned(),
        }),
        _ => Ok(listed),
    }
}
