//! Which files a project is made of, and whether they have changed.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// What the server is built from, and the rules in the page.
const RULES: [&str; 4] = ["Cargo.toml", "build.rs", "proto", "src"];
/// What else the page is built from. (Not `public`, where its build writes.)
const PAGE: [&str; 5] =
    ["page/index.html", "page/package.json", "page/src", "page/tsconfig.json", "page/vite.config.ts"];

/// When each file was written.
#[derive(Debug, PartialEq)]
pub(super) struct Files {
    rules: BTreeMap<PathBuf, SystemTime>,
    page: BTreeMap<PathBuf, SystemTime>,
}

/// What is to be built again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Changed {
    /// The server, and with it the page.
    pub rules: bool,
}

impl Changed {
    pub(super) fn and(self, more: Self) -> Self {
        Self { rules: self.rules || more.rules }
    }
}

impl Files {
    /// Of the project in the current folder.
    pub(super) fn now() -> Self {
        Self::of(Path::new(""))
    }

    fn of(project: &Path) -> Self {
        let files = |roots: &[&str]| {
            let mut files = BTreeMap::new();
            roots.iter().for_each(|root| add(&project.join(root), &mut files));
            files
        };
        Self { rules: files(&RULES), page: files(&PAGE) }
    }

    /// What has changed since the last time.
    pub(super) fn changed(&mut self) -> Option<Changed> {
        let now = Self::now();
        self.take(now)
    }

    fn take(&mut self, now: Self) -> Option<Changed> {
        let changed = (*self != now).then_some(Changed { rules: self.rules != now.rules });
        *self = now;
        changed
    }
}

/// What is gone by now is not there.
fn add(path: &Path, files: &mut BTreeMap<PathBuf, SystemTime>) {
    let Ok(metadata) = path.symlink_metadata() else { return };
    if metadata.is_dir() {
        let entries = fs::read_dir(path).into_iter().flatten().flatten();
        // Editors keep their own files there, whose names begin with a dot or end with a tilde.
        let own = |name: &str| !name.starts_with('.') && !name.ends_with('~');
        entries
            .filter(|entry| entry.file_name().to_str().is_some_and(own))
            .for_each(|entry| add(&entry.path(), files));
    } else if let Ok(modified) = metadata.modified() {
        files.insert(path.to_owned(), modified);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_made_or_removed_has_changed() {
        let project = tempfile::tempdir().unwrap();
        let path = |name: &str| project.path().join(name);
        fs::create_dir_all(path("src/rules")).unwrap();
        fs::create_dir_all(path("page/src")).unwrap();
        fs::write(path("src/lib.rs"), "1").unwrap();
        let mut files = Files::of(project.path());
        let mut changed = || files.take(Files::of(project.path()));
        assert_eq!(changed(), None);
        fs::write(path("src/rules/walk.rs"), "1").unwrap();
        assert_eq!(changed(), Some(Changed { rules: true }));
        fs::remove_file(path("src/lib.rs")).unwrap();
        assert_eq!(changed(), Some(Changed { rules: true }));
        fs::write(path("page/src/main.ts"), "1").unwrap();
        assert_eq!(changed(), Some(Changed { rules: false }));
        fs::write(path("src/.lib.rs.swp"), "1").unwrap();
        fs::write(path("src/lib.rs~"), "1").unwrap();
        fs::create_dir(path("target")).unwrap();
        fs::write(path("target/x"), "1").unwrap();
        assert_eq!(changed(), None);
    }
}
