//! HTTP/2, for clients that ask for it in the TLS handshake: a browser opens six connections to a host at
//! most with HTTP/1.1, so a page with a few streams of events would have none left. WebSockets stay with
//! HTTP/1.1.
//!
//! (Why not that of actix-http: it sets no limit to the number of requests at a time, nor to the length of
//! their heads, and each is a task that outlives the connection.)

use super::{Stream, lease};
use crate::{
    door::Door,
    ground::{api_error::ApiError, shares::Share},
};
use actix_http::{
    Method, Payload, Request, Response,
    body::{BodySize, BoxBody, MessageBody},
    error::{DispatchError, PayloadError},
    header::{self, HeaderName},
};
use actix_rt::time::{sleep, timeout};
use actix_service::{Service, ServiceFactory};
use actix_web::ResponseError as _;
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
    sync::Arc,
    time::{Duration, SystemTime},
};

/// Requests that a connection may have at a time. (A source has a limit for all its connections: see
/// [`Door::request`].)
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
    door: Arc<Door>,
    body: PhantomData<B>,
}

impl<A, B> Http2<A, B> {
    /// Sends requests through `app`, of each source as many at a time as `door` lets in.
    pub(crate) fn new(app: A, patience: Patience, door: Arc<Door>) -> Self {
        Self { app: Rc::new(app), patience, door, body: PhantomData }
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
        let (app, patience, door) = (self.app.new_service(()), self.patience, self.door.clone());
        Box::pin(async move { Ok(Http2::new(app.await?, patience, door)) })
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
        let (app, patience, door) = (self.app.clone(), self.patience, self.door.clone());
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
            serve(connection, peer, &*app, patience, &door).await
        })
    }
}

/// Serves a connection until it ends, or nothing is asked for. Its requests end with it.
async fn serve<A, B>(
    mut connection: Connection<Stream, Bytes>,
    peer: SocketAddr,
    app: &A,
    patience: Patience,
    door: &Door,
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
                let request = translate(request, peer);
                match door.request(peer, &request.head().headers) {
                    Ok(share) => {
                        answers.push(lease::hold(patience.request, answer(app, request, respond, share)));
                    }
                    Err(refused) => refuse(&refused, respond)?,
                }
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
    request: Request,
    mut respond: SendResponse<Bytes>,
    _share: Share,
) -> Result<(), DispatchError>
where
    A: Service<Request>,
    A::Response: Into<Response<B>>,
    A::Error: Into<Response<BoxBody>>,
    B: MessageBody + 'static,
{
    let is_head = request.method() == Method::HEAD;
    let answered = match poll_fn(|context| app.poll_ready(context)).await {
        Ok(()) => app.call(request).await,
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

/// Answers without the application, and keeps nothing: a client that has no room for the answer gets only the
/// code of HTTP/2 for a request that was not looked at.
fn refuse(refused: &ApiError, mut respond: SendResponse<Bytes>) -> Result<(), DispatchError> {
    let (response, body) = refused.error_response().into_parts();
    let body = body.try_into_bytes().unwrap_or_default();
    let head = head(&response.into(), BodySize::Sized(body.len() as u64));
    let mut stream = respond.send_response(head, false).map_err(broken)?;
    stream.reserve_capacity(body.len());
    if stream.capacity() < body.len() {
        stream.send_reset(Reason::REFUSED_STREAM);
        return Ok(());
    }
    stream.send_data(body, true).map_err(broken)
}

async fn send<B: MessageBody>(
    response: Response<B>,
    is_head: bool,
    respond: &mut SendResponse<Bytes>,
) -> Result<(), DispatchError> {
    let (response, body) = response.into_parts();
    let size = body.size();
    let ends = is_head || size.is_eof();
    let stream = respond.send_response(head(&response, size), ends).map_err(broken)?;
    if ends { Ok(()) } else { send_body(body, stream).await }
}

/// What an answer begins with.
fn head(response: &Response<()>, size: BodySize) -> http::Response<()> {
    let mut head = http::Response::new(());
    *head.status_mut() = response.status();
    for (name, value) in response.headers() {
        if !OF_HTTP1.contains(&name.as_str()) {
            head.headers_mut().append(name, value.clone());
        }
    }
    if let BodySize::Sized(length) = size
        && !head.headers().contains_key(header::CONTENT_LENGTH)
    {
        head.headers_mut().insert(header::CONTENT_LENGTH, length.into());
    }
    if let Ok(date) = header::HttpDate::from(SystemTime::now()).to_string().parse() {
        head.headers_mut().insert(HeaderName::from_static("date"), date);
    }
    head
}

/// Takes a part of the body when the client has room for some of it: one that does not read delays nothing
/// but its own, and what it does not read is not in memory.
async fn send_body<B: MessageBody>(body: B, mut stream: SendStream<Bytes>) -> Result<(), DispatchError> {
    // The end of a body whose length is known needs no room, and a client may give none after the last byte.
    let mut left = match body.size() {
        BodySize::Sized(length) => length,
        _ => u64::MAX,
    };
    let mut body = pin!(body);
    while left > 0 {
        // Not more than is needed to know that there is room: a connection's streams share it.
        if room(&mut stream, 1).await?.is_none() {
            return Ok(());
        }
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
        left = left.saturating_sub(part.len() as u64);
        while !part.is_empty() {
            let Some(room) = room(&mut stream, part.len()).await? else { return Ok(()) };
            stream.send_data(part.split_to(room.min(part.len())), false).map_err(broken)?;
        }
    }
    stream.send_data(Bytes::new(), true).map_err(broken)
}

/// Waits until the client has room for some of these bytes. None: it wants no more.
async fn room(stream: &mut SendStream<Bytes>, wanted: usize) -> Result<Option<usize>, DispatchError> {
    stream.reserve_capacity(wanted);
    while stream.capacity() == 0 {
        match poll_fn(|context| stream.poll_capacity(context)).await {
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(broken(error)),
            None => return Ok(None),
        }
    }
    Ok(Some(stream.capacity()))
}

fn broken(error: h2::Error) -> DispatchError {
    DispatchError::Io(io::Error::other(error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        cell::Cell,
        convert::Infallible,
        pin::Pin,
        task::{Context, Poll},
    };
    use tokio::task::{JoinHandle, spawn_local, yield_now};

    /// A body of pieces that counts those that were taken.
    struct Pieces {
        left: usize,
        taken: Rc<Cell<usize>>,
        size: BodySize,
    }

    const PIECE: usize = 50_000;

    impl MessageBody for Pieces {
        type Error = Infallible;

        fn size(&self) -> BodySize {
            self.size
        }

        fn poll_next(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Bytes, Infallible>>> {
            if self.left == 0 {
                return Poll::Ready(None);
            }
            self.left -= 1;
            self.taken.set(self.taken.get() + 1);
            Poll::Ready(Some(Ok(vec![0; PIECE].into())))
        }
    }

    /// A client with this much room, which has asked for a body, and the server that sends it.
    async fn asked(room: u32, body: Pieces) -> (RecvStream, JoinHandle<Result<(), DispatchError>>) {
        let (here, there) = tokio::io::duplex(1 << 20);
        let server = spawn_local(async move {
            let mut connection = h2::server::handshake(there).await.unwrap();
            let (_, mut respond) = connection.accept().await.unwrap().unwrap();
            let response = Response::ok().set_body(body);
            tokio::select! {
                sent = send(response, false, &mut respond) => {
                    // What was sent has to get there.
                    spawn_local(async move { while connection.accept().await.is_some() {} });
                    sent
                }
                _ = connection.accept() => panic!("nothing more is asked for"),
            }
        });
        let mut builder = h2::client::Builder::new();
        builder.initial_window_size(room).initial_connection_window_size(1 << 24);
        let (mut client, connection) = builder.handshake::<_, Bytes>(here).await.unwrap();
        spawn_local(connection);
        let (answer, _) = client.send_request(http::Request::new(()), true).unwrap();
        (answer.await.unwrap().into_body(), server)
    }

    // Promise 4
    #[actix::test]
    async fn no_part_of_a_body_is_taken_before_the_client_has_room_for_it() {
        for size in [BodySize::Sized(3 * PIECE as u64), BodySize::Stream] {
            let taken = Rc::new(Cell::new(0));
            let (_body, _server) = asked(0, Pieces { left: 3, taken: taken.clone(), size }).await;
            for _ in 0..1_000 {
                yield_now().await;
            }
            assert_eq!(taken.get(), 0);
        }
    }

    #[actix::test]
    async fn a_body_of_known_length_ends_without_room_for_more() {
        let pieces = Pieces { left: 2, taken: Rc::default(), size: BodySize::Sized(2 * PIECE as u64) };
        let (mut body, server) = asked(2 * PIECE as u32, pieces).await;
        let mut got = 0;
        while let Some(part) = body.data().await {
            got += part.unwrap().len();
        }
        assert_eq!(got, 2 * PIECE);
        server.await.unwrap().unwrap();
    }
}
