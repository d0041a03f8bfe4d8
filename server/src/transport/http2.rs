//! HTTP/2, for clients that ask for it in the TLS handshake: a browser opens six connections to a host at
//! most with HTTP/1.1, so a page with a few streams of events would have none left. WebSockets stay with
//! HTTP/1.1.
//!
//! (Why not that of actix-http: it sets no limit to the number of requests at a time, nor to the length of
//! their heads, and each is a task that outlives the connection.)

use super::{Stream, lease};
use actix_http::{
    Payload, Request, Response,
    body::{BodySize, BoxBody, MessageBody},
    error::{DispatchError, PayloadError},
    header::{self, HeaderName},
};
use actix_rt::time::{sleep, timeout};
use actix_service::{Service, ServiceFactory};
use bytes::Bytes;
use futures_util::{StreamExt as _, future::LocalBoxFuture, stream::FuturesUnordered, stream::unfold};
use h2::{
    Reason, RecvStream, SendStream,
    server::{Builder, Connection, SendResponse},
};
use std::{
    future::poll_fn,
    io,
    marker::PhantomData,
    net::SocketAddr,
    pin::pin,
    rc::Rc,
    time::{Duration, SystemTime},
};

/// Requests that a connection may have at a time.
const AT_A_TIME: u32 = 100;
/// Longest head of a request, bytes. (A longer one than all requests may have is answered with 431.)
const MAX_HEAD: u32 = 32 << 10;
/// Bytes of all bodies that a connection may send before they are read.
const RECEIVE_WINDOW: u32 = 64 << 10;
/// Bytes of an answer that wait for the client to read.
const SEND_BUFFER: usize = 32 << 10;
/// Headers that belong to HTTP/1.1 (RFC 9113, section 8.2.2).
const OF_HTTP1: [&str; 5] = ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"];

/// How long a client may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// To begin.
    pub handshake: Duration,
    /// For a request.
    pub request: Duration,
    /// Between requests.
    pub idle: Duration,
}

/// A service that speaks HTTP/2, around an application's routes. Also its own factory.
pub(crate) struct Http2<A, B> {
    app: Rc<A>,
    patience: Patience,
    body: PhantomData<B>,
}

impl<A, B> Http2<A, B> {
    /// Sends requests through `app`.
    pub(crate) fn new(app: A, patience: Patience) -> Self {
        Self { app: Rc::new(app), patience, body: PhantomData }
    }
}

/// A connection whose TLS handshake is over.
type Connected = (Stream, SocketAddr);

impl<A, B> ServiceFactory<Connected> for Http2<A, B>
where
    A: ServiceFactory<Request, Config = ()> + 'static,
    A::Service: 'static,
    A::Response: Into<Response<B>>,
    A::Error: Into<Response<BoxBody>>,
    B: MessageBody + 'static,
{
    type Response = ();
    type Error = DispatchError;
    type Config = ();
    type Service = Http2<A::Service, B>;
    type InitError = A::InitError;
    type Future = LocalBoxFuture<'static, Result<Self::Service, A::InitError>>;

    fn new_service(&self, (): ()) -> Self::Future {
        let (app, patience) = (self.app.new_service(()), self.patience);
        Box::pin(async move { Ok(Http2::new(app.await?, patience)) })
    }
}

impl<A, B> Service<Connected> for Http2<A, B>
where
    A: Service<Request> + 'static,
    A::Response: Into<Response<B>>,
    A::Error: Into<Response<BoxBody>>,
    B: MessageBody + 'static,
{
    type Response = ();
    type Error = DispatchError;
    type Future = LocalBoxFuture<'static, Result<(), DispatchError>>;

    actix_service::always_ready!();

    fn call(&self, (stream, peer): Connected) -> Self::Future {
        let (app, patience) = (self.app.clone(), self.patience);
        Box::pin(async move {
            let mut builder = Builder::new();
            builder
                .max_concurrent_streams(AT_A_TIME)
                .max_header_list_size(MAX_HEAD)
                .initial_window_size(RECEIVE_WINDOW)
                .initial_connection_window_size(RECEIVE_WINDOW)
                .max_send_buffer_size(SEND_BUFFER);
            let shaken = timeout(patience.handshake, builder.handshake(stream)).await;
            let connection = shaken.map_err(|_| DispatchError::DisconnectTimeout)?.map_err(broken)?;
            serve(connection, peer, &*app, patience).await
        })
    }
}

/// Serves a connection until it ends, or nothing is asked for. Its requests end with it.
async fn serve<A, B>(
    mut connection: Connection<Stream, Bytes>,
    peer: SocketAddr,
    app: &A,
    patience: Patience,
) -> Result<(), DispatchError>
where
    A: Service<Request>,
    A::Response: Into<Response<B>>,
    A::Error: Into<Response<BoxBody>>,
    B: MessageBody + 'static,
{
    let mut answers = FuturesUnordered::new();
    let mut idle = pin!(sleep(patience.idle));
    loop {
        tokio::select! {
            asked = connection.accept() => {
                let Some(asked) = asked else { return Ok(()) };
                let (request, respond) = asked.map_err(broken)?;
                answers.push(lease::hold(patience.request, answer(app, request, peer, respond)));
            }
            Some(_) = answers.next() => idle.as_mut().reset(tokio::time::Instant::now() + patience.idle),
            () = &mut idle, if answers.is_empty() => {
                connection.graceful_shutdown();
                // What the client has sent meanwhile is still answered, by another connection.
                let _ = timeout(patience.handshake, poll_fn(|context| connection.poll_closed(context))).await;
                return Ok(());
            }
        }
    }
}

async fn answer<A, B>(
    app: &A,
    request: http::Request<RecvStream>,
    peer: SocketAddr,
    mut respond: SendResponse<Bytes>,
) -> Result<(), DispatchError>
where
    A: Service<Request>,
    A::Response: Into<Response<B>>,
    A::Error: Into<Response<BoxBody>>,
    B: MessageBody + 'static,
{
    let is_head = request.method() == http::Method::HEAD;
    let answered = match poll_fn(|context| app.poll_ready(context)).await {
        Ok(()) => app.call(translate(request, peer)).await,
        Err(error) => Err(error),
    };
    match answered {
        Ok(response) => send(response.into(), is_head, &mut respond).await,
        Err(error) => send(error.into(), is_head, &mut respond).await,
    }
}

fn translate(request: http::Request<RecvStream>, peer: SocketAddr) -> Request {
    let (parts, body) = request.into_parts();
    let payload = if body.is_end_stream() { Payload::None } else { received(body) };
    let mut request = Request::with_payload(payload);
    let head = request.head_mut();
    (head.uri, head.method, head.version) = (parts.uri, parts.method, parts.version);
    head.headers = parts.headers.into();
    head.peer_addr = Some(peer);
    request
}

/// A body, whose parts may follow when those before them have been taken.
fn received(body: RecvStream) -> Payload {
    let parts = unfold(body, |mut body| async move {
        let part = match body.data().await? {
            Ok(part) => body.flow_control().release_capacity(part.len()).map(|()| part),
            Err(error) => Err(error),
        };
        Some((part.map_err(|error| PayloadError::Io(io::Error::other(error))), body))
    });
    Payload::Stream { payload: Box::pin(parts) }
}

async fn send<B: MessageBody>(
    response: Response<B>,
    is_head: bool,
    respond: &mut SendResponse<Bytes>,
) -> Result<(), DispatchError> {
    let (response, body) = response.into_parts();
    let mut head = http::Response::new(());
    *head.status_mut() = response.status();
    for (name, value) in response.headers() {
        if !OF_HTTP1.contains(&name.as_str()) {
            head.headers_mut().append(name, value.clone());
        }
    }
    let size = body.size();
    if let BodySize::Sized(length) = size
        && !head.headers().contains_key(header::CONTENT_LENGTH)
    {
        head.headers_mut().insert(header::CONTENT_LENGTH, length.into());
    }
    if let Ok(date) = header::HttpDate::from(SystemTime::now()).to_string().parse() {
        head.headers_mut().insert(HeaderName::from_static("date"), date);
    }
    let ends = is_head || size.is_eof();
    let stream = respond.send_response(head, ends).map_err(broken)?;
    if ends { Ok(()) } else { send_body(body, stream).await }
}

/// Takes a part of the body when the client has room for it: a slow one delays nothing but its own.
async fn send_body<B: MessageBody>(body: B, mut stream: SendStream<Bytes>) -> Result<(), DispatchError> {
    let mut body = pin!(body);
    loop {
        // A client that does not want it any more is noticed while there is nothing to send, too.
        let part = tokio::select! {
            part = poll_fn(|context| body.as_mut().poll_next(context)) => part,
            _ = poll_fn(|context| stream.poll_reset(context)) => return Ok(()),
        };
        let Some(part) = part else { break };
        let Ok(mut part) = part else {
            stream.send_reset(Reason::INTERNAL_ERROR);
            return Ok(());
        };
        while !part.is_empty() {
            stream.reserve_capacity(part.len());
            let Some(room) = poll_fn(|context| stream.poll_capacity(context)).await else { return Ok(()) };
            let room = room.map_err(broken)?.min(part.len());
            stream.send_data(part.split_to(room), false).map_err(broken)?;
        }
    }
    stream.send_data(Bytes::new(), true).map_err(broken)
}

fn broken(error: h2::Error) -> DispatchError {
    DispatchError::Io(io::Error::other(error))
}
