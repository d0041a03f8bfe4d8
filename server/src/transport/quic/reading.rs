//! Sockets that can stop being read while they are still written to: what comes then is for another process.

use quinn::{
    AsyncUdpSocket, UdpPoller,
    udp::{RecvMeta, Transmit},
};
use std::{
    io::{self, IoSliceMut},
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

/// Whether a server's sockets are read.
#[derive(Debug, Clone, Default)]
pub(super) struct Reading(Arc<AtomicBool>);

#[derive(Debug)]
struct Socket {
    inner: Arc<dyn AsyncUdpSocket>,
    stopped: Reading,
}

impl Reading {
    /// A socket that is read until [`stop`](Self::stop).
    pub(super) fn of(&self, inner: Arc<dyn AsyncUdpSocket>) -> Arc<dyn AsyncUdpSocket> {
        Arc::new(Socket { inner, stopped: self.clone() })
    }

    /// Nothing is read any more.
    pub(super) fn stop(&self) {
        self.0.store(true, Relaxed);
    }
}

impl AsyncUdpSocket for Socket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        self.inner.clone().create_io_poller()
    }
    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.inner.try_send(transmit)
    }
    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        match self.stopped.0.load(Relaxed) {
            true => Poll::Pending,
            false => self.inner.poll_recv(cx, bufs, meta),
        }
    }
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }
    fn max_transmit_segments(&self) -> usize {
        self.inner.max_transmit_segments()
    }
    fn max_receive_segments(&self) -> usize {
        self.inner.max_receive_segments()
    }
    fn may_fragment(&self) -> bool {
        self.inner.may_fragment()
    }
}
