//! Files watched by tokio.

#![allow(unsafe_code, reason = "the runtime watches a descriptor")]

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    task::{Context, Poll},
};
use tokio::io::{
    Interest,
    unix::{AsyncFd, AsyncFdReadyGuard},
};

/// A file that a task waits on until it is readable.
pub(crate) struct Readable {
    file: AsyncFd<OwnedFd>,
}

impl Readable {
    /// Watches a file, which must be non-blocking, until this is dropped.
    pub(crate) fn watch(file: OwnedFd) -> io::Result<Self> {
        // SAFETY: the watcher owns the file, so it stays open and the same for as long.
        let file = unsafe { AsyncFd::register_with_interest(file, Interest::READABLE) }?;
        Ok(Self { file })
    }

    /// Ready: the file has become readable since the guard's last
    /// [`clear_ready`](AsyncFdReadyGuard::clear_ready). Otherwise the task is woken when it does.
    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<AsyncFdReadyGuard<'_, OwnedFd>> {
        match self.file.poll_read_ready(cx) {
            Poll::Ready(Ok(guard)) => Poll::Ready(guard),
            // The runtime is shutting down.
            Poll::Ready(Err(_)) | Poll::Pending => Poll::Pending,
        }
    }
}

impl AsFd for Readable {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.get_ref().as_fd()
    }
}
