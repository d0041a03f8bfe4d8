//! The database of checkpoints.

use super::{StoreError, row::Row};
use redb::{Database, Error, ReadableDatabase, ReadableTable, TableDefinition};
use std::{
    io::{self, ErrorKind},
    path::Path,
};

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
        let rooms = Self(opened.map_err(|error| why(error.into()))?);
        // So that reading finds the tables.
        rooms.write(|_, _| Ok(())).map_err(why)?;
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
        read().map_err(why)
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
    use super::*;

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
}
