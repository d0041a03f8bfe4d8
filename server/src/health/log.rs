//! Whether log lines are dropped.

/// Seconds without a dropped line after which all is well again.
const QUIET: u32 = 60;

/// Judges the log by the lines that were dropped.
#[derive(Debug, Default)]
pub(super) struct Log {
    dropped: u64,
    /// Lines dropped in the current run of losses.
    lost: u64,
    /// Seconds since the last loss.
    quiet: u32,
}

impl Log {
    /// Called every second with the number of lines dropped since the start. Returns what is wrong.
    pub(super) fn judge(&mut self, dropped: u64) -> Option<String> {
        let more = dropped - std::mem::replace(&mut self.dropped, dropped);
        self.lost += more;
        self.quiet = if more > 0 { 0 } else { self.quiet.saturating_add(1) };
        if self.quiet >= QUIET {
            self.lost = 0;
        }
        (self.lost > 0).then(|| {
            format!(
                "{} log lines were dropped, the last {} s ago: whoever reads standard error is too slow, or gone",
                self.lost, self.quiet
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_is_told_for_a_minute() {
        let mut log = Log::default();
        assert_eq!(log.judge(0), None);
        assert!(log.judge(3).is_some_and(|why| why.starts_with("3 log lines")));
        for second in 1..60 {
            assert!(log.judge(3).is_some_and(|why| why.contains(&format!("{second} s ago"))));
        }
        assert_eq!(log.judge(3), None);
        assert!(log.judge(4).is_some_and(|why| why.starts_with("1 log lines")));
    }
}
