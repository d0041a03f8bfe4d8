//! The bare epoll server: one thread, one read and one write per client per tick.

use crate::ws;
use bytes::BytesMut;
use rustix::event::{Timespec, epoll};
use std::{
    io::{ErrorKind, Read, Write, stdin, stdout},
    net::{Ipv4Addr, TcpListener, TcpStream},
    time::{Duration, Instant},
};

/// What the server serves.
#[derive(Debug, Clone, clap::Args)]
pub struct FloorServerArgs {
    /// Clients that will come, to know who is in which room.
    #[arg(long)]
    clients: usize,
    /// Ticks per second.
    #[arg(long)]
    tick_rate: u32,
    /// Bytes of a message down.
    #[arg(long)]
    frame_bytes: usize,
    /// Rooms.
    #[arg(long)]
    rooms: usize,
}

const LISTENER: u64 = u64::MAX;
const PARENT: u64 = u64::MAX - 1;

/// Serves on a free loopback port, which it writes to standard output, until standard input ends.
pub fn serve(args: &FloorServerArgs) -> std::io::Result<()> {
    let listener = listen()?;
    writeln!(stdout(), "{}", listener.local_addr()?.port())?;
    let mut server = FloorServer::new(args, listener)?;
    epoll::add(&server.epoll, stdin(), epoll::EventData::new_u64(PARENT), epoll::EventFlags::IN)?;
    while server.turn()? {}
    Ok(())
}

/// std's listener has a backlog of 128; a swarm that connects at once needs more.
fn listen() -> std::io::Result<TcpListener> {
    use socket2::{Domain, SockAddr, Socket, Type};
    let socket = Socket::new(Domain::IPV4, Type::STREAM.nonblocking(), None)?;
    socket.bind(&SockAddr::from(std::net::SocketAddr::from((Ipv4Addr::LOCALHOST, 0))))?;
    socket.listen(4096)?;
    Ok(socket.into())
}

struct FloorServer {
    listener: TcpListener,
    epoll: rustix::fd::OwnedFd,
    events: Vec<epoll::Event>,
    buffer: Box<[u8]>,
    frame: BytesMut,
    clients: Vec<Client>,
    room_size: usize,
    rooms: usize,
    start: Instant,
    period: Duration,
    /// Rooms served so far, over all ticks.
    served: u64,
}

struct Client {
    socket: Option<TcpStream>,
    open: bool,
}

impl FloorServer {
    fn new(args: &FloorServerArgs, listener: TcpListener) -> std::io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &listener, epoll::EventData::new_u64(LISTENER), epoll::EventFlags::IN)?;
        let mut frame = BytesMut::new();
        ws::write_server_frame(&vec![1; args.frame_bytes], &mut frame);
        let rooms = args.rooms.max(1);
        Ok(Self {
            listener,
            epoll,
            events: Vec::with_capacity(1024),
            buffer: vec![0; 4096].into(),
            frame,
            clients: Vec::with_capacity(args.clients),
            room_size: args.clients.div_ceil(rooms).max(1),
            rooms,
            start: Instant::now(),
            period: Duration::from_secs(1) / args.tick_rate.max(1),
            served: 0,
        })
    }
    /// One wake-up. False: the parent is gone.
    fn turn(&mut self) -> std::io::Result<bool> {
        while self.next() <= Instant::now() {
            self.serve_room((self.served % self.rooms as u64) as usize);
            self.served += 1;
        }
        let wait = self.next().saturating_duration_since(Instant::now());
        let timeout = Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: i64::from(wait.subsec_nanos()) };
        let mut events = std::mem::take(&mut self.events);
        events.clear();
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in &events {
            match event.data.u64() {
                LISTENER => self.accept()?,
                PARENT => return Ok(false),
                client => self.read(client as usize),
            }
        }
        self.events = events;
        Ok(true)
    }
    /// When the next room's tick is due: the rooms' phases are spread evenly over the tick.
    fn next(&self) -> Instant {
        let (round, room) = (self.served / self.rooms as u64, self.served % self.rooms as u64);
        let nanos = self.period.as_nanos() as u64;
        self.start + Duration::from_nanos(nanos * round + nanos * room / self.rooms as u64)
    }
    fn serve_room(&mut self, room: usize) {
        let first = (room * self.room_size).min(self.clients.len());
        let last = (first + self.room_size).min(self.clients.len());
        for client in &mut self.clients[first..last] {
            if let (true, Some(socket)) = (client.open, &mut client.socket) {
                // A client that does not read misses the frame; the swarm always reads.
                let _ = socket.write(&self.frame);
            }
        }
    }
    fn accept(&mut self) -> std::io::Result<()> {
        loop {
            match self.listener.accept() {
                Ok((socket, _)) => {
                    socket.set_nodelay(true)?;
                    socket.set_nonblocking(true)?;
                    let data = epoll::EventData::new_u64(self.clients.len() as u64);
                    epoll::add(&self.epoll, &socket, data, epoll::EventFlags::IN)?;
                    self.clients.push(Client { socket: Some(socket), open: false });
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }
    fn read(&mut self, index: usize) {
        let client = &mut self.clients[index];
        let Some(socket) = &mut client.socket else { return };
        match socket.read(&mut self.buffer) {
            Ok(0) => client.socket = None,
            // The swarm's request fits one segment.
            Ok(_) if !client.open => {
                let answer = format!(
                    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                     Sec-WebSocket-Accept: {}\r\n\r\n",
                    ws::ACCEPT
                );
                client.open = socket.write_all(answer.as_bytes()).is_ok();
            }
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(_) => client.socket = None,
        }
    }
}
