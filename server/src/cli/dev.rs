//! `driftless dev`: builds the project in this folder, serves it, and does so again when a file changes.
//!
//! What fails to build is shown, and leaves alone what runs. Rooms are carried over to the new server as far
//! as their state still fits, and players keep their seats. Everything started here is in a process group of
//! its own and hears of Ctrl-C from here alone, so that each ends once and in order.

mod child;
mod watch;

use super::EXIT_FAILED;
use crate::{
    carry,
    config::AdminToken,
    shutdown::{Interrupted, Signals},
};
use child::Child;
use std::{
    convert::Infallible,
    ffi::OsString,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    time::Duration,
};
use watch::Files;

/// How often files are looked at.
const LOOK: Duration = Duration::from_millis(300);
/// How long the files must have been at rest: an editor or a tool may write several.
const REST: Duration = Duration::from_millis(150);
/// What the file begins with that `types` writes.
const GENERATED: &str = "// Written by `driftless types`";
/// What pages predict by is compiled for.
const WASM: &str = "wasm32-unknown-unknown";

/// Works until Ctrl-C. `args`: for the server.
pub(super) fn dev(program: &str, args: Vec<OsString>) -> ExitCode {
    if !Path::new("Cargo.toml").is_file() {
        let reason = "there is no Cargo.toml here: go to the folder that `new` has made";
        return super::fail(program, super::EXIT_USAGE, &reason);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let worked = runtime.and_then(|runtime| {
        runtime.block_on(async {
            let mut dev = Dev::new(args)?;
            // Ctrl-C is how it is meant to end.
            let Err(Interrupted) = dev.work().await;
            dev.stop().await;
            carry::remove(&dev.carried);
            Ok(())
        })
    });
    match worked {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => super::fail(program, EXIT_FAILED, &e),
    }
}

struct Dev {
    signals: Signals,
    args: Vec<OsString>,
    /// The same for all servers of this run, so that the dashboard stays open.
    token: Option<String>,
    server: Option<Child>,
    /// Where a server leaves its rooms to the next one.
    carried: PathBuf,
    /// What was built last.
    binary: Option<PathBuf>,
}

impl Dev {
    fn new(args: Vec<OsString>) -> io::Result<Self> {
        let token = match std::env::var_os("DRIFTLESS_ADMIN_TOKEN") {
            Some(_) => None,
            None => Some(AdminToken::random()?.1),
        };
        let carried = std::env::temp_dir().join(format!("driftless-dev-{}.rooms", std::process::id()));
        Ok(Self { signals: Signals::watch()?, args, token, server: None, carried, binary: None })
    }

    async fn work(&mut self) -> Result<Infallible, Interrupted> {
        let mut files = Files::now();
        if self.build().await? {
            self.serve().await?;
        }
        self.build_page(true).await?;
        say("Ctrl-C ends it. Watching src, proto and page …");
        loop {
            self.signals.none_for(LOOK).await?;
            if let Some(ended) = self.server.as_mut().and_then(Child::ended) {
                self.server = None;
                say(&format!("the server has ended ({ended}): it is started again when a file changes"));
            }
            let Some(changed) = files.changed() else { continue };
            let mut changed = changed;
            while let Some(more) = {
                self.signals.none_for(REST).await?;
                files.changed()
            } {
                changed = changed.and(more);
            }
            if changed.rules {
                if !self.build().await? {
                    continue;
                }
                self.serve().await?;
            }
            self.build_page(changed.rules).await?;
        }
    }

    /// Compiles the server. False: it does not compile, which the compiler has said.
    async fn build(&mut self) -> Result<bool, Interrupted> {
        let Some(built) = self.cargo(&[]).await? else {
            say("it does not compile: what ran before goes on");
            return Ok(false);
        };
        self.binary = built.into_iter().rfind(|path| path.extension().is_none());
        if self.binary.is_none() {
            say("there is no program in this package: src/main.rs is missing");
        }
        self.write_types().await?;
        Ok(self.binary.is_some())
    }

    /// Writes what the page knows of the game, if that is where it was written before.
    async fn write_types(&mut self) -> Result<(), Interrupted> {
        let (Some(binary), file) = (&self.binary, Path::new("page/src/game.ts")) else { return Ok(()) };
        if fs::read_to_string(file).is_ok_and(|text| text.starts_with(GENERATED)) {
            let mut types = Command::new(binary);
            types.args(["types", "--ts"]).arg(file);
            self.run("types", types).await?;
        }
        Ok(())
    }

    /// Compiles the rules for the page, which shows its own player by them.
    async fn build_rules(&mut self) -> Result<bool, Interrupted> {
        if !Path::new("page/public").is_dir() {
            say("compiling the rules for the page; the first time this takes as long as the server did …");
        }
        // Not as small as `npm run wasm` makes them, but sooner: what the server was built with is there.
        let Some(built) = self.cargo(&["--quiet", "--lib", "--target", WASM]).await? else {
            return Ok(false);
        };
        let modules = built.iter().filter(|path| path.extension().is_some_and(|ending| ending == "wasm"));
        for module in modules {
            let public = Path::new("page/public");
            let name = module.file_name().unwrap_or_default();
            let copied = fs::create_dir_all(public).and_then(|()| fs::copy(module, public.join(name)));
            if let Err(error) = copied {
                say(&format!("{} cannot be written: {error}", public.join(name).display()));
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// What `cargo build` has made. None: it has failed.
    async fn cargo(&mut self, options: &[&str]) -> Result<Option<Vec<PathBuf>>, Interrupted> {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        // What `cargo run` tells this program of its package would make build scripts run again, and all that
        // depends on what they make be compiled.
        let of_cargo = |name: &std::ffi::OsStr| {
            let name = name.to_string_lossy();
            let prefixes = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"];
            name == "OUT_DIR" || prefixes.iter().any(|prefix| name.starts_with(prefix))
        };
        for (name, _) in std::env::vars_os().filter(|(name, _)| of_cargo(name)) {
            cargo.env_remove(name);
        }
        cargo
            .args(["build", "--message-format=json-render-diagnostics"])
            .args(options)
            .stdout(Stdio::piped());
        let (built, told) = self.run("cargo", cargo).await?;
        Ok(built.then(|| artifacts(&told)))
    }

    /// Builds the page, if there is one and Node is installed. `rules`: they have changed.
    async fn build_page(&mut self, rules: bool) -> Result<(), Interrupted> {
        let page = Path::new("page");
        if !page.join("package.json").is_file() {
            return Ok(());
        }
        if !has(Command::new("npm").arg("--version")) {
            say("the page is not built: install Node (20 or newer), which brings npm");
            return Ok(());
        }
        let libraries = Command::new("rustc").args(["--print", "target-libdir", "--target", WASM]).output();
        let libraries =
            libraries.ok().map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
        if !libraries.is_some_and(|path| Path::new(&path).is_dir()) {
            say(&format!("the page is not built: `rustup target add {WASM}`, for what it predicts by"));
            return Ok(());
        }
        let npm = |args: &[&str]| {
            let mut npm = Command::new("npm");
            npm.args(args).current_dir(page);
            npm
        };
        if !page.join("node_modules").is_dir() {
            say("installing what the page is built with …");
            let install = npm(&["install", "--no-audit", "--no-fund", "--loglevel=error"]);
            if !self.run("npm", install).await?.0 {
                return Ok(());
            }
        }
        let built = (!rules || self.build_rules().await?)
            && self.run("npm", npm(&["run", "--silent", "page"])).await?.0;
        let what = match built {
            true => "the page is built: reload it",
            false => "the page does not build: the one before stays",
        };
        say(what);
        Ok(())
    }

    /// Puts the server that was built in the place of the one that runs.
    async fn serve(&mut self) -> Result<(), Interrupted> {
        let Some(binary) = self.binary.clone() else { return Ok(()) };
        self.stop().await;
        let mut server = Command::new(&binary);
        server.arg("serve").arg("--carry").arg(&self.carried).args(&self.args);
        if let Some(token) = &self.token {
            server.env("DRIFTLESS_ADMIN_TOKEN", token);
        }
        if std::env::var_os("DRIFTLESS_DRAIN_SPREAD").is_none() {
            server.env("DRIFTLESS_DRAIN_SPREAD", "0s"); // everybody comes back to the new one at once
        }
        match Child::start(server) {
            Ok(child) => self.server = Some(child),
            Err(error) => say(&format!("{} cannot be started: {error}", binary.display())),
        }
        Ok(())
    }

    /// Ends the server, and waits until it has.
    async fn stop(&mut self) {
        if let Some(server) = self.server.take() {
            server.end().await;
        }
    }

    /// Runs a program to its end: whether it succeeded, and what it printed, if that is piped.
    async fn run(&mut self, name: &str, command: Command) -> Result<(bool, String), Interrupted> {
        match Child::start(command) {
            Ok(child) => child.finish(&mut self.signals).await,
            Err(error) => {
                say(&format!("{name} cannot be started: {error}"));
                Ok((false, String::new()))
            }
        }
    }
}

/// The files that Cargo has made of this package, the last one's target last, from its messages.
fn artifacts(messages: &str) -> Vec<PathBuf> {
    let message = |line: &str| serde_json::from_str::<serde_json::Value>(line).ok();
    let files = |message: serde_json::Value| {
        let program = message["executable"].as_str().map(PathBuf::from);
        let is_module = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "wasm");
        let all = message["filenames"].as_array().cloned().unwrap_or_default();
        let modules = all.iter().filter_map(|file| file.as_str().map(PathBuf::from)).filter(is_module);
        program.into_iter().chain(modules).collect::<Vec<_>>()
    };
    messages.lines().filter_map(message).flat_map(files).collect()
}

fn has(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

fn say(what: &str) {
    let _ = writeln!(io::stderr(), "dev: {what}");
}
