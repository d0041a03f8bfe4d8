//! Datagrams: one socket faces the clients; each client has a task with a socket facing the server.

use super::{Counts, Flight, IDLE, Link, MAX_CLIENTS, MAX_WAITING};
use crate::model::Way;
use bytes::Bytes;
use std::{
    collections::HashMap,
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};
use tokio::{net::UdpSocket, sync::mpsc, task::JoinHandle, time::sleep_until};

/// The longest datagram.
const MAX_DATAGRAM: usize = 65_535;
/// Datagrams read for a client that its task has not taken yet.
const INBOX: usize = 256;
/// Bytes of the sockets' buffers: a burst of all clients of a tick.
const SOCKET_BUFFER: usize = 4 * 1024 * 1024;
/// Pause after an error of the socket that all clients share.
const ERROR_PAUSE: Duration = Duration::from_millis(10);

pub(super) async fn bind(
    listen: SocketAddr,
    to: SocketAddr,
    link: Arc<Link>,
    counts: Arc<Counts>,
) -> io::Result<(SocketAddr, JoinHandle<()>)> {
    let socket = Arc::new(UdpSocket::bind(listen).await?);
    enlarge(&socket);
    let address = socket.local_addr()?;
    Ok((address, tokio::spawn(listen_for_clients(socket, to, link, counts))))
}

async fn listen_for_clients(socket: Arc<UdpSocket>, to: SocketAddr, link: Arc<Link>, counts: Arc<Counts>) {
    let mut clients: HashMap<SocketAddr, mpsc::Sender<Bytes>> = HashMap::new();
    // The clients' tasks end with this one.
    let mut tasks = tokio::task::JoinSet::new();
    let mut buffer = vec![0; MAX_DATAGRAM];
    loop {
        // An error here is an ICMP message about a client that has gone, or a lack of memory: neither is the
        // end.
        let Ok((length, address)) = socket.recv_from(&mut buffer).await else {
            tokio::time::sleep(ERROR_PAUSE).await;
            continue;
        };
        while tasks.try_join_next().is_some() {}
        if clients.get(&address).is_none_or(mpsc::Sender::is_closed) {
            clients.retain(|_, client| !client.is_closed());
            if clients.len() >= MAX_CLIENTS {
                counts.refused.fetch_add(1, Relaxed);
                continue;
            }
            let (sender, inbox) = mpsc::channel(INBOX);
            let client = Client::connect(&socket, address, to, &link, &counts);
            match client.await {
                Ok(client) => drop(tasks.spawn(client.run(inbox))),
                Err(_) => {
                    counts.refused.fetch_add(1, Relaxed);
                    continue;
                }
            }
            clients.insert(address, sender);
        }
        let Some(client) = clients.get(&address) else { continue };
        if client.try_send(Bytes::copy_from_slice(&buffer[..length])).is_err() {
            counts.way(Way::Up).unsent.fetch_add(1, Relaxed);
        }
    }
}

/// One client's link.
struct Client {
    address: SocketAddr,
    towards_client: Arc<UdpSocket>,
    towards_server: UdpSocket,
    flight: Flight<Bytes>,
    link: Arc<Link>,
    counts: Arc<Counts>,
}

impl Client {
    async fn connect(
        towards_client: &Arc<UdpSocket>,
        address: SocketAddr,
        to: SocketAddr,
        link: &Arc<Link>,
        counts: &Arc<Counts>,
    ) -> io::Result<Self> {
        let any: SocketAddr = match to {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let towards_server = UdpSocket::bind(any).await?;
        towards_server.connect(to).await?;
        Ok(Self {
            address,
            towards_client: towards_client.clone(),
            towards_server,
            flight: Flight::new(link, MAX_WAITING, counts.clone()),
            link: link.clone(),
            counts: counts.clone(),
        })
    }

    async fn run(mut self, mut inbox: mpsc::Receiver<Bytes>) {
        let mut buffer = vec![0; MAX_DATAGRAM];
        let mut heard = self.link.now();
        loop {
            self.deliver().await;
            let wake = self.flight.next().unwrap_or(heard + IDLE);
            tokio::select! {
                sent = inbox.recv() => {
                    let Some(payload) = sent else { return };
                    heard = self.link.now();
                    self.take(Way::Up, payload);
                }
                received = self.towards_server.recv(&mut buffer) => match received {
                    Ok(length) => self.take(Way::Down, Bytes::copy_from_slice(&buffer[..length])),
                    // The server's port is closed; it may open again.
                    Err(_) => tokio::time::sleep(ERROR_PAUSE).await,
                },
                () = sleep_until(self.link.instant(wake)) => {
                    if self.flight.next().is_none() && self.link.now() >= heard + IDLE {
                        return;
                    }
                }
            }
        }
    }

    fn take(&mut self, way: Way, payload: Bytes) {
        self.counts.way(way).sent(payload.len());
        self.flight.send(self.link.now(), way, payload.len(), payload);
    }

    async fn deliver(&mut self) {
        let now = self.link.now();
        while let Some((way, payload)) = self.flight.pop(now) {
            let sent = match way {
                Way::Up => self.towards_server.send(&payload).await,
                Way::Down => self.towards_client.send_to(&payload, self.address).await,
            };
            if sent.is_err() {
                self.counts.way(way).unsent.fetch_add(1, Relaxed);
            }
        }
    }
}

/// As far as the system allows: what the sockets lose is counted, or seen as loss.
fn enlarge(socket: &UdpSocket) {
    let socket = socket2::SockRef::from(socket);
    let _ = socket.set_recv_buffer_size(SOCKET_BUFFER);
    let _ = socket.set_send_buffer_size(SOCKET_BUFFER);
}
