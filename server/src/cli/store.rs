//! `driftless store`: looks into a store whose server does not run, takes rooms out of it, and removes them.

use crate::{
    http,
    room::{
        core::{Carried, restore},
        journal::Frame,
        start,
    },
    store::{self, StoreError, Stored, StoredRoom},
};
use clap::{Args, Subcommand};
use driftless_sim::{
    GameKind, Snapshot,
    checksum::schema_checksum,
    replay::{EndReason, Recorder, RecordingHeader, Scene, SceneError, Start, TickRecord},
};
use serde_json::{Value, json};
use std::{
    fmt::{Display, Write as _},
    fs::OpenOptions,
    io::{self, BufRead, BufWriter, IsTerminal, Write},
    mem,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

/// The file that is none, but standard output.
const STDOUT: &str = "-";

/// Options of `store`.
#[derive(Debug, Clone, Args)]
pub struct StoreArgs {
    /// The folder of the store.
    // Under another id than the option of `serve`.
    #[arg(id = "folder", long = "store", value_name = "FOLDER", env = "DRIFTLESS_STORE", global = true)]
    folder: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    action: Action,
}

/// What to do with a store.
#[derive(Debug, Clone, Subcommand)]
pub enum Action {
    /// List the rooms, and then those that were set aside because they could not go on.
    Ls {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show a room: what it was made with, who has a seat, how far its journal goes, and its state.
    Show {
        /// The room.
        room: String,
        /// The one of this name that was set aside.
        #[arg(long)]
        aside: bool,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Write a room to a file, a recording that begins with its checkpoint, from which another can be made
    /// (`serve --from`).
    Export {
        /// The room.
        room: String,
        /// The one of this name that was set aside.
        #[arg(long)]
        aside: bool,
        /// The file; - for standard output. Default: ROOM.driftless.
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Remove a room.
    Rm {
        /// The room.
        room: String,
        /// The one of this name that was set aside.
        #[arg(long)]
        aside: bool,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
}

/// Does it. Returns what to print.
///
/// # Errors
/// A line that says why not.
pub(super) fn store(args: StoreArgs, games: &[GameKind]) -> Result<String, String> {
    let folder = args.folder.ok_or("which store? Give its folder: --store FOLDER")?;
    let failed = |error| why(&folder, &error);
    let (mut opened, mut rooms) =
        store::look(&folder, matches!(args.action, Action::Rm { .. })).map_err(failed)?;
    rooms.sort_by(|a, b| a.name().cmp(b.name()));
    let set_aside = opened.aside().map_err(failed)?;
    match args.action {
        Action::Ls { json } => {
            let mut listed: Vec<_> = rooms.into_iter().map(|room| row(room, games)).collect();
            let aside: Vec<_> = set_aside.into_iter().map(|aside| row_aside(aside, games)).collect();
            if json {
                listed.extend(aside);
                return Ok(lines(&listed.into()));
            }
            let heading = "\nset aside, as they could not go on (show, export or rm with --aside):\n";
            let heading = if aside.is_empty() { String::new() } else { heading.to_owned() + &table(&aside) };
            Ok(table(&listed) + &heading)
        }
        Action::Show { room, aside, json } => {
            let shown = show(of(find(those(aside, rooms, set_aside), &room)?)?, games);
            Ok(if json { lines(&shown) } else { text(&shown) })
        }
        Action::Export { room, aside, output } => {
            let stored = of(find(those(aside, rooms, set_aside), &room)?)?;
            let file = output.unwrap_or_else(|| format!("{room}.driftless").into());
            let tick = export(stored, games, &file)?;
            if file == Path::new(STDOUT) {
                return Ok(String::new());
            }
            let file = file.display();
            Ok(format!("{file}: room {room:?} at tick {tick}; serve --from {file} makes a room of it\n"))
        }
        Action::Rm { room, aside, yes } => {
            find(those(aside, rooms, set_aside), &room)?;
            if !yes && !confirmed(&room)? {
                return Ok("nothing is removed\n".to_owned());
            }
            let removed = if aside { opened.remove_aside(&room) } else { opened.remove(&room) };
            removed.map_err(|error| format!("{}: {error}", folder.display()))?;
            Ok(format!("room {room:?} is removed\n"))
        }
    }
}

/// The rooms, or those that were set aside.
fn those(aside: bool, rooms: Vec<Stored>, set_aside: Vec<(u64, Stored)>) -> Vec<Stored> {
    if aside { set_aside.into_iter().map(|(_, room)| room).collect() } else { rooms }
}

fn why(folder: &Path, error: &StoreError) -> String {
    let place = folder.display();
    match (error, store::server_of(folder)) {
        (StoreError::Locked, Some(server)) => {
            format!(
                "{place}: a running server has this store, process {server}: query it (/v1/rooms), or stop it"
            )
        }
        (StoreError::Locked, None) => {
            format!("{place}: a running process has this store: query the server (/v1/rooms), or stop it")
        }
        _ => format!("{place}: {error}"),
    }
}

fn find(rooms: Vec<Stored>, name: &str) -> Result<Stored, String> {
    let close = |stored: &Stored| (strsim::osa_distance(stored.name(), name), stored.name().to_owned());
    let meant = rooms.iter().map(close).filter(|(distance, _)| distance * 3 <= name.len().max(3)).min();
    let found = rooms.into_iter().find(|stored| stored.name() == name);
    found.ok_or_else(|| match meant {
        Some((_, meant)) => format!("there is no room {name:?} in the store: did you mean {meant}?"),
        None => format!("there is no room {name:?} in the store: `store ls` lists them"),
    })
}

fn of(stored: Stored) -> Result<StoredRoom, String> {
    match stored {
        Stored::Room(room) => Ok(*room),
        Stored::Bad { name, why } => Err(format!("room {name:?} cannot be read: {why}")),
    }
}

/// A room as it would go on here.
fn going_on(stored: StoredRoom, games: &[GameKind]) -> Result<Carried, String> {
    let kind = kind_of(&stored.row.room.carried, games).ok_or("this program does not have its game")?;
    let (carried, _) = restore::restore_or_go_back(stored.into_failed(), kind)?;
    carried.ok_or_else(|| "its game has ended it".to_owned())
}

fn kind_of<'a>(carried: &Carried, games: &'a [GameKind]) -> Option<&'a GameKind> {
    games.iter().find(|kind| kind.name() == carried.kind)
}

/// Seats taken, by people: as the room would go on, or else, as it was at its checkpoint.
fn players(stored: StoredRoom, games: &[GameKind]) -> u32 {
    let before = stored.row.room.carried.players();
    going_on(stored, games).map_or(before, |carried| carried.players())
}

/// A room in a list. What is secret is never in it: tokens, and the state itself.
fn row(stored: Stored, games: &[GameKind]) -> Value {
    match stored {
        Stored::Room(stored) => {
            let (row, room) = (&stored.row, &stored.row.room);
            let mut shown = json!({
                "name": row.name(),
                "kind": room.carried.kind,
                "tick": stored.newest,
                "durability": room.made_with.durability.name(),
                "age_ms": row.age().as_millis() as u64,
                "bytes": row.bytes(),
            });
            shown["players"] = players(*stored, games).into();
            shown
        }
        Stored::Bad { name, why } => json!({ "name": name, "error": why }),
    }
}

/// The same for one that was set aside.
fn row_aside((at_ms, stored): (u64, Stored), games: &[GameKind]) -> Value {
    let mut shown = row(stored, games);
    shown["set_aside_unix_ms"] = at_ms.into();
    shown
}

/// A list for people to read.
fn table(listed: &[Value]) -> String {
    const HEAD: [&str; 7] = ["ROOM", "KIND", "TICK", "PLAYERS", "DURABILITY", "AGE", "BYTES"];
    const KEYS: [&str; 7] = ["name", "kind", "tick", "players", "durability", "age_ms", "bytes"];
    let mut rows = vec![HEAD.map(str::to_owned)];
    let mut bad = String::new();
    for room in listed {
        if let Some(why) = room["error"].as_str() {
            let _ = writeln!(bad, "{}: it cannot be read: {why}", flat(&room["name"]));
        } else {
            rows.push(KEYS.map(|key| match key {
                "age_ms" => age(Duration::from_millis(room[key].as_u64().unwrap_or(0))),
                _ => flat(&room[key]),
            }));
        }
    }
    let width = |n: usize| rows.iter().map(|row| row[n].chars().count()).max().unwrap_or(0);
    let widths: Vec<_> = (0..HEAD.len()).map(width).collect();
    let mut out = String::new();
    for row in &rows {
        let cells: Vec<_> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        let _ = writeln!(out, "{}", cells.join("  ").trim_end());
    }
    out + &bad
}

fn age(age: Duration) -> String {
    humantime::format_duration(Duration::from_secs(age.as_secs())).to_string()
}

/// Everything about a room but secrets.
fn show(stored: StoredRoom, games: &[GameKind]) -> Value {
    let (row, carried, setup) = (&stored.row, &stored.row.room.carried, &stored.row.room.made_with.setup);
    let kind = kind_of(carried, games);
    let game = match kind {
        None => "this program does not have it",
        Some(kind) if schema_checksum(&kind.schema()) != carried.schema => "its schema has changed here",
        Some(_) => "this program has it",
    };
    let mut shown = json!({
        "name": carried.name,
        "kind": carried.kind,
        "game": game,
        "schema": format!("{:08x}", carried.schema),
        "durability": row.room.made_with.durability.name(),
        "tick_rate": setup.tick_rate,
        "max_players": setup.max_players,
        "seed": setup.seed,
        "options": serde_json::from_str(&setup.options).unwrap_or_else(|_| json!({})),
        "checkpoint": {
            "tick": carried.last_tick(), "age_ms": row.age().as_millis() as u64, "bytes": row.bytes(),
            "stopped": row.stopped,
        },
        "journal": {
            "frames": stored.frames.len(), "newest_tick": stored.newest,
            "segments": stored.segments.as_ref().map(|segments| [segments.start(), segments.end()]),
        },
        "seats": seats(carried),
    });
    if let Some(kind) = kind {
        let going_on = going_on(stored, games).inspect(|carried| shown["seats"] = seats(carried));
        let state = going_on.and_then(|carried| state(&carried, kind));
        shown["state"] = state.unwrap_or_else(|why| json!({ "error": why }));
    }
    shown
}

fn seats(carried: &Carried) -> Value {
    let seats = carried.to_start().room.seats.into_iter().map(|seat| {
        json!({
            "player": seat.player, "name": seat.name, "user": seat.user, "npc": seat.npc, "away": seat.away,
        })
    });
    seats.collect()
}

fn state(carried: &Carried, kind: &GameKind) -> Result<Value, String> {
    let game = start::restore(kind, &carried.state)?;
    let schema = kind.schema();
    let mut snapshot = Snapshot::new(&schema);
    game.snapshot(carried.last_tick(), &mut snapshot);
    Ok(json!({ "tick": carried.last_tick(), "tables": http::entities(&schema, &snapshot) }))
}

/// Writes a recording that begins with the checkpoint. Returns its last tick.
fn export(stored: StoredRoom, games: &[GameKind], file: &Path) -> Result<u32, String> {
    let room = &stored.row.room;
    let mut start = room.carried.to_start();
    let header = RecordingHeader {
        kind: room.carried.kind.clone(),
        room: room.carried.name.clone(),
        setup: room.made_with.setup.clone(),
    };
    let frames = if stored.row.is_journaled() { stored.frames } else { Vec::new() };
    let ticks = match (frames.is_empty(), kind_of(&room.carried, games)) {
        (true, _) => Vec::new(),
        (false, Some(_)) => ticks(&header, &mut start, frames, games)?,
        (false, None) => {
            let kind = &header.kind;
            return Err(format!("its journal needs the game {kind:?}: use the program that has it"));
        }
    };
    let last = ticks.last().map_or(start.tick, |tick| tick.tick);
    let write = || {
        let out: Box<dyn Write> = match file == Path::new(STDOUT) {
            true => Box::new(io::stdout().lock()),
            false => Box::new(OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?),
        };
        let mut recorder = Recorder::starting_from(BufWriter::new(out), &header, &start)?;
        ticks.iter().try_for_each(|tick| recorder.record(tick))?;
        recorder.end(EndReason::ServerStopped)?;
        recorder.flush()
    };
    write().map_err(|error: io::Error| format!("{}: {error}", file.display()))?;
    Ok(last)
}

/// What a journal says, with a checksum for each tick, which only the game knows.
fn ticks(
    header: &RecordingHeader,
    start: &mut Start,
    frames: Vec<Frame>,
    games: &[GameKind],
) -> Result<Vec<TickRecord>, String> {
    let records: Vec<_> = frames.into_iter().map(Frame::into_record).collect();
    // A room that goes on leaves out ticks.
    start.tick = start.tick.max(records.first().map_or(0, |(since, ..)| *since));
    let failed = |error: SceneError| error.to_string();
    let mut scene = Scene::begin(header.clone(), start, games).map_err(failed)?;
    let (mut ticks, mut before) = (Vec::new(), Vec::new());
    for (_, tick, mut record) in records {
        before.append(&mut record.actions);
        let Some(tick) = tick else { continue };
        record.actions = mem::take(&mut before);
        let (expected, checksum) = (record.checksum, scene.step(&record).map_err(failed)?);
        if expected.is_some_and(|expected| expected != checksum) {
            return Err(SceneError::Diverged { tick }.to_string());
        }
        ticks.push(TickRecord { checksum: Some(checksum), ..record });
    }
    Ok(ticks)
}

fn confirmed(room: &str) -> Result<bool, String> {
    if !io::stdin().is_terminal() {
        return Err(format!("room {room:?} would be gone for good: say --yes"));
    }
    let _ = write!(io::stderr(), "remove room {room:?} for good? [y/N] ");
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).map_err(|error| error.to_string())?;
    Ok(matches!(answer.trim(), "y" | "yes"))
}

fn lines(value: &Value) -> String {
    format!("{value:#}\n")
}

/// A value for people: a line for each key, and the seats and the entities in lines of their own.
fn text(shown: &Value) -> String {
    let mut out = String::new();
    for (key, value) in shown.as_object().into_iter().flatten().filter(|(key, _)| *key != "state") {
        match value {
            Value::Array(all) => {
                let _ = writeln!(out, "{key}: {}", all.len());
                out.extend(all.iter().map(|one| format!("  {}\n", flat(one))));
            }
            one => out += &format!("{key}: {}\n", flat(one)),
        }
    }
    let Some(state) = shown.get("state") else { return out };
    let _ = writeln!(out, "state: tick {}", flat(state.get("tick").or(state.get("error")).unwrap_or(state)));
    for table in state["tables"].as_array().into_iter().flatten() {
        let _ = writeln!(out, "  {}: {}", flat(&table["kind"]), table["count"]);
        let names: Vec<_> =
            table["fields"].as_array().into_iter().flatten().map(|field| flat(&field["name"])).collect();
        for (n, id) in table["ids"].as_array().into_iter().flatten().enumerate() {
            let value = |(name, column): (&String, &Value)| format!("{name} {}", flat(&column[n]));
            let columns = table["columns"].as_array().into_iter().flatten();
            let values: Vec<_> = names.iter().zip(columns).map(value).collect();
            let _ = writeln!(out, "    {id}: {}", values.join(", "));
        }
    }
    out
}

fn flat(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Object(all) if all.is_empty() => "-".to_owned(),
        Value::Object(all) => {
            let pair = |(key, value): (&String, &Value)| format!("{key} {}", flat(value));
            all.iter().map(pair).collect::<Vec<_>>().join(", ")
        }
        other => (other as &dyn Display).to_string(),
    }
}
