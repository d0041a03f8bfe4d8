//! Yardstick of the delta codec on recorded movement.
//!
//! ```text
//! cargo run --release -p driftless-benches --bin codec -- cubes cubes_delta_data.bin.zst
//! cargo run --release -p driftless-benches --bin codec -- football football_alfheim_20hz.csv.gz --json -
//! cargo run --release -p driftless-benches --bin codec -- arena
//! ```
//!
//! Every packet is encoded against a baseline some ticks back and a prior twice as far back, decoded, and
//! compared with what it was made of. Then the same packets are timed, encoding and decoding apart. It
//! prints, for each column coding:
//!
//! - bytes a packet: the whole `ServerMessage`, head included, no transport's header; no checksum;
//! - bytes an entity, of the whole message and of the columns alone (the contents of `GroupDelta.packed` or
//!   `.rice`; all of `State.dense`), over all entities that are there, whether they changed or not;
//! - ns an entity to encode and to decode, over all entities that are there: of five passes, the fastest.
//!
//! Recorded data is not part of Driftless; the program takes its place as an argument, packed or unpacked.

mod arena;
mod cubes;
mod football;
mod measure;

use clap::{Parser, Subcommand};
use measure::Figures;
use std::{
    error::Error,
    fs::File,
    io::{BufReader, Read, Write},
    path::{Path, PathBuf},
};

/// Measures the delta codec on recorded movement.
#[derive(Debug, Parser)]
struct Args {
    #[command(subcommand)]
    data: Data,
}

#[derive(Debug, Subcommand)]
enum Data {
    /// 901 cubes, 8 little-endian int32 each, 60 frames per second; the baseline is 6 frames back.
    Cubes(Source),
    /// Football players, CSV of tick,id,x_mm,y_mm at 20 Hz; the baseline is 1, 3 and 6 ticks back.
    Football(Source),
    /// Bots in the arena: a room of 50, and quarters of it as zones; the baseline is 1 and 3 ticks back.
    Arena {
        /// Write the figures as JSON to a file, or to standard output (`-`) instead of the table.
        #[arg(long)]
        json: Option<PathBuf>,
    },
}

#[derive(Debug, clap::Args)]
struct Source {
    /// The recording, compressed (.zst, .gz) or not.
    file: PathBuf,
    /// Write the figures as JSON to a file, or to standard output (`-`) instead of the table.
    #[arg(long)]
    json: Option<PathBuf>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let (json, figures) = match Args::parse().data {
        Data::Cubes(source) => (source.json, cubes::measure(&unpacked(&source.file)?)?),
        Data::Football(source) => (source.json, football::measure(&unpacked(&source.file)?)?),
        Data::Arena { json } => (json, arena::measure()?),
    };
    match json.as_deref() {
        Some(path) if path == Path::new("-") => write_json(std::io::stdout(), &figures),
        Some(path) => {
            print_table(&figures);
            write_json(File::create(path)?, &figures)
        }
        None => {
            print_table(&figures);
            Ok(())
        }
    }
}

/// The whole file, decompressed if its name says so.
fn unpacked(path: &Path) -> Result<Vec<u8>, Box<dyn Error>> {
    let file = BufReader::new(File::open(path).map_err(|e| format!("{}: {e}", path.display()))?);
    let mut bytes = Vec::new();
    match path.extension().and_then(|e| e.to_str()) {
        Some("zst") => {
            ruzstd::decoding::StreamingDecoder::new(file)?.read_to_end(&mut bytes)?;
        }
        Some("gz") => {
            flate2::read::GzDecoder::new(file).read_to_end(&mut bytes)?;
        }
        _ => {
            BufReader::new(file).read_to_end(&mut bytes)?;
        }
    }
    Ok(bytes)
}

fn write_json(mut out: impl Write, figures: &[Figures]) -> Result<(), Box<dyn Error>> {
    serde_json::to_writer_pretty(&mut out, figures)?;
    Ok(writeln!(out)?)
}

fn print_table(figures: &[Figures]) {
    println!(
        "{:<10} {:>8} {:<7} {:>8} {:>9} {:>9} {:>9} {:>9} {:>10} {:>10}",
        "data",
        "baseline",
        "coding",
        "packets",
        "entities",
        "B/packet",
        "B/entity",
        "columns",
        "encode ns",
        "decode ns"
    );
    for f in figures {
        println!(
            "{:<10} {:>8} {:<7} {:>8} {:>9.1} {:>9.1} {:>9.3} {:>9.3} {:>10.1} {:>10.1}",
            f.data,
            f.baseline,
            f.coding,
            f.packets,
            f.entities_per_packet,
            f.bytes_per_packet,
            f.bytes_per_entity,
            f.column_bytes_per_entity,
            f.encode_ns_per_entity,
            f.decode_ns_per_entity
        );
    }
}
