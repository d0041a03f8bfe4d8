//! What a store stands on: the disk, and who does its work. Simulations have a disk that fails, and do the
//! work themselves.

#![allow(unsafe_code, reason = "blocks are reserved, and free ones counted, by calls to the system")]

use super::log::SEGMENT;
use redb::{Builder, Database, DatabaseError, backends::FileBackend};
use std::{
    ffi::CString,
    fmt,
    fs::{File, OpenOptions},
    io,
    os::unix::ffi::OsStrExt as _,
    path::Path,
    sync::Arc,
};

/// What a store has a disk do, apart from reading. Its folder is one of the file system in any case.
pub trait Disk: fmt::Debug + Send + Sync {
    /// Opens the database in a file.
    ///
    /// # Errors
    /// It is none, or the disk fails.
    fn database(&self, builder: &Builder, file: File) -> Result<Database, DatabaseError>;

    /// Reserves the blocks of a new file.
    ///
    /// # Errors
    /// The disk is full, or fails; or it cannot reserve blocks.
    fn reserve(&self, file: &File, bytes: usize) -> io::Result<()>;

    /// Has a file be on the disk when this returns.
    ///
    /// # Errors
    /// The disk fails.
    fn synchronise(&self, file: &Path) -> io::Result<()>;

    /// The same for the names in a folder.
    ///
    /// # Errors
    /// The disk fails.
    fn synchronise_names(&self, folder: &Path) -> io::Result<()>;

    /// Bytes that are free where a folder is.
    ///
    /// # Errors
    /// The disk fails.
    fn free(&self, folder: &Path) -> io::Result<u64>;
}

/// What a store stands on.
#[derive(Debug, Clone)]
pub struct Footing {
    pub disk: Arc<dyn Disk>,
    /// Bytes of a segment of the journal: pages.
    pub segment: usize,
    /// Threads do what may wait for the disk. Otherwise that is for whoever has the store.
    pub threads: bool,
}

impl Default for Footing {
    fn default() -> Self {
        Self { disk: Arc::new(System), segment: SEGMENT, threads: true }
    }
}

/// The system's own.
#[derive(Debug)]
struct System;

impl Disk for System {
    fn database(&self, builder: &Builder, file: File) -> Result<Database, DatabaseError> {
        builder.create_with_backend(FileBackend::new(file)?)
    }

    fn reserve(&self, file: &File, bytes: usize) -> io::Result<()> {
        reserve(file, bytes)
    }

    fn synchronise(&self, file: &Path) -> io::Result<()> {
        OpenOptions::new().write(true).open(file)?.sync_data()
    }

    fn synchronise_names(&self, folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }

    fn free(&self, folder: &Path) -> io::Result<u64> {
        let folder = CString::new(folder.as_os_str().as_bytes())?;
        // SAFETY: all zeroes are a valid value of this struct; the call reads the name up to its zero, and
        // writes the struct.
        let (done, space) = unsafe {
            let mut space: libc::statvfs = std::mem::zeroed();
            (libc::statvfs(folder.as_ptr(), &raw mut space), space)
        };
        // Their types differ from system to system.
        #[allow(clippy::unnecessary_cast)]
        match done {
            0 => Ok((space.f_bavail as u64).saturating_mul(space.f_frsize as u64)),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

#[cfg(target_os = "linux")]
fn reserve(file: &File, bytes: usize) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    loop {
        // SAFETY: the descriptor is open as long as `file` is; the other arguments are numbers.
        match unsafe { libc::posix_fallocate(file.as_raw_fd(), 0, bytes as libc::off_t) } {
            0 => return Ok(()),
            libc::EINTR => {}
            code @ (libc::EOPNOTSUPP | libc::EINVAL | libc::ENODEV) => {
                let error = io::Error::from_raw_os_error(code);
                let line = format!("its file system cannot reserve space for the journal ({error})");
                return Err(io::Error::new(io::ErrorKind::Unsupported, line));
            }
            code => return Err(io::Error::from_raw_os_error(code)),
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn reserve(mut file: &File, bytes: usize) -> io::Result<()> {
    use super::log::PAGE;
    use std::io::Write;
    (0..bytes / PAGE).try_for_each(|_| file.write_all(&[0; PAGE]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::log::PAGE;
    use std::os::{fd::OwnedFd, unix::net::UnixStream};

    // Where blocks cannot be reserved, a room's write could end the process.
    #[test]
    fn a_file_whose_blocks_cannot_be_reserved_is_refused_by_name() {
        let (file, _other) = UnixStream::pair().unwrap();
        let error = reserve(&File::from(OwnedFd::from(file)), PAGE).unwrap_err();
        assert!(error.to_string().contains("cannot reserve space"), "{error}");
    }
}
