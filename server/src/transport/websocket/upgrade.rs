//! Requests that ask for an upgrade: the routes answer them like any other. If a handler has accepted the
//! upgrade, the connection leaves HTTP.

use super::{hub::Hub, io::Io, socket::Socket};
use crate::{
    connection::{End, PeerRef},
    transport::Stream,
};
use actix_codec::{Encoder, Framed};
use actix_http::{
    HttpMessage as _, Request, Response,
    body::{BodySize, BoxBody, MessageBody, to_bytes},
    h1::{Codec, Message},
};
use actix_service::{Service, ServiceFactory};
use bytes::BytesMut;
use futures_util::future::LocalBoxFuture;
use std::{io, marker::PhantomData, rc::Rc};
use tokio::io::AsyncWriteExt;

/// Marks a request whose connection can leave HTTP.
pub(super) struct Upgradable;

/// Left in the response by a handler that has accepted an upgrade. The hub continues from there.
pub(super) struct Accepted {
    pub(super) peer: PeerRef,
    pub(super) hub: Rc<Hub>,
    pub(super) max_message: usize,
}

/// The actix-http upgrade service around an application's routes. Also its own factory.
pub(crate) struct Upgrade<A, B> {
    app: Rc<A>,
    body: PhantomData<B>,
}

impl<A, B> Upgrade<A, B> {
    /// Sends upgrades through `app`.
    pub(crate) fn new(app: A) -> Self {
        Self { app: Rc::new(app), body: PhantomData }
    }
}

impl<A, B> ServiceFactory<(Request, Framed<Stream, Codec>)> for Upgrade<A, B>
where
    A: ServiceFactory<Request, Config = ()> + 'static,
    A::Service: 'static,
    A::Response: Into<Response<B>>,
    A::Error: Into<Response<BoxBody>>,
    B: MessageBody + 'static,
{
    type Response = ();
    type Error = actix_web::Error;
    type Config = ();
    type Service = Upgrade<A::Service, B>;
    type InitError = A::InitError;
    type Future = LocalBoxFuture<'static, Result<Self::Service, A::InitError>>;

    fn new_service(&self, (): ()) -> Self::Future {
        let app = self.app.new_service(());
        Box::pin(async move { Ok(Upgrade::new(app.await?)) })
    }
}

impl<A, B> Service<(Request, Framed<Stream, Codec>)> for Upgrade<A, B>
where
    A: Service<Request> + 'static,
    A::Response: Into<Response<B>>,
    A::Error: Into<Response<BoxBody>>,
    B: MessageBody + 'static,
{
    type Response = ();
    type Error = actix_web::Error;
    type Future = LocalBoxFuture<'static, Result<(), actix_web::Error>>;

    actix_service::always_ready!();

    fn call(&self, (request, framed): (Request, Framed<Stream, Codec>)) -> Self::Future {
        let app = self.app.clone();
        Box::pin(async move {
            request.extensions_mut().insert(Upgradable);
            let response = match app.call(request).await {
                Ok(response) => response.into().map_into_boxed_body(),
                Err(e) => e.into(),
            };
            let parts = framed.into_parts();
            Ok(answer(response, parts.io, parts.codec, parts.read_buf).await?)
        })
    }
}

async fn answer(
    mut response: Response<BoxBody>,
    mut io: Stream,
    mut codec: Codec,
    read: BytesMut,
) -> io::Result<()> {
    let accepted = response.extensions_mut().remove::<Accepted>();
    let (head, body) = response.into_parts();
    let mut out = BytesMut::new();
    if let Some(Accepted { peer, hub, max_message }) = accepted {
        codec.encode(Message::Item((head, BodySize::None)), &mut out)?;
        let parts = io.into_parts();
        let lost = |e: &io::Error| peer.borrow_mut().end(End::Lost(e.to_string()));
        let (tcp, tls, place) = parts.inspect_err(lost)?;
        hub.insert(Socket::new(Io::new(tcp, tls), read, out, max_message, place), peer);
        return Ok(());
    }
    // Endless answers need a connection that stays with HTTP: here nobody would notice that the reader has
    // gone.
    let body = if body.size() == BodySize::Stream { BoxBody::new(()) } else { body };
    let body = to_bytes(body).await.map_err(|e| io::Error::other(e.to_string()))?;
    codec.encode(Message::Item((head, BodySize::Sized(body.len() as u64))), &mut out)?;
    codec.encode(Message::Chunk(Some(body)), &mut out)?;
    io.write_all(&out).await?;
    io.shutdown().await
}
