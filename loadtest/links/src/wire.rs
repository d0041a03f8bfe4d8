//! The wire between two TUN devices.

use crate::{
    model::{UDP_HEADERS, Way},
    relay::{Counts, Flight, Link},
};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};
use std::{
    io,
    os::fd::OwnedFd,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::JoinHandle,
    time::Duration,
};

/// Longest packet that a device gives.
const MAX_PACKET: usize = 65_535;
/// Packets read from a device before the other one gets its turn.
const READS: usize = 64;
/// Most packets in flight, both ways together.
const MAX_WAITING: usize = 65_536;
/// Longest wait between two checks whether to end.
const IDLE: Duration = Duration::from_millis(50);

/// The thread that carries packets. It ends when this is dropped.
#[derive(Debug)]
pub struct Wire {
    counts: Arc<Counts>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Wire {
    /// Joins two devices.
    pub fn start(link: &Arc<Link>, client: OwnedFd, server: OwnedFd) -> io::Result<Self> {
        let (counts, ended) = (Arc::new(Counts::default()), Arc::new(AtomicBool::new(false)));
        let mut carrier = Carrier {
            flight: Flight::new(link, MAX_WAITING, counts.clone()),
            link: link.clone(),
            client,
            server,
            counts: counts.clone(),
        };
        let end = ended.clone();
        let run = move || {
            let mut buffer = vec![0; MAX_PACKET];
            while !end.load(Relaxed) {
                if let Err(error) = carrier.turn(&mut buffer) {
                    eprintln!("the wire broke: {error}");
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("wire".to_owned()).spawn(run)?;
        Ok(Self { counts, ended, thread: Some(thread) })
    }
    /// What it carried. Bytes are those of IP packets.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.ended.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Carrier {
    flight: Flight<Vec<u8>>,
    link: Arc<Link>,
    client: OwnedFd,
    server: OwnedFd,
    counts: Arc<Counts>,
}

impl Carrier {
    fn turn(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        self.deliver();
        let now = self.link.now();
        let wait = self.flight.next().map_or(IDLE, |at| at.saturating_sub(now)).min(IDLE);
        let wait = Timespec { tv_sec: 0, tv_nsec: wait.as_nanos() as _ };
        let mut ready = [PollFd::new(&self.client, PollFlags::IN), PollFd::new(&self.server, PollFlags::IN)];
        match poll(&mut ready, Some(&wait)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        self.read(Way::Up, buffer)?;
        self.read(Way::Down, buffer)
    }

    fn read(&mut self, way: Way, buffer: &mut [u8]) -> io::Result<()> {
        for _ in 0..READS {
            let from = match way {
                Way::Up => &self.client,
                Way::Down => &self.server,
            };
            match rustix::io::read(from, &mut *buffer) {
                Ok(length) => self.take(way, &buffer[..length]),
                Err(Errno::AGAIN | Errno::INTR) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn take(&mut self, way: Way, packet: &[u8]) {
        // The devices also speak IPv6 among themselves: nobody listens, and it would use up random numbers.
        if packet.first().is_none_or(|first| first >> 4 != 4) {
            return;
        }
        self.counts.way(way).sent(packet.len());
        // The model adds the headers that a datagram has; here they are part of the packet.
        let payload = packet.len().saturating_sub(UDP_HEADERS);
        self.flight.send(self.link.now(), way, payload, packet.to_vec());
    }

    fn deliver(&mut self) {
        while let Some((way, packet)) = self.flight.pop(self.link.now()) {
            let to = match way {
                Way::Up => &self.server,
                Way::Down => &self.client,
            };
            if rustix::io::write(to, &packet).is_err() {
                self.counts.way(way).unsent.fetch_add(1, Relaxed);
            }
        }
    }
}
