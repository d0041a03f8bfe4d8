//! Opens connections: which transports, in which order, and over which socket.

use super::{
    DialError, Endpoint, Transport, TransportKind, Trust, denied, fetch,
    head_start::head_start,
    preference::Preference,
    quic::Quic,
    race::{Won, race},
    target::Target,
    trust,
    websocket::WebSocket,
};
use crate::{Options, runtime::now};
use driftless_proto::{
    limits::{ALPN, SUBPROTOCOL},
    wire,
};
use quinn::{ConnectionError, crypto::rustls::QuicClientConfig};
use std::{
    borrow::Cow,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use web_transport_quinn::{
    ClientError, ConnectError, Session,
    http::{HeaderValue, header::AUTHORIZATION},
    proto::{ConnectError::WrongStatus, ConnectRequest},
};

/// Longest time for the handshakes with a node to which the client was sent.
const NODE_TIMEOUT: Duration = Duration::from_secs(2);
/// Time between attempts of one transport at the addresses of one name (RFC 8305 section 5).
const ADDRESS_HEAD_START: Duration = Duration::from_millis(250);

/// An open connection.
#[derive(Debug)]
pub struct Dialed {
    /// The connection.
    pub transport: Transport,
    /// The token that the server has yet to be shown
    /// ([`ClientCore::set_identity_token`](crate::ClientCore::set_identity_token)); empty if there is none,
    /// or if the request for the connection has shown it.
    pub token: String,
}

/// What a client keeps between dials. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Dialer {
    kept: Arc<Mutex<Kept>>,
}

#[derive(Debug, Default)]
struct Kept {
    endpoint: Option<Endpoint>,
    preference: Preference,
    /// The last measured round trip to the server.
    round_trip: Option<Duration>,
    /// The fallback transport that was last logged.
    told: Option<TransportKind>,
    /// The token that the server was shown last.
    shown: String,
}

impl Dialer {
    /// Opens a connection over the first transport that works: to this node, or as the options say.
    pub(crate) async fn dial(
        &self,
        options: &Options,
        node: Option<&wire::Moved>,
    ) -> Result<Dialed, DialError> {
        let target = Target::parse(&options.url)?;
        let target = node.map_or(Ok(target.clone()), |node| target.moved(&node.url, &node.quic))?;
        let order = self.with(|kept| kept.preference.order(now(), &options.transports));
        if order.is_empty() {
            return Err(target.bad("there are no transports to try: Options::transports is empty"));
        }
        let token = match &options.token {
            Some(source) => source.clone().get(options.connect_timeout).await?,
            None => String::new(),
        };
        self.with(|kept| kept.shown.clone_from(&token));
        let room: &[_] = &[("room", options.room.as_str()), ("kind", &options.kind)];
        let target = target.asking(&[("traceparent", &options.traceparent)]);
        let target = if token.is_empty() { target } else { target.asking(room) };
        let attempts = order.iter().map(|&kind| self.attempt(kind, &target, options, &token));
        let fetches = options.trust.fetches();
        let head_start = |index: usize| {
            self.with(|kept| head_start(order[index], fetches, kept.round_trip, options.head_start))
        };
        let began = now();
        match race(attempts, head_start).await {
            Ok(Won { index, with, errors }) => {
                let kind = order[index];
                self.with(|kept| kept.preference.worked(now(), kind));
                if let Some(&wanted) = options.transports.first() {
                    let error = errors.iter().find(|(kind, _)| *kind == wanted).map(|(_, error)| error);
                    let reason = match error {
                        Some(error) => error.to_string(),
                        None => format!("no connection within {:?}", now() - began),
                    };
                    self.tell(wanted, kind, order[0] == wanted, &reason);
                }
                // The others have shown it with their requests.
                let token = if kind == TransportKind::Quic { token } else { String::new() };
                Ok(Dialed { transport: with, token })
            }
            Err(errors) => Err(DialError::all(errors)),
        }
    }

    /// The token that the server was shown last.
    pub(crate) fn shown(&self) -> String {
        self.with(|kept| kept.shown.clone())
    }

    /// A round trip to the server took this long.
    pub(crate) fn saw_round_trip(&self, round_trip: Duration) {
        self.with(|kept| kept.round_trip = Some(round_trip));
    }

    /// Logs once which transport a player got instead of the preferred one, and why, because nothing else
    /// shows it.
    fn tell(&self, wanted: TransportKind, got: TransportKind, was_tried: bool, reason: &str) {
        let told = self.with(|kept| std::mem::replace(&mut kept.told, Some(got).filter(|_| got != wanted)));
        if got != wanted && was_tried && told != Some(got) {
            tracing::warn!(%wanted, %got, reason, "fell back to another transport");
        }
    }

    /// The socket of current or earlier QUIC and WebTransport connections.
    pub(crate) fn endpoint(&self) -> Option<Endpoint> {
        self.with(|kept| kept.endpoint.clone())
    }

    async fn attempt(
        &self,
        kind: TransportKind,
        target: &Target,
        options: &Options,
        token: &str,
    ) -> Result<Transport, (TransportKind, DialError)> {
        let open = async {
            match kind {
                TransportKind::WebSocket => {
                    let socket =
                        WebSocket::open(target, options.trust.at(target), options.max_message_bytes, token)
                            .await?;
                    Ok(Transport::WebSocket(Box::new(socket)))
                }
                TransportKind::Quic | TransportKind::WebTransport => {
                    let endpoint = self.use_endpoint(options).map_err(|e| target.unreachable(e))?;
                    Ok(Transport::Quic(Box::new(self.open(kind, &endpoint, target, options, token).await?)))
                }
            }
        };
        // A node that does not answer may be dead: then another has the room soon.
        let after = options.connect_timeout.min(if target.is_node() { NODE_TIMEOUT } else { Duration::MAX });
        let timed_out = || DialError::TimedOut { address: target.address(), after };
        let opened = tokio::time::timeout(after, open).await;
        opened.unwrap_or_else(|_| Err(timed_out())).map_err(|error| (kind, error))
    }

    /// The socket that the options name, or this client's own.
    fn use_endpoint(&self, options: &Options) -> io::Result<Endpoint> {
        self.with(|kept| {
            let endpoint = match (&options.endpoint, &kept.endpoint) {
                (Some(shared), _) => shared.clone(),
                (None, Some(own)) => own.clone(),
                (None, None) => Endpoint::new()?,
            };
            kept.endpoint = Some(endpoint.clone());
            Ok(endpoint)
        })
    }

    /// A QUIC or WebTransport connection with its reliable stream.
    async fn open(
        &self,
        kind: TransportKind,
        endpoint: &Endpoint,
        target: &Target,
        options: &Options,
        token: &str,
    ) -> Result<Quic, DialError> {
        let fetched;
        let trust = options.trust.at(target);
        let (trust, host, port) = if options.trust.fetches() {
            fetched = fetch::listed(target, trust, |round_trip| self.saw_round_trip(round_trip)).await?;
            let host = fetched.host.as_deref().unwrap_or(target.name());
            // Only over TLS is it the server that says so.
            let is_signed = target.is_secure() && !fetched.hashes_needed;
            let hashes = || Cow::Owned(Trust::Sha256(fetched.hashes.clone()));
            (if is_signed { Cow::Borrowed(trust) } else { hashes() }, host, fetched.port)
        } else {
            let (host, port) = target.quic();
            (Cow::Borrowed(trust), host, port)
        };
        let alpn = if kind == TransportKind::Quic { ALPN } else { web_transport_quinn::ALPN };
        let tls = trust::client_config(&trust, alpn.as_bytes())
            .and_then(|config| QuicClientConfig::try_from(config).map(Arc::new).map_err(|e| e.to_string()));
        let tls = tls.map_err(|reason| DialError::Untrusted { address: target.address(), reason })?;

        let found = tokio::net::lookup_host((host, port)).await.map_err(|e| target.unreachable(e))?;
        let attempts = found.map(|address| shake_hands(endpoint, tls.clone(), address, target));
        let won = race(attempts, |_| ADDRESS_HEAD_START).await.map_err(|mut errors| {
            errors.pop().unwrap_or_else(|| target.unreachable("the name has no address"))
        })?;
        let session = match kind {
            TransportKind::WebTransport => connect_session(won.with, target, token).await?,
            _ => Session::raw(won.with),
        };
        Quic::open(session, kind, options.max_message_bytes).await.map_err(|e| target.unreachable(e))
    }

    fn with<T>(&self, what: impl FnOnce(&mut Kept) -> T) -> T {
        what(&mut self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn shake_hands(
    endpoint: &Endpoint,
    tls: Arc<QuicClientConfig>,
    address: SocketAddr,
    target: &Target,
) -> Result<quinn::Connection, DialError> {
    let connecting = endpoint.connect(tls, address, target.quic().0).map_err(|e| target.unreachable(e))?;
    connecting.await.map_err(|error| handshake_error(target, &error))
}

/// The WebTransport session on a new HTTP/3 connection.
async fn connect_session(
    connection: quinn::Connection,
    target: &Target,
    token: &str,
) -> Result<Session, DialError> {
    let address = target.address();
    let url = target.url("https").parse::<url::Url>().map_err(|e| target.bad(e.to_string()))?;
    let mut request = ConnectRequest::new(url).with_protocol(SUBPROTOCOL);
    if !token.is_empty() {
        let value = HeaderValue::from_str(&format!("Bearer {token}"));
        let reason = "it has characters that do not fit in a header".to_owned();
        request = request.with_header(AUTHORIZATION, value.map_err(|_| DialError::NoToken { reason })?);
    }
    let session = Session::connect(connection, request).await.map_err(|error| match error {
        ClientError::HttpError(
            ConnectError::ErrorStatus(status) | ConnectError::ProtoError(WrongStatus(Some(status))),
        ) => refused(address.clone(), status.as_u16()),
        ClientError::Connection(error) => handshake_error(target, &error),
        error => DialError::NotDriftless { address: address.clone(), reason: error.to_string() },
    })?;
    match session.protocol() {
        Some(SUBPROTOCOL) => Ok(session),
        other => {
            Err(DialError::NotDriftless { address, reason: format!("it chose the subprotocol {other:?}") })
        }
    }
}

/// A refusal without a body. There is no proxy between: the server itself has said it.
fn refused(address: String, status: u16) -> DialError {
    let (name, reason) = (status.to_string(), "the token is not good, or does not allow it".to_owned());
    match denied::code(status) {
        Some(code) => DialError::Denied { address, code, name, reason },
        None => DialError::Refused { address, status, body: String::new() },
    }
}

fn handshake_error(target: &Target, error: &ConnectionError) -> DialError {
    /// TLS alerts (RFC 8446 section 6) as QUIC's error codes (RFC 9001 section 4.8).
    const BAD_CERTIFICATE: u64 = 0x100 + 42;
    const UNKNOWN_CA: u64 = 0x100 + 48;
    const ACCESS_DENIED: u64 = 0x100 + 49;
    const DECRYPT_ERROR: u64 = 0x100 + 51;
    const NO_APPLICATION_PROTOCOL: u64 = 0x100 + 120;
    let (address, reason) = (target.address(), error.to_string());
    let code = match error {
        ConnectionError::TransportError(error) => u64::from(error.code),
        ConnectionError::ConnectionClosed(close) => u64::from(close.error_code),
        _ => 0,
    };
    match code {
        BAD_CERTIFICATE..=UNKNOWN_CA | ACCESS_DENIED | DECRYPT_ERROR => {
            DialError::Untrusted { address, reason }
        }
        NO_APPLICATION_PROTOCOL => DialError::NotDriftless { address, reason },
        _ => DialError::Unreachable { address, reason },
    }
}
