//! Captures what is logged on the test's thread.

use std::{
    io,
    sync::{Arc, Mutex},
};
use tracing::{Level, subscriber::DefaultGuard};

#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Keeps warnings until the guard is dropped.
    pub fn start(&self) -> DefaultGuard {
        let log = self.clone();
        let writer = move || log.clone();
        let format = tracing_subscriber::fmt().with_ansi(false).with_max_level(Level::WARN);
        tracing::subscriber::set_default(format.with_writer(writer).finish())
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
