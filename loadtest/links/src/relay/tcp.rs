//! Streams: each connection gets one to the server, with the model between them.
//!
//! The relay's own buffers must not be the queue that is measured: it reads only what the model's link has
//! room for, and its sockets' receive buffers are small, so that the sender feels a full link at once.

use super::{Counts, Link, MAX_CLIENTS};
use crate::model::{MAX_SEGMENT, Way};
use bytes::{Bytes, BytesMut};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::{
    io,
    net::SocketAddr,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpSocket, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::Semaphore,
    task::{JoinHandle, JoinSet},
    time::sleep_until,
};

/// Bytes of a receive buffer (the kernel doubles it, and offers about half of that as window).
const RECEIVE_BUFFER: usize = 4096;
/// Time between two polls while the link is full.
const FULL_PAUSE: Duration = Duration::from_millis(5);
/// Pause after a failed accept (too many open files).
const ERROR_PAUSE: Duration = Duration::from_millis(50);

pub(super) fn bind(
    listen: SocketAddr,
    to: SocketAddr,
    link: Arc<Link>,
    counts: Arc<Counts>,
) -> io::Result<(SocketAddr, JoinHandle<()>)> {
    let socket = Socket::new(Domain::for_address(listen), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    // Those that are accepted inherit this, and it must be set before the handshake to bound the window.
    narrow(SockRef::from(&socket))?;
    socket.bind(&listen.into())?;
    socket.listen(1024)?;
    let listener = TcpListener::from_std(socket.into())?;
    let address = listener.local_addr()?;
    Ok((address, tokio::spawn(accept(listener, to, link, counts))))
}

async fn accept(listener: TcpListener, to: SocketAddr, link: Arc<Link>, counts: Arc<Counts>) {
    let places = Arc::new(Semaphore::new(MAX_CLIENTS));
    // The connections end with this task.
    let mut tasks = JoinSet::new();
    loop {
        let Ok((client, _)) = listener.accept().await else {
            tokio::time::sleep(ERROR_PAUSE).await;
            continue;
        };
        while tasks.try_join_next().is_some() {}
        let Ok(place) = places.clone().try_acquire_owned() else {
            counts.refused.fetch_add(1, Relaxed);
            continue;
        };
        let (link, counts) = (link.clone(), counts.clone());
        tasks.spawn(async move {
            // What breaks one side breaks the other: both are dropped.
            let _ = relay(client, to, &link, &counts).await;
            drop(place);
        });
    }
}

async fn relay(client: TcpStream, to: SocketAddr, link: &Link, counts: &Counts) -> io::Result<()> {
    let socket = if to.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    narrow(SockRef::from(&socket))?;
    let server = socket.connect(to).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let seed = link.client_seed();
    let (client_read, client_write) = client.into_split();
    let (server_read, server_write) = server.into_split();
    tokio::try_join!(
        pump(client_read, server_write, Way::Up, seed, link, counts),
        pump(server_read, client_write, Way::Down, seed, link, counts),
    )?;
    Ok(())
}

/// One way of one connection, to the end of its stream.
async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    way: Way,
    seed: u64,
    link: &Link,
    counts: &Counts,
) -> io::Result<()> {
    let mut model = link.segments(way, seed);
    let counts = counts.way(way);
    let mut counted = (0, 0);
    let mut under_way = BytesMut::new();
    let mut ended = false;
    loop {
        let now = link.now();
        let arrived = model.poll(now);
        let sent = model.counts();
        counts.packets.fetch_add(sent.0 - counted.0, Relaxed);
        counts.lost.fetch_add(sent.1 - counted.1, Relaxed);
        counted = sent;
        if arrived > 0 {
            let arrived: Bytes = under_way.split_to(arrived).freeze();
            to.write_all(&arrived).await?;
            continue;
        }
        if ended && model.is_empty() {
            return to.shutdown().await;
        }
        let room = if ended { 0 } else { model.room(now) };
        let full = (room == 0 && !ended).then(|| now + FULL_PAUSE);
        let wake = model.poll_timeout().into_iter().chain(full).min();
        let timer = async {
            match wake {
                Some(wake) => sleep_until(link.instant(wake)).await,
                None => std::future::pending().await,
            }
        };
        let before = under_way.len();
        under_way.reserve(room.min(8 * MAX_SEGMENT));
        let mut window = (&mut from).take(room as u64);
        tokio::select! {
            read = window.read_buf(&mut under_way), if room > 0 => {
                ended = read? == 0;
                let bytes = under_way.len() - before;
                let now = link.now();
                // Time has passed since the last poll: what happened meanwhile comes first.
                let early = model.poll(now);
                model.offer(now, bytes);
                counts.bytes.fetch_add(bytes as u64, Relaxed);
                if early > 0 {
                    let arrived = under_way.split_to(early).freeze();
                    to.write_all(&arrived).await?;
                }
            }
            () = timer => {}
        }
    }
}

fn narrow(socket: SockRef<'_>) -> io::Result<()> {
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    // Loopback's own segments are larger than this buffer, and its sender would wait for more room than there
    // ever is.
    socket.set_tcp_mss(MAX_SEGMENT as u32)
}
