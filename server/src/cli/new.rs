//! `driftless new NAME`: writes a project that can be played at once.

use crate::types::{constant, pascal};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// The files of a project, and their templates. A template is its file but for what stands in double braces.
const FILES: [(&str, &str); 14] = [
    ("Cargo.toml", include_str!("../../templates/Cargo.toml.in")),
    ("build.rs", include_str!("../../templates/build.rs.in")),
    ("proto/{{ident}}.proto", include_str!("../../templates/proto/game.proto.in")),
    ("src/lib.rs", include_str!("../../templates/src/lib.rs.in")),
    ("src/main.rs", include_str!("../../templates/src/main.rs.in")),
    ("tests/rules.rs", include_str!("../../templates/tests/rules.rs.in")),
    ("tests/replay.rs", include_str!("../../templates/tests/replay.rs.in")),
    ("page/package.json", include_str!("../../templates/page/package.json.in")),
    ("page/tsconfig.json", include_str!("../../templates/page/tsconfig.json.in")),
    ("page/index.html", include_str!("../../templates/page/index.html.in")),
    ("page/src/game.ts", include_str!("../../templates/page/src/game.ts.in")),
    ("page/src/main.ts", include_str!("../../templates/page/src/main.ts.in")),
    ("README.md", include_str!("../../templates/README.md.in")),
    (".gitignore", include_str!("../../templates/gitignore.in")),
];

/// Longest name, bytes.
const MAX_NAME: usize = 40;
/// Names of crates that a project has besides its own, and what Cargo keeps for itself.
const TAKEN: [&str; 12] = [
    "build",
    "core",
    "deps",
    "driftless",
    "examples",
    "incremental",
    "prost",
    "prost-build",
    "protox",
    "serde",
    "std",
    "test",
];
/// Words of Rust that no crate can be called by (those of one letter case; the reference's keywords, reserved
/// ones included).
const KEYWORDS: [&str; 51] = [
    "abstract", "alloc", "as", "async", "await", "become", "box", "break", "const", "continue", "crate",
    "do", "dyn", "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let",
    "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref", "return", "self",
    "static", "struct", "super", "trait", "true", "try", "type", "typeof", "unsafe", "unsized", "use",
    "virtual", "while", "yield",
];

/// Why there is no project.
#[derive(Debug, thiserror::Error)]
pub(super) enum NewError {
    #[error("{} cannot be a project's folder: its name is not text", .0.display())]
    NotText(PathBuf),
    #[error("a project needs a name of 1 to {MAX_NAME} characters, as tag-with-a-ball")]
    Length,
    #[error("{name:?} cannot be a project's name: {found:?} is not one of a-z, 0-9, - and _")]
    Character { name: String, found: char },
    #[error("{0:?} cannot be a project's name: it has to begin with a letter from a to z")]
    Begin(String),
    #[error("{0:?} cannot be a project's name: it is a word of Rust; {0}-game would do")]
    Keyword(String),
    #[error("{0:?} cannot be a project's name: another crate is called so; {0}-game would do")]
    Taken(String),
    #[error("{} is there already: choose another name, or remove it", .0.display())]
    There(PathBuf),
    #[error("{} cannot be written: {error}", path.display())]
    Unwritable { path: PathBuf, error: io::Error },
}

impl NewError {
    /// Whether it is the name's fault.
    pub(super) fn is_usage(&self) -> bool {
        !matches!(self, Self::Unwritable { .. })
    }
}

/// Where a project finds what it depends on.
struct Sources {
    server: String,
    sim: String,
    sdk: String,
}

impl Sources {
    /// In the folder that this program was built from, if that is still there, else by version.
    fn find() -> Self {
        let server = Path::new(env!("CARGO_MANIFEST_DIR"));
        let beside = |path: &str| server.parent().map(|root| root.join(path)).filter(|path| path.is_dir());
        let version = env!("CARGO_PKG_VERSION");
        let there = |path: &Path| path.join("Cargo.toml").is_file();
        let dependency = |path: Option<PathBuf>| match path.filter(|path| there(path)) {
            Some(path) => format!("{{ path = {} }}", toml::Value::from(path.display().to_string())),
            None => format!("\"{version}\""),
        };
        Self {
            server: dependency(Some(server.to_owned())),
            sim: dependency(beside("sim")),
            sdk: beside("clients/web").map_or(version.to_owned(), |path| format!("file:{}", path.display())),
        }
    }
}

/// Writes a project into this folder, which must not exist. Its last part is the project's name. Returns it.
pub(super) fn new(folder: &Path) -> Result<PathBuf, NewError> {
    let name = folder.file_name().unwrap_or_default();
    let name = name.to_str().ok_or_else(|| NewError::NotText(folder.to_owned()))?;
    check(name)?;
    let folder = folder.to_owned();
    if folder.symlink_metadata().is_ok() {
        return Err(NewError::There(folder));
    }
    let (ident, sources) = (name.replace('-', "_"), Sources::find());
    let fill = |text: &str| {
        let all = [
            ("name", name),
            ("ident", &ident),
            ("constant", &constant(name)),
            ("Pascal", &pascal(name)),
            ("server", &sources.server),
            ("sim", &sources.sim),
            ("sdk", &sources.sdk),
        ];
        all.iter().fold(text.to_owned(), |text, (key, value)| text.replace(&format!("{{{{{key}}}}}"), value))
    };
    for (path, template) in FILES {
        let path = folder.join(fill(path));
        let written = path.parent().map_or(Ok(()), fs::create_dir_all);
        let written = written.and_then(|()| fs::write(&path, fill(template)));
        written.map_err(|error| NewError::Unwritable { path, error })?;
    }
    Ok(folder)
}

/// What Cargo, Rust, protobuf and a room's kind take for a name.
fn check(name: &str) -> Result<(), NewError> {
    if !(1..=MAX_NAME).contains(&name.len()) {
        return Err(NewError::Length);
    }
    let fits = |c: &char| matches!(c, 'a'..='z' | '0'..='9' | '-' | '_');
    if let Some(found) = name.chars().find(|c| !fits(c)) {
        return Err(NewError::Character { name: name.to_owned(), found });
    }
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) {
        return Err(NewError::Begin(name.to_owned()));
    }
    if KEYWORDS.contains(&name) {
        return Err(NewError::Keyword(name.to_owned()));
    }
    let crate_name = name.replace('_', "-");
    if TAKEN.contains(&crate_name.as_str()) || crate_name.starts_with("driftless-") {
        return Err(NewError::Taken(name.to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_has_its_name_everywhere_and_nothing_left_to_fill_in() {
        let parent = tempfile::tempdir().unwrap();
        let folder = new(&parent.path().join("coin-rush")).unwrap();
        for (path, _) in FILES {
            let path = folder.join(path.replace("{{ident}}", "coin_rush"));
            let text = fs::read_to_string(&path).unwrap();
            assert!(!text.contains("{{") && !text.contains("}}"), "{}: {text}", path.display());
        }
        let manifest: toml::Table = fs::read_to_string(folder.join("Cargo.toml")).unwrap().parse().unwrap();
        assert_eq!(manifest["package"]["name"].as_str(), Some("coin-rush"));
        assert!(manifest["dependencies"]["driftless-sim"]["path"].as_str().unwrap().ends_with("/sim"));
        assert!(
            fs::read_to_string(folder.join("src/lib.rs"))
                .unwrap()
                .contains("KIND: &'static str = \"coin-rush\"")
        );
    }

    #[test]
    fn what_is_there_is_left_alone() {
        let parent = tempfile::tempdir().unwrap();
        fs::write(parent.path().join("tag"), "mine").unwrap();
        assert!(
            matches!(new(&parent.path().join("tag")), Err(NewError::There(path)) if path.ends_with("tag"))
        );
        assert_eq!(fs::read(parent.path().join("tag")).unwrap(), b"mine");
        let below = parent.path().join("tag");
        assert!(matches!(new(&below.join("game")), Err(NewError::Unwritable { .. })));
    }

    #[test]
    fn names_that_cannot_be_are_refused_with_what_is_wrong() {
        for name in ["tag", "a", "tag-2", "tag_ball", "x9", "selfish"] {
            check(name).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        for (name, says) in [
            ("", "1 to 40"),
            (&*"x".repeat(41), "1 to 40"),
            ("Tag", "'T'"),
            ("../tag", "'.'"),
            ("a/b", "'/'"),
            ("tag ball", "' '"),
            ("tág", "'á'"),
            ("2tag", "begin with a letter"),
            ("-tag", "begin with a letter"),
            ("match", "word of Rust"),
            ("async", "word of Rust"),
            ("serde", "another crate"),
            ("driftless_sim", "another crate"),
            ("test", "another crate"),
        ] {
            let error = check(name).unwrap_err().to_string();
            assert!(error.contains(says) && error.lines().count() == 1, "{name}: {error}");
        }
    }
}
