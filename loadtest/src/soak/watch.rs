//! What is sampled of the server: what its process holds, and how many it says there are of each.

use super::Failure;
use crate::{
    process::{Holdings, Process},
    server::{Api, Population},
};
use std::{io::Write, time::Duration};

/// The server at one moment.
#[derive(Debug, Clone, Copy, Default)]
pub struct Look {
    /// Since the first bot, hours.
    pub hours: f64,
    /// By the kernel.
    pub holds: Holdings,
    /// By its metrics.
    pub has: Population,
}

/// A series, and what it is called.
pub struct Series {
    /// Its name in the figures.
    pub name: &'static str,
    /// Its value.
    pub of: fn(&Look) -> f64,
}

/// Everything that must not grow.
pub const SERIES: [Series; 8] = [
    Series { name: "rss_bytes", of: |look| look.holds.rss as f64 },
    Series { name: "anonymous_bytes", of: |look| look.holds.anonymous as f64 },
    Series { name: "threads", of: |look| look.holds.threads as f64 },
    // How many bots are connected just now is not of interest.
    Series {
        name: "descriptors_beside_websockets",
        of: |look| look.holds.descriptors as f64 - look.has.websockets as f64,
    },
    Series { name: "connections", of: |look| look.has.connections as f64 },
    Series { name: "players", of: |look| look.has.players as f64 },
    Series { name: "spectators", of: |look| look.has.spectators as f64 },
    Series { name: "rooms", of: |look| look.has.rooms as f64 },
];

impl Look {
    /// Looks at the server now.
    pub fn at(since: Duration, process: Process, api: &Api) -> Result<Self, Failure> {
        let has = api.population()?;
        Ok(Self { hours: since.as_secs_f64() / 3600.0, holds: process.holdings()?, has })
    }
    /// Its line of the CSV.
    pub fn write(&self, out: &mut impl Write) -> std::io::Result<()> {
        write!(out, "{:.1}", self.hours * 3600.0)?;
        SERIES.iter().try_for_each(|series| write!(out, ",{}", (series.of)(self)))?;
        writeln!(out)?;
        out.flush()
    }
}

/// The first line of the CSV.
pub fn heading() -> String {
    let names: Vec<_> = SERIES.iter().map(|series| series.name).collect();
    format!("seconds,{}\n", names.join(","))
}
