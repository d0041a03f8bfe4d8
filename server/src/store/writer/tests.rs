use super::*;
use crate::store::{
    Append, Footing, Stored,
    folder::ROOMS,
    log::{SEGMENT, Segment, path_of},
};
use std::{fs, os::unix::fs::PermissionsExt, path::Path};

struct Store {
    place: tempfile::TempDir,
    writer: Writer,
    pending: Arc<Pending>,
    log: Arc<Log>,
    now: Instant,
}

impl Store {
    /// With one room, which has the number 1.
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let (mut folder, _) = Folder::open(place.path(), Footing::default()).unwrap();
        let log = Arc::new(Log::new(folder.new_segments().make().unwrap()));
        let mut rows = [row(1)];
        folder.begin(&mut rows, &[]).unwrap();
        let pending = Arc::<Pending>::default();
        let writer = Writer::new(folder, &rows, pending.clone(), log.clone(), Arc::new(Metrics::new()));
        Self { place, writer, pending, log, now: Instant::now() }
    }

    fn path(&self) -> &Path {
        self.place.path()
    }

    fn write(&mut self) -> io::Result<()> {
        self.now += TOGETHER * 2;
        self.writer.work(self.now, false)
    }

    fn put(&self, room: u64) {
        self.pending.put("den".to_owned(), || row(room).into());
    }

    /// The numbers of the rooms that another server finds.
    fn found(self) -> Vec<u64> {
        let Self { place, writer, log, .. } = self;
        drop((writer, log));
        let found = Folder::open(place.path(), Footing::default()).unwrap().1;
        found
            .iter()
            .map(|stored| match stored {
                Stored::Room(room) => room.row.id(),
                Stored::Bad { name, why } => panic!("{name}: {why}"),
            })
            .collect()
    }
}

/// A checkpoint of a room with this number, which is named "den".
fn row(room: u64) -> Row {
    crate::store::row::tests::row(room, "den")
}

#[test]
fn rooms_that_are_gone_free_segments() {
    let mut store = Store::new();
    let log = store.log.clone();
    log.provide(Segment::create(store.path(), 2, &Footing::default()).unwrap());
    let body = vec![0; SEGMENT / 2];
    assert!(log.append(1, 1, &body) && log.append(1, 2, &body), "the second one is in the next segment");
    let other = || Row { segment: 2, ..crate::store::row::tests::row(2, "hall") }.into();
    store.pending.put("hall".to_owned(), other);
    store.write().unwrap();
    assert!(path_of(store.path(), 1).exists(), "the den needs it");
    store.pending.put("hall".to_owned(), other);
    store.pending.forget("den".to_owned(), 1, || {});
    store.write().unwrap();
    assert!(!path_of(store.path(), 1).exists(), "nobody needs it");
    assert!(path_of(store.path(), 2).exists());
}

// Otherwise no server could ever read another format.
#[test]
fn a_store_whose_rooms_have_stopped_in_order_has_no_journal() {
    for all in [true, false] {
        let mut store = Store::new();
        if !all {
            store.pending.put("hall".to_owned(), || crate::store::row::tests::row(2, "hall").into());
        }
        store.pending.put("den".to_owned(), || Row { stopped: true, ..row(1) }.into());
        store.writer.work(store.now, true).unwrap();
        assert_eq!(path_of(store.path(), 1).exists(), !all);
        let Store { place, writer, .. } = store;
        drop(writer);
        let (folder, found) = Folder::open(place.path(), Footing::default()).unwrap();
        assert_eq!(found.len(), if all { 1 } else { 2 });
        drop(folder.new_segments().make().unwrap());
        assert!(path_of(place.path(), 2).exists(), "numbers are not used again");
    }
}

#[test]
fn the_end_of_a_room_does_not_remove_another_of_its_name() {
    // Before the first of them is written, and after.
    for written in [false, true] {
        let mut store = Store::new();
        store.put(2);
        if written {
            store.write().unwrap();
        }
        store.pending.forget("den".to_owned(), 1, || {});
        store.write().unwrap();
        assert_eq!(store.found(), [2]);
    }
}

#[test]
fn a_late_checkpoint_of_a_room_that_is_gone_replaces_none_of_its_name() {
    for written in [false, true] {
        let mut store = Store::new();
        store.put(2);
        if written {
            store.write().unwrap();
        }
        store.put(1);
        store.write().unwrap();
        assert_eq!(store.found(), [2]);
    }
}

#[test]
fn a_room_that_only_the_journal_knows_is_found() {
    let store = Store::new();
    store.pending.put("den".to_owned(), || {
        store.log.append(2, crate::store::frames::BEGINNING, &row(2).to_beginning().unwrap());
        row(2).into()
    });
    // The process dies before the database has it.
    assert_eq!(store.found(), [2], "the newest of its name");
}

#[test]
fn a_room_that_has_ended_is_not_found_though_the_database_has_it() {
    let store = Store::new();
    store.pending.forget("den".to_owned(), 1, || {
        store.log.append(1, crate::store::frames::END, &[]);
    });
    assert!(store.found().is_empty());
}

// A room that waits for another server keeps segments, in which there are the beginnings of others.
#[test]
fn what_older_servers_say_of_new_rooms_counts_no_more() {
    let store = Store::new();
    store.log.append(2, crate::store::frames::BEGINNING, &row(2).to_beginning().unwrap());
    let place = {
        let Store { place, writer, log, .. } = store;
        drop((writer, log));
        place
    };
    // It is found, and ends; its segment stays.
    let (mut folder, found) = Folder::open(place.path(), Footing::default()).unwrap();
    assert_eq!(found.len(), 1);
    folder.hold(0..=u64::MAX);
    let log = Log::new(folder.new_segments().make().unwrap());
    folder.begin(&mut [], &[]).unwrap();
    folder.rooms.change([("den", None)].into_iter(), &[]).unwrap();
    drop((folder, log));
    let (folder, found) = Folder::open(place.path(), Footing::default()).unwrap();
    assert!(path_of(place.path(), 1).exists() && found.is_empty());
    assert_eq!(folder.newest_room(), 2, "and no other room gets its number");
}

// What fails once does not fail for ever.
#[test]
fn the_database_is_opened_again_after_an_error() {
    let mut store = Store::new();
    store.put(2);
    let moved = store.path().join("moved");
    store.writer.folder.rooms.leave();
    fs::rename(store.path().join("rooms.redb"), &moved).unwrap();
    fs::create_dir(store.path().join("rooms.redb")).unwrap();
    assert!(store.write().is_err());
    fs::remove_dir(store.path().join("rooms.redb")).unwrap();
    fs::rename(&moved, store.path().join("rooms.redb")).unwrap();
    store.write().unwrap();
    assert_eq!(store.found(), [2]);
}

#[test]
fn a_database_that_is_removed_is_noticed_and_begins_anew_with_all_rooms() {
    for last in [false, true] {
        let mut store = Store::new();
        store.log.provide(Segment::create(store.path(), 2, &Footing::default()).unwrap());
        fs::remove_file(store.path().join(ROOMS)).unwrap();
        if !last {
            let error = store.write().unwrap_err().to_string();
            assert!(error.contains("is no longer there"), "{error}");
            assert!(store.log.distrusts(1) && store.log.check().is_err(), "all rooms write checkpoints");
        }
        store.put(1);
        store.now += TOGETHER * 2;
        store.writer.work(store.now, last).unwrap();
        assert_eq!(store.found(), [1]);
    }
}
