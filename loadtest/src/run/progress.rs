//! The live line on standard error. Nothing is shown if that is not a terminal.

use super::control::Control;
use indicatif::{ProgressBar, ProgressStyle};
use std::{
    cell::Cell,
    sync::Arc,
    time::{Duration, Instant},
};

/// The live line.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    control: Arc<Control>,
    clients: usize,
    /// When the rate of states was last computed, and from what count.
    last: Cell<(Instant, u64)>,
}

const REFRESH: Duration = Duration::from_millis(500);

impl Progress {
    /// A line about this run.
    pub fn new(control: &Arc<Control>, clients: usize) -> Self {
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed:>4} {msg}") {
            bar.set_style(style);
        }
        Self { bar, control: control.clone(), clients, last: Cell::new((Instant::now(), 0)) }
    }
    /// Shows what is going on. Cheap when called often.
    pub fn show(&self, what: &str) {
        let (at, states) = self.last.get();
        let elapsed = at.elapsed();
        if elapsed < REFRESH {
            return;
        }
        let now = self.control.states();
        self.last.set((Instant::now(), now));
        let rate = (now - states) as f64 / elapsed.as_secs_f64();
        self.bar.set_message(format!(
            "{what}: {} of {} bots play, {rate:.0} states/s, {} errors",
            self.control.playing(),
            self.clients,
            self.control.violations()
        ));
        self.bar.tick();
    }
    /// Takes the line away.
    pub fn end(&self) {
        self.bar.finish_and_clear();
    }
}
