//! What has happened to a player, and what may therefore happen to its connection and seat.

use super::{
    network::Time,
    promise::{Kept, keep},
    store::Loss,
    story::Setting,
};
use driftless_client::{Disconnect, ServerError, transport::Closed};
use driftless_proto::code::CloseCode;
use std::time::Duration;

/// Longest wait of a client between two attempts to connect.
pub const BACKOFF: Duration = Duration::from_secs(2);
/// How long clients take to come back.
const SLACK: Duration = Duration::from_secs(8);
/// How long after its trouble a player may still lose the connection because of it, and come back.
const GRACE: Duration = Duration::from_secs(2);

/// Until when what may happen to a player.
#[derive(Debug)]
pub struct Excuses {
    /// It may lose its connection, its seat included.
    trouble_until: Time,
    /// It may be a slow consumer.
    slow_until: Time,
    /// The server may be silent.
    silence_until: Time,
    /// Its seat may be lost: the room was closed, the server died, an operator removed it.
    loss_until: Time,
    /// The server may say that it stops.
    stop_until: Time,
    /// A token of it may have expired on its way, because the clock was set ahead.
    expired_until: Time,
    /// An operator has removed it.
    pub kicked: bool,
    /// Its access was revoked.
    pub revoked: bool,
    /// Its commands may be refused because of what all have to be told.
    pub tight: bool,
    /// It never gets a fresh token, but when it connects.
    pub keeps_its_token: bool,
    /// What may have been undone of it with each server that died, of which it has yet to be told by a later
    /// one, and the last connection before that.
    undone: Vec<(u64, Loss)>,
    /// When the server stood still or was not there.
    stops: Vec<(Time, Time)>,
    /// How long the server keeps its seat for it.
    patience: Duration,
    /// How long clients wait for a silent server, twice.
    notice: Duration,
    /// Silence after which the server may call it slow.
    slow: Duration,
}

impl Excuses {
    pub fn new(setting: &Setting, keeps_its_token: bool) -> Self {
        let ms = |ms: u32| Duration::from_millis(ms.into());
        // A seat for which too much waits ends earlier.
        let tight = setting.reliable_messages < 512 || setting.is_tight();
        let window = if tight { 1_000 } else { setting.window - 500 };
        Self {
            trouble_until: Time::ZERO,
            slow_until: Time::ZERO,
            silence_until: Time::ZERO,
            loss_until: Time::ZERO,
            stop_until: Time::ZERO,
            expired_until: Time::ZERO,
            kicked: false,
            revoked: false,
            tight: setting.is_tight(),
            keeps_its_token,
            undone: Vec::new(),
            stops: Vec::new(),
            patience: ms(window),
            notice: 2 * ms(setting.client_timeout),
            slow: ms(setting.timeout) * 3 / 4,
        }
    }

    /// It may be lost from now on, for this long and until all has noticed.
    pub fn troubled(&mut self, now: Time, lasts: Duration) {
        let slack = self.notice + GRACE;
        self.trouble_until = self.trouble_until.max(now + lasts + slack);
        if lasts >= self.patience {
            self.may_lose_its_seat(now, lasts);
        }
        if lasts >= self.slow {
            self.slow_until = self.slow_until.max(now + lasts + slack);
        }
    }

    /// The server does not answer for this long.
    pub fn unanswered(&mut self, now: Time, lasts: Duration) {
        self.stops.push((now, now + lasts));
        let excuses = [
            &mut self.trouble_until,
            &mut self.slow_until,
            &mut self.silence_until,
            &mut self.loss_until,
            &mut self.stop_until,
        ];
        for until in excuses.into_iter().filter(|until| **until > now) {
            *until += lasts;
        }
        // Who is not told by its network waits for as long as it does.
        let notices = SLACK.max(self.notice / 2 + GRACE);
        self.silence_until = self.silence_until.max(now + 2 * lasts + notices);
    }

    /// The server stops, and another one answers after this long.
    pub fn stopped(&mut self, now: Time, lasts: Duration) {
        self.unanswered(now, lasts);
        self.stop_until = self.silence_until;
    }

    /// The clock by which tokens are valid was set ahead.
    pub fn tokens_may_expire(&mut self, now: Time) {
        self.expired_until = now + GRACE;
    }

    /// Its seat may be lost from now on.
    pub fn may_lose_its_seat(&mut self, now: Time, lasts: Duration) {
        self.loss_until = self.loss_until.max(now + 2 * lasts + SLACK);
    }

    /// More is sent to all than its place for that may hold.
    pub fn may_be_told_too_much(&mut self, now: Time) {
        self.slow_until = self.slow_until.max(now + SLACK);
        self.troubled(now, Duration::ZERO);
        self.may_lose_its_seat(now, Duration::ZERO);
    }

    /// What is lost may be undone of it, when all connections up to this one are gone.
    pub fn may_lose(&mut self, line: u64, loss: Loss) {
        self.undone.push((line, loss));
    }

    /// How much may be undone of what it has seen. Whoever is at the other end of this connection tells it so
    /// now, or never.
    pub fn told_of_undone(&mut self, line: u64) -> Loss {
        let heard = |(before, _): &(u64, Loss)| *before < line;
        let most = self.undone.iter().filter(|undone| heard(undone)).map(|(_, loss)| *loss).max();
        self.undone.retain(|undone| !heard(undone));
        most.unwrap_or(Loss::NOTHING)
    }

    /// Whether something may be undone of which it was not told.
    pub fn may_be_undone(&self) -> bool {
        self.undone.iter().any(|(_, loss)| *loss > Loss::NOTHING)
    }

    /// Whether nothing has happened to it for a while.
    pub fn are_none(&self, now: Time) -> bool {
        [self.trouble_until, self.silence_until, self.loss_until, self.stop_until].iter().all(|at| *at < now)
    }

    /// How long the server was silent since this time, while it could have answered.
    pub fn silence(&self, since: Time, now: Time) -> Duration {
        let stood = |(from, until): &(Time, Time)| now.min(*until).saturating_sub(since.max(*from));
        (now - since).saturating_sub(self.stops.iter().map(stood).sum())
    }

    /// Promise 9: the connection is lost only for a reason. `is_in`: its player wants to play.
    pub fn allow(&self, cause: &Disconnect, now: Time, silent: Duration, is_in: bool) -> Kept {
        let troubled = now <= self.trouble_until;
        let fair = match cause {
            Disconnect::Left => !is_in,
            Disconnect::Transport(Closed::Lost(_)) | Disconnect::Dial(_) => true,
            Disconnect::Server(ServerError::TimedOut(_)) => troubled || now <= self.silence_until,
            other => match other.close_code() {
                Some(CloseCode::Left) => !is_in,
                Some(CloseCode::TimedOut | CloseCode::HandshakeTimeout) => troubled,
                Some(CloseCode::UnknownSession) => {
                    // Clients wait longer between two attempts than the next server for them.
                    let late = self.patience < 2 * BACKOFF && now <= self.stop_until;
                    late || silent >= self.patience || now <= self.loss_until
                }
                Some(CloseCode::RoomClosed) => now <= self.loss_until,
                // Who was asleep when it stopped hears of it on waking.
                Some(CloseCode::Draining) => now <= self.stop_until || troubled && !self.stop_until.is_zero(),
                Some(CloseCode::Kicked) => self.kicked,
                // It was asked for a fresh one in time, unless that took long.
                Some(CloseCode::TokenExpired) => {
                    self.keeps_its_token || troubled || now <= self.silence_until.max(self.expired_until)
                }
                Some(CloseCode::SlowConsumer) => now <= self.slow_until,
                _ => self.revoked,
            },
        };
        keep(9, fair, || format!("lost its connection, unheard for {silent:?}: {cause}"))
    }
}
