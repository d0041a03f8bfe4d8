//! The process before this one, as the new one sees it.

#![allow(unsafe_code, reason = "calls of the kernel that no crate here wraps")]

use super::{Abilities, INHERITED, LONGEST, Left, LeftLine, Said, Sockets, line};
use crate::carry;
use parking_lot::Mutex;
use std::{
    env,
    fmt::Display,
    io::{self, BufReader, Read},
    os::{
        fd::{FromRawFd, RawFd},
        unix::{net::UnixStream, process::parent_id},
    },
    sync::OnceLock,
};

/// The process that has started this one to follow it.
#[derive(Debug)]
pub(crate) struct Predecessor {
    line: UnixStream,
    sockets: Mutex<Option<Sockets>>,
}

/// The process that this one follows, if it follows one.
pub(crate) fn predecessor() -> Option<&'static Predecessor> {
    static FOUND: OnceLock<Option<Predecessor>> = OnceLock::new();
    FOUND.get_or_init(|| Predecessor::of(&env::var(INHERITED).ok()?)).as_ref()
}

/// Tells the process that this one follows, if it follows one, why it does not start.
pub(crate) fn tell_failed(why: &dyn Display) {
    if let Some(before) = predecessor() {
        // If it is gone, nobody wants to know.
        let _ = before.say(&Said::Failed(why.to_string()));
    }
}

impl Predecessor {
    fn of(inherited: &str) -> Option<Self> {
        let mut numbers = inherited.split(' ');
        // Whatever this process starts inherits the variable, but not the descriptors.
        numbers.next()?.parse().ok().filter(|parent: &u32| *parent == parent_id())?;
        let descriptors: Vec<RawFd> = numbers.map(str::parse).collect::<Result<_, _>>().ok()?;
        let [line, tcp, udp @ ..] = &descriptors[..] else { return None };
        descriptors.iter().all(|descriptor| keep_from_children(*descriptor)).then_some(())?;
        // SAFETY: they are open, and the parent, which has started this process to follow it, has opened them
        // for it: nothing else here has them. This is done once.
        let line = unsafe { UnixStream::from_raw_fd(*line) };
        // SAFETY: as above.
        let (tcp, udp) = unsafe {
            let udp = udp.iter().map(|udp| FromRawFd::from_raw_fd(*udp)).collect();
            (FromRawFd::from_raw_fd(*tcp), udp)
        };
        Some(Self { line, sockets: Mutex::new(Some(Sockets { tcp, udp })) })
    }

    /// Its sockets, once.
    pub(crate) fn take_sockets(&self) -> Option<Sockets> {
        self.sockets.lock().take()
    }

    /// Says that this process can start, and waits for what the other one leaves.
    ///
    /// # Errors
    /// It leaves nothing: it has ended, or goes on.
    pub(crate) fn take_over(&self, abilities: Abilities) -> io::Result<Left> {
        self.say(&Said::Ready(abilities))?;
        let mut line = BufReader::new(&self.line);
        let left: LeftLine = line::hear(&mut line, LONGEST).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => io::Error::other("the server before has left nothing"),
            _ => error,
        })?;
        let mut bytes = |many| -> io::Result<_> {
            let mut bytes = Vec::new();
            (&mut line).take(many).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        let rooms = carry::decode(&bytes(left.rooms)?).map_err(io::Error::other)?;
        let revoked = serde_json::from_slice(&bytes(left.revoked)?)?;
        let used = serde_json::from_slice(&bytes(left.used)?)?;
        Ok(Left { rooms, revoked, used })
    }

    /// Says that this process serves: the other one may end.
    pub(crate) fn serving(&self) {
        if let Err(error) = self.say(&Said::Serving) {
            tracing::warn!(%error, "the server before cannot be told that this one serves");
        }
    }

    fn say(&self, said: &Said) -> io::Result<()> {
        line::say(&self.line, said)
    }
}

/// False: it is not open.
fn keep_from_children(descriptor: RawFd) -> bool {
    // SAFETY: fcntl with F_SETFD takes numbers and touches no memory.
    unsafe { libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC) == 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ground::revocations::Revocations, upgrade::Line};
    use std::{collections::BTreeMap, thread};

    #[test]
    fn as_many_users_as_can_be_revoked_are_handed_over() {
        let (old, new) = UnixStream::pair().unwrap();
        let before = Predecessor { line: new, sockets: Mutex::default() };
        let abilities = Abilities { carried: 1, journal: None, store: None, schemas: BTreeMap::new() };
        let follows = thread::spawn(move || {
            let left = before.take_over(abilities).unwrap();
            before.serving();
            left.revoked
        });
        let mut line = Line::over(old);
        line.ready().unwrap();
        let user = |n: usize| (format!("{n:0>255}"), n as u64);
        let revoked: Vec<_> = (0..Revocations::MOST).map(user).collect();
        let rooms = carry::encode(&[] as &[carry::Room]).unwrap();
        line.leave(&rooms, &revoked, &[]).unwrap();
        assert!(follows.join().unwrap() == revoked);
    }
}
