//! Lines on their way to an output that may stop taking them.

use parking_lot::{Condvar, Mutex};
use prometheus_client::metrics::counter::Counter;
use std::{
    io::{self, ErrorKind, Write},
    mem, thread,
    time::{Duration, Instant},
};

/// Most bytes that may wait.
const MAX_WAITING: usize = 1 << 20;
/// Time until the next try when the output is full and non-blocking.
const RETRY: Duration = Duration::from_millis(10);

/// Lines that wait to be written, in bounded memory. Adding a line never waits for the writer.
#[derive(Debug, Default)]
pub(super) struct Lines {
    state: Mutex<State>,
    changed: Condvar,
    dropped: Counter,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<u8>,
    /// Number of these lines.
    lines: u64,
    /// Lines dropped and not yet reported.
    dropped: u64,
    /// Lines that were taken out are being written.
    writing: bool,
}

impl Lines {
    /// Adds a line, or drops it if there is no room left.
    pub(super) fn put(&self, line: &[u8]) {
        let mut state = self.state.lock();
        if state.waiting.len() + line.len() > MAX_WAITING {
            state.dropped += 1;
            self.dropped.inc();
            return;
        }
        state.waiting.extend_from_slice(line);
        state.lines += 1;
        drop(state);
        self.changed.notify_all();
    }

    /// Number of lines dropped since the start.
    pub(super) fn dropped(&self) -> &Counter {
        &self.dropped
    }

    /// Waits for lines, for at most `pause`, and writes them; only one thread may do this. Returns how many
    /// lines were dropped since that was last reported, once lines can be written again.
    pub(super) fn pass_on(&self, sink: &mut impl Write, pause: Duration) -> u64 {
        let mut state = self.state.lock();
        if state.waiting.is_empty() {
            self.changed.wait_for(&mut state, pause);
        }
        if state.waiting.is_empty() {
            return 0;
        }
        let waiting = mem::take(&mut state.waiting);
        let lines = mem::take(&mut state.lines);
        state.writing = true;
        drop(state);
        let written = write_all(sink, &waiting);
        let mut state = self.state.lock();
        state.writing = false;
        self.changed.notify_all();
        match written {
            Ok(()) => mem::take(&mut state.dropped),
            // Nobody will ever read them: the other end is closed.
            Err(_) => {
                state.dropped += lines;
                self.dropped.inc_by(lines);
                0
            }
        }
    }

    /// Waits until all lines are written, for at most `limit`. Returns whether they are.
    pub(super) fn flush(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let mut state = self.state.lock();
        while state.writing || !state.waiting.is_empty() {
            if self.changed.wait_until(&mut state, deadline).timed_out() {
                return false;
            }
        }
        true
    }
}

/// `tracing` formats a whole line and writes it at once.
impl Write for &Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.put(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Like `Write::write_all`, but also works if somebody who shares the output has made it non-blocking.
fn write_all(sink: &mut impl Write, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match sink.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(RETRY),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, mpsc};

    const NOW: Duration = Duration::ZERO;
    const PATIENCE: Duration = Duration::from_secs(60);

    /// Accepts lines while its gate allows, one chunk for each signal from the gate.
    struct Pipe {
        gate: mpsc::Receiver<io::Result<()>>,
        taken: Vec<u8>,
    }

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.gate.recv().unwrap_or_else(|_| Err(ErrorKind::BrokenPipe.into()))?;
            self.taken.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn pipe() -> (mpsc::Sender<io::Result<()>>, Pipe) {
        let (open, gate) = mpsc::channel();
        (open, Pipe { gate, taken: Vec::new() })
    }

    #[test]
    fn lines_arrive_in_order() {
        let (lines, mut sink) = (Lines::default(), Vec::new());
        lines.put(b"one\n");
        lines.put(b"two\n");
        assert_eq!(lines.pass_on(&mut sink, NOW), 0);
        assert_eq!(lines.pass_on(&mut sink, NOW), 0);
        assert_eq!(sink, b"one\ntwo\n");
        assert!(lines.flush(NOW));
    }

    #[test]
    fn what_a_stuck_reader_leaves_no_place_for_is_dropped_and_told_when_it_reads_again() {
        let lines = Arc::new(Lines::default());
        let (open, mut pipe) = pipe();
        lines.put(b"first\n");
        let writer = thread::spawn({
            let lines = lines.clone();
            move || {
                let told = [(); 2].map(|()| lines.pass_on(&mut pipe, PATIENCE));
                (told, pipe.taken)
            }
        });
        while !lines.state.lock().writing {
            thread::yield_now();
        }
        // The writer is stuck, but logging is not.
        let line = [b"x".repeat(1023), b"\n".to_vec()].concat();
        let fit = MAX_WAITING / line.len();
        for _ in 0..fit + 7 {
            lines.put(&line);
        }
        assert_eq!(lines.dropped().get(), 7);
        assert!(!lines.flush(Duration::from_millis(1)), "it waits for ever if it is let");
        open.send(Ok(())).unwrap();
        open.send(Ok(())).unwrap();
        assert!(lines.flush(PATIENCE));
        let (told, taken) = writer.join().unwrap();
        assert_eq!((told, taken.len()), ([7, 0], 6 + fit * line.len()));
    }

    #[test]
    fn lines_that_a_closed_reader_misses_are_counted_and_the_next_are_tried() {
        let (lines, (open, mut pipe)) = (Lines::default(), pipe());
        lines.put(b"one\n");
        lines.put(b"two\n");
        open.send(Err(ErrorKind::BrokenPipe.into())).unwrap();
        assert_eq!(lines.pass_on(&mut pipe, NOW), 0);
        assert_eq!(lines.dropped().get(), 2);
        lines.put(b"three\n");
        open.send(Err(ErrorKind::WouldBlock.into())).unwrap();
        open.send(Ok(())).unwrap();
        assert_eq!(lines.pass_on(&mut pipe, NOW), 2);
        assert_eq!(pipe.taken, b"three\n");
    }
}
