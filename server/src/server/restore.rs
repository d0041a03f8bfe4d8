//! The rooms in a store go on when a server starts.

use crate::{
    carry,
    config::{Config, StoreMismatch},
    factory::{Factory, LostRoom},
    health::{Health, Matters, PartName},
    metrics::Metrics,
    store::{Intervals, Opened, Row, Store, StoreError, Stored},
};
use std::{
    collections::HashSet,
    sync::{Arc, OnceLock},
    time::Instant,
};
use tracing::{error, info};

/// A store, and what was found in it.
pub(super) type OpenedStore = (Opened, Vec<Stored>);

/// Has the rooms in a store go on, and puts it in its `place`. Instead of some, there are `newer` ones.
///
/// # Errors
/// It cannot be written.
pub(super) fn restore(
    (mut store, stored): OpenedStore,
    newer: Vec<carry::Room>,
    factory: &Factory,
    config: &Config,
    metrics: &Arc<Metrics>,
    health: &Health,
    place: &OnceLock<Arc<Store>>,
) -> Result<(), StoreError> {
    let (start, waits) = (Instant::now(), config.store_mismatch == StoreMismatch::Wait);
    let (mut rooms, mut aside, mut lost) = (newer, Vec::new(), Vec::new());
    let newer: HashSet<_> = rooms.iter().map(|room| room.carried.name.clone()).collect();
    for stored in stored.into_iter().filter(|stored| !newer.contains(stored.name())) {
        let (name, restored, left, segments) = match stored {
            // Which segments have its frames is unknown.
            Stored::Bad { name, why } => (name, Err(why), None, Some(0..=u64::MAX)),
            Stored::Room(room) => {
                let (name, left) = (room.row.name().to_owned(), LostRoom::of(&room.row.room));
                let segments = room.segments.clone();
                (name, factory.restore(*room, waits), Some(left), segments)
            }
        };
        match restored {
            Ok(Some(room)) => rooms.push(room),
            Ok(None) => aside.push(name),
            Err(why) if waits => {
                segments.into_iter().for_each(|segments| store.hold(segments));
                factory.wait_for(name, why);
            }
            Err(why) => {
                match left {
                    Some(left) => lost.push((left, why)),
                    None => {
                        metrics.store.failures.inc("damaged");
                        error!(
                            room = name,
                            why, "its checkpoint cannot be read, and is set aside: it begins anew"
                        );
                    }
                }
                aside.push(name);
            }
        }
    }
    let rows: Vec<_> = rooms.into_iter().map(|room| Row::now(room, false, config.journal_sync)).collect();
    let intervals = Intervals { checkpoint: config.checkpoint_every, sync: config.journal_sync };
    let health = health.part(PartName::Store, Matters::ToOperators);
    let (store, rows) = store.begin(rows, &aside, intervals, metrics.clone(), health)?;
    drop(place.set(store));
    let (count, took_ms) = (rows.len(), start.elapsed().as_millis() as u64);
    let rooms = rows.into_iter().map(|row| row.room).collect();
    factory.go_on(rooms, place.get().map(|store| &**store));
    lost.into_iter().for_each(|(lost, why)| factory.replace(lost, &why, None));
    if count > 0 {
        info!(rooms = count, took_ms, "rooms of the store go on");
    }
    Ok(())
}
