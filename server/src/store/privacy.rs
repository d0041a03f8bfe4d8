//! Who else may use the folder of a store, which contains secrets of players.
//!
//! The files in it are made for their owner alone (0600), so what the folder still has to keep others from is
//! to put files of theirs in place of them; and it keeps files from being read that were made wider later. A
//! folder of this process's own user is therefore made private (0700), whatever has opened it: Kubernetes
//! does so each time it mounts a volume with `fsGroup`. A folder that has other things in it is left alone:
//! it may be the system's.
//!
//! A folder of somebody else, such as the root of such a volume, can only be taken as it is. Its group is one
//! that this process was given to use it by.

#![allow(unsafe_code, reason = "whose process this is, only the system knows")]

use super::{StoreError, folder::ROOMS};
use std::{
    fs::{self, Permissions},
    io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
};

/// Permissions of all but the owner.
const OTHERS: u32 = 0o077;
/// Permission of everybody to put files there.
const ALL_WRITE: u32 = 0o002;
/// What a new file system has in its root.
const LOST: &str = "lost+found";

enum Privacy {
    Private,
    /// Others may use it until it is made private, which this process may do.
    Wide(u32),
    /// Others may use it.
    Open,
}

/// Whether a folder may be a store's: it is private or can be made so, or not there yet.
///
/// # Errors
/// Others may use it.
pub(crate) fn check(path: &Path) -> Result<(), StoreError> {
    match privacy_of(path) {
        Ok(Privacy::Open) => Err(StoreError::Open),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
        Ok(Privacy::Private | Privacy::Wide(_)) | Err(_) => Ok(()),
    }
}

/// Makes a folder private.
///
/// # Errors
/// Others may use it.
pub(super) fn close(path: &Path) -> Result<(), StoreError> {
    match privacy_of(path)? {
        Privacy::Private => Ok(()),
        Privacy::Wide(mode) => Ok(fs::set_permissions(path, Permissions::from_mode(mode & !OTHERS))?),
        Privacy::Open => Err(StoreError::Open),
    }
}

fn privacy_of(path: &Path) -> io::Result<Privacy> {
    let folder = fs::metadata(path)?;
    let (mode, user) = (folder.mode(), user());
    Ok(match (mode & OTHERS == 0, folder.uid() == user) {
        (true, _) => Privacy::Private,
        (false, true) if is_own(path)? => Privacy::Wide(mode & 0o7777),
        // Root was not let in by the folder's group.
        (false, false) if user != 0 && mode & ALL_WRITE == 0 => Privacy::Private,
        (false, _) => Privacy::Open,
    })
}

/// Whether there is a store, or nothing else.
fn is_own(path: &Path) -> io::Result<bool> {
    let mut names = fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.file_name()));
    Ok(path.join(ROOMS).is_file() || names.all(|name| name.is_ok_and(|name| name == LOST)))
}

/// The user by whose rights this process has its files.
fn user() -> u32 {
    // SAFETY: geteuid has no preconditions and cannot fail.
    unsafe { libc::geteuid() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn a_folder_of_ones_own_is_made_private_if_it_has_a_store_or_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let open = |mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        let closed = |file: &str| {
            open(0o2775);
            fs::write(path.join(file), "").unwrap();
            check(path).unwrap();
            assert_eq!(mode(path), 0o2775, "to look changes nothing");
            close(path).unwrap();
            mode(path)
        };
        assert_eq!(closed(LOST), 0o2700);
        assert_eq!(closed(ROOMS), 0o2700);
        fs::remove_file(path.join(ROOMS)).unwrap();
        open(0o755);
        fs::write(path.join("letter"), "").unwrap();
        assert!(matches!((check(path), close(path)), (Err(StoreError::Open), Err(StoreError::Open))));
        assert_eq!(mode(path), 0o755, "it may be a folder of the system");
        check(&path.join("nowhere")).unwrap();
    }
}
