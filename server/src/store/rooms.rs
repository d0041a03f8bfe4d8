//! The database of checkpoints.

use super::{StoreError, row::Row};
use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, TableDefinition};
use std::{io, path::Path};

/// Checkpoints by room name.
const ROOMS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("rooms");
/// Those that could not go on, when others began under their names.
const ASIDE: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("aside");
/// Memory that the database keeps pages in, bytes.
const CACHE: usize = 8 << 20;

/// A checkpoint by its room's name, or what is wrong with it.
pub(super) type Entry = (String, Result<Row, String>);

/// The open database, which nobody else can open.
#[derive(Debug)]
pub(super) struct Rooms(Database);

impl Rooms {
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let opened = Database::builder().set_cache_size(CACHE).create(path);
        let database = opened.map_err(|error| match error {
            DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => StoreError::Locked,
            error => StoreError::Database(error.to_string()),
        })?;
        let rooms = Self(database);
        // So that reading finds the tables.
        rooms.write(|_, _| Ok(())).map_err(|error| StoreError::Database(error.to_string()))?;
        Ok(rooms)
    }

    /// All checkpoints, or what is wrong with them, by name.
    pub(super) fn all(&self) -> Result<Vec<Entry>, StoreError> {
        let read = || -> Result<_, redb::Error> {
            let transaction = self.0.begin_read()?;
            let mut all = Vec::new();
            for entry in transaction.open_table(ROOMS)?.iter()? {
                let (name, row) = entry?;
                all.push((name.value().to_owned(), Row::decode(row.value())));
            }
            Ok(all)
        };
        read().map_err(|error| StoreError::Database(error.to_string()))
    }

    /// Writes and removes checkpoints, all or none. Returns the bytes written.
    pub(super) fn change<'a>(
        &self,
        changes: impl Iterator<Item = (&'a str, Option<&'a Row>)>,
        aside: &[String],
    ) -> io::Result<u64> {
        self.write(|rooms, others| {
            for name in aside {
                if let Some(row) = rooms.remove(name.as_str())? {
                    others.insert(name.as_str(), row.value())?;
                }
            }
            let mut bytes = 0;
            for (name, row) in changes {
                match row.map(Row::encode) {
                    Some(Ok(row)) => {
                        bytes += row.len() as u64;
                        rooms.insert(name, &row[..])?;
                    }
                    Some(Err(error)) => return Err(io::Error::other(error).into()),
                    None => drop(rooms.remove(name)?),
                }
            }
            Ok(bytes)
        })
        .map_err(io::Error::other)
    }

    fn write<T>(
        &self,
        change: impl FnOnce(
            &mut redb::Table<'_, &'static str, &'static [u8]>,
            &mut redb::Table<'_, &'static str, &'static [u8]>,
        ) -> Result<T, redb::Error>,
    ) -> Result<T, redb::Error> {
        let mut transaction = self.0.begin_write()?;
        // Opening it after a kill takes no look at every page then.
        transaction.set_quick_repair(true);
        let result = {
            let mut rooms = transaction.open_table(ROOMS)?;
            let mut aside = transaction.open_table(ASIDE)?;
            change(&mut rooms, &mut aside)?
        };
        transaction.commit()?;
        Ok(result)
    }
}
