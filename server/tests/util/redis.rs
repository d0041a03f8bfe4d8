//! A `redis-server` as a child process, on a port of its own. (The server's own tests have it, too.)

#![allow(unsafe_code, reason = "a signal for a child")]

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

/// The user of whom the guide says that he has all rights that a node needs.
fn user() -> Vec<String> {
    let guide = concat!(env!("CARGO_MANIFEST_DIR"), "/guide/57-many-machines.md");
    let guide = std::fs::read_to_string(guide).expect("the guide is there");
    let line = guide.lines().find_map(|line| line.strip_prefix("user game ")).expect("it has a user");
    line.split(' ').map(str::to_owned).collect()
}

/// Killed when it is dropped.
pub struct Redis {
    child: Child,
    port: u16,
}

impl Redis {
    /// Starts it and waits until it answers.
    pub fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("a port").port();
        let mut command = Command::new("redis-server");
        command
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""])
            .args(["--user", "game"])
            .args(user())
            .stdout(Stdio::null());
        let redis = Self { child: command.spawn().expect("redis-server is installed"), port };
        let start = Instant::now();
        while redis.says("PING").is_none_or(|said| !said.starts_with("+PONG")) {
            assert!(start.elapsed() < Duration::from_secs(30), "Redis answers");
            sleep(Duration::from_millis(10));
        }
        redis
    }

    /// For nodes, which have no more rights than they need.
    pub fn url(&self) -> String {
        format!("redis://game:secret@127.0.0.1:{}", self.port)
    }

    /// For those who may do everything.
    pub fn default_url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// The answer to a command, if there is one.
    pub fn says(&self, command: &str) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        stream.write_all(format!("{command}\r\n").as_bytes()).ok()?;
        let mut answer = [0; 256];
        let read = stream.read(&mut answer).ok()?;
        Some(String::from_utf8_lossy(&answer[..read]).into_owned())
    }

    pub fn client(&self) -> redis::Connection {
        redis::Client::open(self.default_url()).expect("a URL").get_connection().expect("it answers")
    }

    /// Lets it have so many bytes of memory. 0: as many as there are.
    pub fn memory(&self, most: u32) {
        let said = self.says(&format!("CONFIG SET maxmemory {most}"));
        assert_eq!(said.as_deref(), Some("+OK\r\n"));
    }

    /// What a key has.
    pub fn value(&self, key: &str) -> Vec<u8> {
        redis::Commands::get(&mut self.client(), key).expect("a text")
    }

    /// How long the lease of the node at this address lasts, unless it is renewed.
    pub fn lease(&self, node: SocketAddr) -> Duration {
        let mut connection = self.client();
        let leases: Vec<String> = redis::Commands::keys(&mut connection, "{driftless}:lease:*").unwrap();
        let is_of = |key: &&String| {
            let says: String = redis::Commands::get(&mut connection, key.as_str()).unwrap_or_default();
            says.contains(&format!("{node}\""))
        };
        let lease = leases.iter().find(is_of).expect("it has one");
        Duration::from_millis(redis::Commands::pttl(&mut connection, lease.as_str()).unwrap())
    }

    /// Stops it in its tracks, or has it go on.
    pub fn signal(&self, signal: i32) {
        let pid = i32::try_from(self.child.id()).expect("a process id");
        // SAFETY: kill has no preconditions; the child has not been waited for, so the id is still its own.
        assert_eq!(unsafe { libc::kill(pid, signal) }, 0, "the process is there");
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
