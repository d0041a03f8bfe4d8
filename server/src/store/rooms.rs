//! The database of checkpoints.

use super::{StoreError, disk::Disk, machine::now_ms, row::Row};
use crate::ground::inode::Inode;
use redb::{
    Builder, Database, Error, ReadTransaction, ReadableDatabase, ReadableTable, StorageBackend, Table,
    TableDefinition, TableError, backends::InMemoryBackend,
};
use serde::{Deserialize, Serialize};
use std::{
    cmp::Reverse,
    collections::HashMap,
    fs::{self, OpenOptions, Permissions},
    io::{self, ErrorKind},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};
use tracing::warn;

/// Checkpoints by room name.
const ROOMS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("rooms");
/// Those that could not go on, when others began under their names: [`Aside`]s.
const ASIDE: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("aside");
/// Numbers about all of it.
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
/// The first segment of the newest server: what those before say of new rooms counts no more.
const FIRST_SEGMENT: &str = "first segment";
/// How many were ever set aside.
const EVER_ASIDE: &str = "ever aside";
/// Most of these that are kept, and their bytes. Of what is beyond that, the oldest go first.
const MOST_ASIDE: usize = 1_000;
const MOST_ASIDE_BYTES: usize = 256 << 20;
/// Memory that the database keeps pages in, bytes.
const CACHE: usize = 8 << 20;

/// A checkpoint by its room's name, or what is wrong with it.
pub(super) type Entry = (String, Result<Row, String>);

/// A checkpoint that was set aside.
#[derive(Debug, Serialize, Deserialize)]
struct Aside<'a> {
    /// It was so many before this one, so that their order needs no clock.
    number: u64,
    /// When that was, milliseconds since 1970, for people.
    at_ms: u64,
    row: &'a [u8],
}

/// A room that was set aside, and when, milliseconds since 1970.
pub(super) type AsideEntry = (u64, Entry);

/// What only the journal says of rooms, and the database is to know when a server begins.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// First checkpoints by name, as they are encoded.
    pub begun: HashMap<String, Vec<u8>>,
    /// Names of rooms that have ended.
    pub ended: Vec<String>,
    /// Names of rooms that others have replaced.
    pub replaced: Vec<String>,
}

/// The database.
#[derive(Debug)]
pub(super) struct Rooms {
    path: PathBuf,
    disk: Arc<dyn Disk>,
    /// With the file that it is. None: it has to be opened. After writing to it has failed, that is so again,
    /// because it does nothing more then.
    database: Option<(Database, Inode)>,
}

impl Rooms {
    pub(super) fn open(path: &Path, disk: &Arc<dyn Disk>) -> Result<Self, StoreError> {
        let database = Some(open(path, &**disk)?);
        Ok(Self { path: path.to_owned(), disk: disk.clone(), database })
    }

    /// A copy in memory, which leaves its file as it is. What is written to it is lost.
    pub(super) fn copy(path: &Path, disk: &Arc<dyn Disk>) -> Result<Self, StoreError> {
        let (bytes, inode) = (fs::read(path)?, Inode::from(fs::metadata(path)?));
        let memory = InMemoryBackend::new();
        memory
            .set_len(bytes.len() as u64)
            .and_then(|()| memory.write(0, &bytes))
            .map_err(io::Error::other)?;
        let copied = builder().create_with_backend(memory).map_err(|error| why(error.into()))?;
        Ok(Self { path: path.to_owned(), disk: disk.clone(), database: Some((copied, inode)) })
    }

    /// One that is opened when something is written.
    pub(super) fn unopened(path: &Path, disk: &Arc<dyn Disk>) -> Self {
        Self { path: path.to_owned(), disk: disk.clone(), database: None }
    }

    /// All checkpoints, or what is wrong with them, by name.
    pub(super) fn all(&self) -> Result<Vec<Entry>, StoreError> {
        let read = || -> Result<_, redb::Error> {
            let transaction = self.reader()?;
            let mut all = Vec::new();
            let rooms = match transaction.open_table(ROOMS) {
                Err(TableError::TableDoesNotExist(_)) => return Ok(all), // nothing was ever written
                rooms => rooms?,
            };
            for entry in rooms.iter()? {
                let (name, row) = entry?;
                all.push((name.value().to_owned(), Row::decode(row.value())));
            }
            Ok(all)
        };
        read().map_err(why)
    }

    /// All that were set aside, in their order.
    pub(super) fn aside(&self) -> Result<Vec<AsideEntry>, StoreError> {
        let read = || -> Result<_, redb::Error> {
            let transaction = self.reader()?;
            let mut all = Vec::new();
            let aside = match transaction.open_table(ASIDE) {
                Err(TableError::TableDoesNotExist(_)) => return Ok(all),
                aside => aside?,
            };
            for entry in aside.iter()? {
                let (name, bytes) = entry?;
                let aside = Aside::decode(bytes.value());
                all.push((aside.number, (aside.at_ms, (name.value().to_owned(), Row::decode(aside.row)))));
            }
            all.sort_by_key(|(number, _)| *number);
            Ok(all)
        };
        read().map(|all| all.into_iter().map(|(_, aside)| aside).collect()).map_err(why)
    }

    /// Removes one that was set aside.
    pub(super) fn remove_aside(&mut self, name: &str) -> io::Result<()> {
        self.write(|tables| tables.aside.remove(name).map(drop).map_err(Into::into))
    }

    /// The first segment that counts for rooms of which there is no checkpoint here.
    pub(super) fn first_segment(&self) -> Result<u64, StoreError> {
        let read = || -> Result<_, redb::Error> {
            match self.reader()?.open_table(META) {
                Err(TableError::TableDoesNotExist(_)) => Ok(0),
                meta => Ok(meta?.get(FIRST_SEGMENT)?.map_or(0, |number| number.value())),
            }
        };
        read().map_err(why)
    }

    /// A server begins, with this segment: puts everything as it has found it.
    pub(super) fn begin(
        &mut self,
        found: &Found,
        rows: &[Row],
        aside: &[String],
        first: u64,
    ) -> io::Result<()> {
        self.write(|tables| {
            tables.set_aside(&found.replaced)?;
            found.ended.iter().try_for_each(|name| tables.rooms.remove(name.as_str()).map(drop))?;
            for (name, row) in &found.begun {
                tables.rooms.insert(name.as_str(), &row[..])?;
            }
            tables.set_aside(aside)?;
            rows.iter().try_for_each(|row| tables.put(row.name(), row).map(drop))?;
            tables.meta.insert(FIRST_SEGMENT, first)?;
            Ok(())
        })
    }

    /// Writes and removes checkpoints, all or none. Returns the bytes written.
    pub(super) fn change<'a>(
        &mut self,
        changes: impl Iterator<Item = (&'a str, Option<&'a Row>)>,
        aside: &[String],
    ) -> io::Result<u64> {
        self.write(|tables| {
            tables.set_aside(aside)?;
            let mut bytes = 0;
            for (name, row) in changes {
                match row {
                    Some(row) => bytes += tables.put(name, row)?,
                    None => drop(tables.rooms.remove(name)?),
                }
            }
            Ok(bytes)
        })
    }

    /// Whether the file that is open has its name still. Whatever is written to it would be gone otherwise.
    pub(super) fn are_there(&self) -> bool {
        self.database
            .as_ref()
            .is_none_or(|(_, file)| fs::metadata(&self.path).is_ok_and(|found| Inode::from(found) == *file))
    }

    /// Leaves the file, as after an error: what is written next goes to the one that is there then.
    pub(super) fn leave(&mut self) {
        self.database = None;
    }

    fn reader(&self) -> Result<ReadTransaction, redb::Error> {
        let (database, _) = self.database.as_ref().ok_or(Error::PreviousIo)?;
        Ok(database.begin_read()?)
    }

    fn write<T>(&mut self, change: impl FnOnce(&mut Tables<'_>) -> Result<T, redb::Error>) -> io::Result<T> {
        let (database, _) = match &self.database {
            Some(database) => database,
            None => self.database.insert(open(&self.path, &*self.disk).map_err(|error| match error {
                StoreError::Io(error) => error,
                error => io::Error::other(error),
            })?),
        };
        let write = || -> Result<T, redb::Error> {
            let mut transaction = database.begin_write()?;
            // Opening it after a kill takes no look at every page then.
            transaction.set_quick_repair(true);
            let result = change(&mut Tables {
                rooms: transaction.open_table(ROOMS)?,
                aside: transaction.open_table(ASIDE)?,
                meta: transaction.open_table(META)?,
            })?;
            transaction.commit()?;
            Ok(result)
        };
        let written = write();
        if written.is_err() {
            self.database = None;
        }
        written.map_err(|error| match error {
            Error::Io(error) => error,
            error => io::Error::other(error),
        })
    }
}

fn open(path: &Path, disk: &dyn Disk) -> Result<(Database, Inode), StoreError> {
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    // It may have been made when others could read it.
    file.set_permissions(Permissions::from_mode(0o600))?;
    let inode = Inode::from(file.metadata()?);
    Ok((disk.database(&builder(), file).map_err(|error| why(error.into()))?, inode))
}

fn builder() -> Builder {
    let mut builder = Database::builder();
    // Otherwise some damage is found only when something is written, by a panic.
    builder.set_cache_size(CACHE).set_check_integrity_on_open(true);
    builder
}

/// What a transaction writes to.
struct Tables<'a> {
    rooms: Table<'a, &'static str, &'static [u8]>,
    aside: Table<'a, &'static str, &'static [u8]>,
    meta: Table<'a, &'static str, u64>,
}

impl Aside<'_> {
    /// What cannot be read is older than all others.
    fn decode(bytes: &[u8]) -> Aside<'_> {
        postcard::from_bytes(bytes).unwrap_or(Aside { number: 0, at_ms: 0, row: &[] })
    }
}

impl Tables<'_> {
    fn set_aside(&mut self, names: &[String]) -> Result<(), redb::Error> {
        let before = self.meta.get(EVER_ASIDE)?.map_or(0, |number| number.value());
        let mut number = before;
        for name in names {
            let Some(row) = self.rooms.remove(name.as_str())? else { continue };
            number += 1;
            let aside = postcard::to_stdvec(&Aside { number, at_ms: now_ms(), row: row.value() });
            self.aside.insert(name.as_str(), &aside.map_err(io::Error::other)?[..])?;
        }
        if number > before {
            self.meta.insert(EVER_ASIDE, number)?;
            self.forget_oldest_aside(MOST_ASIDE, MOST_ASIDE_BYTES)?;
        }
        Ok(())
    }

    /// Keeps so many of those that were set aside, and so many bytes of them, but the newest in any case.
    fn forget_oldest_aside(&mut self, most: usize, most_bytes: usize) -> Result<(), redb::Error> {
        let mut all = Vec::new();
        for entry in self.aside.iter()? {
            let (name, bytes) = entry?;
            all.push((Aside::decode(bytes.value()).number, name.value().to_owned(), bytes.value().len()));
        }
        all.sort_by_key(|(number, ..)| Reverse(*number));
        let mut bytes = 0;
        for (n, (_, name, length)) in all.iter().enumerate() {
            bytes += length;
            if n > 0 && (n >= most || bytes > most_bytes) {
                self.aside.remove(name.as_str())?;
                warn!(
                    room = name,
                    "there are newer rooms that were set aside in the store: this one is gone"
                );
            }
        }
        Ok(())
    }

    /// Returns the bytes written.
    fn put(&mut self, name: &str, row: &Row) -> Result<u64, redb::Error> {
        let row = row.encode().map_err(io::Error::other)?;
        self.rooms.insert(name, &row[..])?;
        Ok(row.len() as u64)
    }
}

/// Why the database cannot be used. Only of one that is damaged is it known that no other attempt helps.
fn why(error: Error) -> StoreError {
    match error {
        Error::DatabaseAlreadyOpen | Error::LockProtocolMismatch => StoreError::Locked,
        Error::Corrupted(why) => StoreError::Damaged(why),
        // It does not begin as a database does, or ends too early.
        Error::Io(error) if matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof) => {
            StoreError::Damaged(error.to_string())
        }
        Error::Io(error) => StoreError::Io(error),
        Error::UpgradeRequired(format) => StoreError::Database(format!(
            "its database has the old format {format}, which this server does not read: start the version \
             that wrote it, or give this one another folder"
        )),
        error => StoreError::Database(format!("its database cannot be opened: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::disk::Footing, *};

    #[test]
    fn only_a_damaged_database_counts_as_damaged() {
        let io = |kind: ErrorKind| why(Error::Io(kind.into()));
        assert!(matches!(why(Error::Corrupted("a page".into())), StoreError::Damaged(_)));
        assert!(matches!(io(ErrorKind::InvalidData), StoreError::Damaged(_)));
        for healthy in [ErrorKind::StorageFull, ErrorKind::PermissionDenied, ErrorKind::Other] {
            assert!(matches!(io(healthy), StoreError::Io(error) if error.kind() == healthy));
        }
        assert!(matches!(why(Error::UpgradeRequired(1)), StoreError::Database(_)));
        assert!(matches!(why(Error::PreviousIo), StoreError::Database(_)));
        assert!(matches!(why(Error::DatabaseAlreadyOpen), StoreError::Locked));
    }

    // Promise 4, on the disk.
    #[test]
    fn of_those_that_were_set_aside_only_the_newest_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let mut rooms = Rooms::open(&folder.path().join("rooms"), &Footing::default().disk).unwrap();
        let mut set_aside = |names: &[&str], most, most_bytes| -> String {
            let set_aside = rooms.write(|tables| {
                for name in names {
                    tables.rooms.insert(*name, &[0; 100][..])?;
                }
                tables.set_aside(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())?;
                tables.forget_oldest_aside(most, most_bytes)
            });
            set_aside.unwrap();
            rooms.aside().unwrap().into_iter().map(|(_, (name, _))| name).collect()
        };
        assert_eq!(set_aside(&["c", "b", "a"], 9, 9_000), "cba", "in their order");
        assert_eq!(set_aside(&["c"], 9, 9_000), "bac", "the one of this name before is gone");
        assert_eq!(set_aside(&["d"], 3, 9_000), "acd");
        assert_eq!(set_aside(&["e"], 9, 250), "de");
        assert_eq!(set_aside(&["f"], 0, 0), "f", "the newest is kept however large it is");
        rooms.remove_aside("f").unwrap();
        assert_eq!(rooms.aside().unwrap().len(), 0);
    }
}
