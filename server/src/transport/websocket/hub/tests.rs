//! Hubs with real sockets, and clients that are tasks of the same thread.

use super::*;
use crate::{
    clock::Clock,
    connection::{Connection, Interlude, LocalConnections},
    ground::{admission::Admission, shares::Share, source::Source, transport_kind::TransportKind},
    metrics::Metrics,
    transport::{Stream, websocket::io::Io},
};
use actix::System;
use actix_rt::task::yield_now;
use bytes::BytesMut;
use driftless_proto::{limits::Limits, session::Delivery};
use rcgen::{CertificateParams, KeyPair};
use rustls::{ClientConfig, RootCertStore, ServerConfig, ServerConnection, pki_types::ServerName};
use std::{cell::RefCell, net, sync::Arc, thread, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

const PING: &[u8] =
    &[0x89, 0x87, 1, 2, 3, 4, b'b' ^ 1, b'e' ^ 2, b't' ^ 3, b'w' ^ 4, b'e' ^ 1, b'e' ^ 2, b'n' ^ 3];
const PONG: &[u8] = b"\x8A\x07between";
const CLOSE: &[u8] = &[0x88, 0x80, 0, 0, 0, 0];
const CLOSED: &[u8] = &[0x88, 0];
/// More than the kernel takes for a peer that reads little of it.
const LONG: usize = 16 << 20;

trait Bytes: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Bytes for T {}

type Parts = (net::TcpStream, Option<ServerConnection>, Share);

fn worker() -> Rc<Worker> {
    Worker::start(Clock::start(), Arc::new(Metrics::new()), Duration::from_millis(1))
}

fn peer() -> PeerRef {
    let admission = Admission::new(TransportKind::WebSocket, Source::UNKNOWN, ());
    Connection::unlisted(admission, Delivery::Ordered, Limits::default())
}

/// A client, and the server's side of its connection.
async fn connected(tls: bool) -> (Box<dyn Bytes>, Parts) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (server, _) = listener.accept().await.unwrap();
    if !tls {
        return (Box::new(client), Stream::plain(server, Share::uncounted()).into_parts().unwrap());
    }
    let (acceptor, connector) = tls_parts();
    let name = ServerName::try_from("localhost").unwrap();
    let (server, client) = tokio::join!(acceptor.accept(server), connector.connect(name, client));
    let server = Stream::tls(server.unwrap(), Share::uncounted());
    (Box::new(client.unwrap()), server.into_parts().unwrap())
}

fn tls_parts() -> (TlsAcceptor, TlsConnector) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
    let key = key.serialize_der().try_into().unwrap();
    let server = server.unwrap().with_no_client_auth();
    let server = server.with_single_cert(vec![certificate.der().clone()], key).unwrap();
    let client = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let client = client.unwrap().with_root_certificates(roots).with_no_client_auth();
    (Arc::new(server).into(), Arc::new(client).into())
}

fn socket((tcp, tls, place): Parts, read: &[u8], head: &[u8]) -> Socket {
    Socket::new(Io::new(tcp, tls), read.into(), BytesMut::from(head), 1024, place)
}

async fn read(client: &mut Box<dyn Bytes>, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    client.read_exact(&mut bytes).await.unwrap();
    bytes
}

async fn until(mut met: impl FnMut() -> bool) {
    while !met() {
        yield_now().await;
    }
}

/// Bytes in a pattern that shows any displacement.
fn pattern() -> Vec<u8> {
    (0..LONG as u32 / 4).flat_map(|n| n.wrapping_mul(0x9E37_79B1).to_be_bytes()).collect()
}

/// Serves a socket on a thread of its own, until told to stop.
fn serve_elsewhere(socket: Socket, stop: oneshot::Receiver<()>) -> thread::JoinHandle<()> {
    thread::spawn(|| {
        System::new().block_on(async {
            let hub = Hub::start(worker()).unwrap();
            hub.insert(socket, peer()).unwrap();
            let _ = stop.await;
        });
    })
}

/// Moves in the middle of an incoming frame, and of bytes being sent.
async fn goes_to_another_thread(tls: bool) {
    let (mut client, parts) = connected(tls).await;
    let (head, hub) = (pattern(), Hub::start(worker()).unwrap());
    let (old, (half, rest)) = (peer(), PING.split_at(8));
    let key = hub.insert(socket(parts, &[], &head), old.clone()).unwrap();
    client.write_all(half).await.unwrap();
    let mut sent = read(&mut client, 100_000).await;
    until(|| hub.sockets.borrow()[key].socket.holds().0 == half.len()).await;

    let (socket, _) = hub.remove(key).unwrap();
    let (incomplete, unsent) = socket.holds();
    assert!(incomplete == half.len() && unsent > 0, "holds {incomplete} and {unsent} bytes");
    assert!(hub.remove(key).is_none() && old.borrow().ended().is_none());
    let (stop, stopped) = oneshot::channel();
    let thread = serve_elsewhere(socket, stopped);
    client.write_all(rest).await.unwrap();
    sent.extend(read(&mut client, LONG - sent.len()).await);
    assert!(sent == head, "the rest follows what was sent before");
    assert_eq!(read(&mut client, PONG.len()).await, PONG);
    client.write_all(CLOSE).await.unwrap();
    assert_eq!(read(&mut client, CLOSED.len()).await, CLOSED);
    stop.send(()).unwrap();
    thread.join().unwrap();
}

#[actix::test]
async fn a_socket_goes_to_another_thread_with_all_that_it_holds() {
    goes_to_another_thread(false).await;
}

#[actix::test]
async fn a_socket_within_tls_goes_to_another_thread_with_all_that_it_holds() {
    goes_to_another_thread(true).await;
}

#[actix::test]
async fn what_a_socket_holds_already_is_served_without_another_packet() {
    for tls in [false, true] {
        let (mut client, parts) = connected(tls).await;
        let hub = Hub::start(worker()).unwrap();
        hub.insert(socket(parts, PING, b"head"), peer()).unwrap();
        assert_eq!(read(&mut client, 4).await, b"head");
        assert_eq!(read(&mut client, PONG.len()).await, PONG);
    }
}

#[actix::test]
async fn what_tls_holds_already_is_served_without_another_packet() {
    let (mut client, (tcp, tls, place)) = connected(true).await;
    let mut tls = tls.unwrap();
    client.write_all(PING).await.unwrap();
    while tls.process_new_packets().unwrap().plaintext_bytes_to_read() < PING.len() {
        let _ = tls.read_tls(&mut &tcp);
    }
    let hub = Hub::start(worker()).unwrap();
    hub.insert(socket((tcp, Some(tls), place), &[], &[]), peer()).unwrap();
    assert_eq!(read(&mut client, PONG.len()).await, PONG);
}

// Promise 6: "Nothing a peer sends panics the server." If something does all the same, only that peer is
// affected.
#[actix::test]
#[allow(clippy::await_holding_refcell_ref)] // that is what makes it panic
async fn a_panic_ends_one_connection_and_no_other() {
    let worker = worker();
    let hub = Hub::start(worker.clone()).unwrap();
    let ((mut bad, bad_parts), (mut good, good_parts)) = (connected(false).await, connected(false).await);
    let (bad_peer, good_peer) = (peer(), peer());
    hub.insert(socket(bad_parts, &[], &[]), bad_peer.clone()).unwrap();
    hub.insert(socket(good_parts, &[], &[]), good_peer.clone()).unwrap();
    for client in [&mut bad, &mut good] {
        client.write_all(PING).await.unwrap();
        assert_eq!(read(client, PONG.len()).await, PONG);
    }
    let borrowed = worker.write_buffer();
    bad.write_all(PING).await.unwrap();
    assert_eq!(bad.read(&mut [0; 8]).await.unwrap_or(0), 0, "closed");
    drop(borrowed);
    let internal = End::Closed { code: CloseCode::Internal, reason: "the server failed".to_owned() };
    assert_eq!(bad_peer.borrow().ended(), Some(&internal));
    good.write_all(PING).await.unwrap();
    assert_eq!(read(&mut good, PONG.len()).await, PONG);
    assert_eq!(good_peer.borrow().ended(), None);
}

#[actix::test]
async fn who_is_left_when_the_server_stops_hears_of_it() {
    let (_client, parts) = connected(false).await;
    let (hub, peer) = (Hub::start(worker()).unwrap(), peer());
    hub.insert(socket(parts, &[], &[]), peer.clone()).unwrap();
    hub.stop();
    assert_eq!(peer.borrow().ended(), Some(&End::Lost("the server stopped".to_owned())));
}

#[actix::test]
async fn a_busy_thread_reads_too() {
    let worker = worker();
    let _sweeps = LocalConnections::start(worker.clone());
    let (mut client, parts) = connected(false).await;
    let hub = Hub::start(worker.clone()).unwrap();
    hub.insert(socket(parts, &[], &[]), peer()).unwrap();
    for is_busy in [true, false, true] {
        until(|| {
            if is_busy {
                (0..100).for_each(|_| worker.arrived(TransportKind::WebSocket, 1, 0, 0));
            }
            worker.pause().is_some() == is_busy
        })
        .await;
        for _ in 0..20 {
            client.write_all(PING).await.unwrap();
            assert_eq!(read(&mut client, PONG.len()).await, PONG);
        }
    }
}

/// Notes when it was due and when it ran.
struct Clockwork {
    every: Duration,
    due: RefCell<Vec<(Instant, Instant)>>,
}

impl Interlude for Clockwork {
    fn run(&self, now: Instant) -> Option<Instant> {
        let mut due = self.due.borrow_mut();
        if let Some((_, ran)) = due.last_mut() {
            *ran = now;
        }
        let next = now + self.every;
        due.push((next, now));
        Some(next)
    }
}

#[actix::test]
async fn an_interlude_runs_when_it_is_due_and_not_before() {
    let worker = worker();
    let _hub = Hub::start(worker.clone()).unwrap();
    yield_now().await; // the hub rests
    let clockwork = Rc::new(Clockwork { every: Duration::from_micros(700), due: RefCell::default() });
    worker.set_interlude(clockwork.clone());
    until(|| clockwork.due.borrow().len() > 20).await;
    let due = clockwork.due.borrow();
    assert!(due.iter().rev().skip(1).all(|(due, ran)| ran >= due), "{due:?}");
}
