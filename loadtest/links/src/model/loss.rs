//! Loss on the wire: each on its own, or in bursts.

use fastrand::Rng;

/// How much is lost, and in what pattern. Shares are 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Loss {
    /// Each packet is lost with this probability, independently of the others.
    Independent(f64),
    /// Two states, good and bad, each with its own loss (Gilbert, "Capacity of a Burst-Noise Channel", 1960;
    /// Elliott, "Estimates of Error Rates for Codes on Burst-Noise Channels", 1963). A bad stretch is
    /// 1/`leave` packets long on average.
    Bursts {
        /// From good to bad, before a packet.
        enter: f64,
        /// From bad to good, before a packet.
        leave: f64,
        /// Loss while good.
        good: f64,
        /// Loss while bad.
        bad: f64,
    },
}

impl Default for Loss {
    fn default() -> Self {
        Self::Independent(0.0)
    }
}

impl Loss {
    /// The long-run share that is lost.
    #[cfg(test)]
    pub fn mean(&self) -> f64 {
        match *self {
            Self::Independent(share) => share,
            Self::Bursts { enter, leave, good, bad } => {
                let in_bad = if enter + leave > 0.0 { enter / (enter + leave) } else { 0.0 };
                good * (1.0 - in_bad) + bad * in_bad
            }
        }
    }
}

/// Where a way is between good and bad.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LossState {
    bad: bool,
}

impl LossState {
    /// Whether the next packet is lost. Draws two random numbers whatever the pattern, so that the n-th
    /// packet gets the same numbers however the loss was configured before it.
    pub fn draw(&mut self, loss: &Loss, dice: &mut Rng) -> bool {
        let (turn, fate) = (dice.f64(), dice.f64());
        match *loss {
            Loss::Independent(share) => {
                self.bad = false;
                fate < share
            }
            Loss::Bursts { enter, leave, good, bad } => {
                self.bad = if self.bad { turn >= leave } else { turn < enter };
                fate < if self.bad { bad } else { good }
            }
        }
    }
}
