//! A handshake and the first message over a path that loses packets, in virtual time.
#![allow(clippy::unwrap_used)]

use bytes::{Bytes, BytesMut};
use quinn_proto::{
    ClientConfig, Connection, ConnectionEvent, ConnectionHandle, DatagramEvent, Dir, Endpoint,
    EndpointConfig, Event, ServerConfig, StreamEvent, Transmit, TransportConfig,
    crypto::rustls::{QuicClientConfig, QuicServerConfig},
};
use rustls::pki_types::PrivateKeyDer;
use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

/// How long a server waits for the handshake by default, and then twice as long for the join.
const HANDSHAKE: Duration = Duration::from_secs(5);
const ONE_WAY: Duration = Duration::from_millis(30);
/// Packets in both directions up to the join, if some are lost.
const PACKETS: u64 = 14;

/// One end.
struct Side {
    endpoint: Endpoint,
    connection: Option<(ConnectionHandle, Connection)>,
    address: SocketAddr,
}

/// A client that joins a server, and the path between them.
struct Path {
    start: Instant,
    now: Instant,
    sides: [Side; 2],
    /// By arrival: to which side.
    under_way: BTreeMap<(Instant, u64), (usize, Bytes)>,
    sent: u64,
    /// Which packets are lost, counted from 1.
    lost: [u64; 3],
    /// When the server first heard from the client, completed its handshake, and received its join.
    seen: [Option<Instant>; 3],
}

/// Both configurations. TLS is set up once for all joins.
struct Setup {
    server: ServerConfig,
    client: ClientConfig,
}

fn setup() -> Setup {
    let transport = |mut config: TransportConfig| {
        // Loss is up to the path alone.
        config.mtu_discovery_config(None);
        Arc::new(config)
    };
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls13 = &[&rustls::version::TLS13];
    let tls = rustls::ServerConfig::builder_with_provider(provider.clone());
    let tls = tls.with_protocol_versions(tls13).unwrap().with_no_client_auth();
    let tls = tls.with_single_cert(vec![cert.der().clone()], key).unwrap();
    let mut server = ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls).unwrap()));
    server.transport_config(transport(driftless_quic::transport_config()));
    let mut roots = rustls::RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    let tls = rustls::ClientConfig::builder_with_provider(provider);
    let tls = tls.with_protocol_versions(tls13).unwrap().with_root_certificates(roots).with_no_client_auth();
    let mut client = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()));
    client.transport_config(transport(driftless_quic::transport_config()));
    Setup { server, client }
}

impl Path {
    fn new(setup: &Setup, lost: [u64; 3]) -> Self {
        let now = Instant::now();
        let endpoint = |server: Option<ServerConfig>, port| Side {
            endpoint: Endpoint::new(
                Arc::new(EndpointConfig::default()),
                server.map(Arc::new),
                false,
                Some([port as u8; 32]),
            ),
            connection: None,
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
        };
        let mut sides = [endpoint(None, 1), endpoint(Some(setup.server.clone()), 2)];
        let server = sides[1].address;
        let connection = sides[0].endpoint.connect(now, setup.client.clone(), server, "localhost").unwrap();
        sides[0].connection = Some(connection);
        Self { start: now, now, sides, under_way: BTreeMap::new(), sent: 0, lost, seen: [None; 3] }
    }

    /// Runs until the join arrives. Returns how long the server waited for the handshake, and then for the
    /// join.
    fn join(mut self) -> [Duration; 2] {
        while self.seen[2].is_none() {
            self.drive(0);
            self.drive(1);
            let timers = self.sides.iter_mut().filter_map(|side| side.connection.as_mut()?.1.poll_timeout());
            let arrival = self.under_way.first_key_value().map(|(&(at, _), _)| at);
            self.now = timers.chain(arrival).min().unwrap().max(self.now);
            assert!(self.now - self.start < Duration::from_secs(60), "lost for good");
            while let Some(next) = self.under_way.first_entry().filter(|next| next.key().0 <= self.now) {
                let (to, datagram) = next.remove();
                self.arrive(to, datagram);
            }
            for side in &mut self.sides {
                let Some((_, connection)) = &mut side.connection else { continue };
                if connection.poll_timeout().is_some_and(|at| at <= self.now) {
                    connection.handle_timeout(self.now);
                }
            }
        }
        let [heard, shaken, joined] = self.seen.map(Option::unwrap);
        [shaken - heard, joined - shaken]
    }

    fn arrive(&mut self, to: usize, datagram: Bytes) {
        let from = self.sides[1 - to].address;
        let Side { endpoint, connection, .. } = &mut self.sides[to];
        let mut answer = Vec::new();
        let datagram = BytesMut::from(&datagram[..]);
        match endpoint.handle(self.now, from, None, None, datagram, &mut answer) {
            Some(DatagramEvent::NewConnection(incoming)) => {
                self.seen[0].get_or_insert(self.now);
                *connection = Some(endpoint.accept(incoming, self.now, &mut answer, None).unwrap());
            }
            Some(DatagramEvent::ConnectionEvent(_, event)) => {
                connection.as_mut().unwrap().1.handle_event(event);
            }
            Some(DatagramEvent::Response(transmit)) => self.send(1 - to, &transmit, &answer),
            None => {}
        }
    }

    /// Lets one end do what it can do now.
    fn drive(&mut self, index: usize) {
        loop {
            let Side { endpoint, connection: Some((handle, connection)), .. } = &mut self.sides[index] else {
                return;
            };
            while let Some(event) = connection.poll_endpoint_events() {
                let back: Option<ConnectionEvent> = endpoint.handle_event(*handle, event);
                back.into_iter().for_each(|event| connection.handle_event(event));
            }
            while let Some(event) = connection.poll() {
                match (index, event) {
                    (0, Event::Connected) => {
                        let stream = connection.streams().open(Dir::Bi).unwrap();
                        connection.send_stream(stream).write(&[7; 60]).unwrap();
                    }
                    (1, Event::Connected) => self.seen[1] = Some(self.now),
                    (1, Event::Stream(StreamEvent::Opened { .. })) => self.seen[2] = Some(self.now),
                    (_, Event::ConnectionLost { reason }) => panic!("{reason}"),
                    _ => {}
                }
            }
            let mut datagram = Vec::new();
            let Some(transmit) = connection.poll_transmit(self.now, 1, &mut datagram) else { return };
            self.send(1 - index, &transmit, &datagram);
        }
    }

    fn send(&mut self, to: usize, transmit: &Transmit, datagram: &[u8]) {
        self.sent += 1;
        if !self.lost.contains(&self.sent) {
            let at = (self.now + ONE_WAY, self.sent);
            self.under_way.insert(at, (to, Bytes::copy_from_slice(&datagram[..transmit.size])));
        }
    }
}

#[test]
fn joins_are_in_time_whichever_three_packets_are_lost() {
    let setup = setup();
    for a in 1..=PACKETS {
        for b in a..=PACKETS {
            for c in b..=PACKETS {
                let [handshake, join] = Path::new(&setup, [a, b, c]).join();
                assert!(handshake < HANDSHAKE, "{a}, {b} and {c} are lost: {handshake:?}");
                assert!(join < 2 * HANDSHAKE, "{a}, {b} and {c} are lost: {join:?} after the handshake");
            }
        }
    }
}
