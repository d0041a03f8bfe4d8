//! A server under test: one that runs, or a command that starts a fresh one for each run.

use super::Failure;
use crate::{
    cast::Cast,
    cli::RunArgs,
    process::{Running, shell},
    run::{self, Tally},
    server::{ADMIN_TOKEN, Api, random_token},
    stop::Stop,
    tls::Authorities,
    url::Url,
};
use std::{
    net::TcpStream,
    process::Stdio,
    time::{Duration, Instant},
};

/// How long the bots' connections may take to disappear from the server's count.
const LEAVE_PATIENCE: Duration = Duration::from_secs(10);
/// Time between two checks.
const LOOK: Duration = Duration::from_millis(50);

/// A server.
#[derive(Debug)]
pub struct Subject {
    args: RunArgs,
    /// Starts it.
    command: Option<String>,
}

impl Subject {
    /// That of `--url`, and the other one.
    pub fn all(args: &RunArgs) -> (Self, Option<Self>) {
        let sizes = &args.sizes;
        let server = Self::new(args, args.url.clone(), args.server_pid, sizes.server_command.clone());
        let is_there = sizes.against.is_some() || sizes.against_command.is_some();
        let against = is_there.then(|| {
            let url = sizes.against.clone().unwrap_or_else(|| args.url.clone());
            Self::new(args, url, sizes.against_pid, sizes.against_command.clone())
        });
        (server, against)
    }
    fn new(args: &RunArgs, url: Url, server_pid: Option<u32>, command: Option<String>) -> Self {
        let mut args = RunArgs { url, server_pid, ..args.clone() };
        if command.is_some() {
            args.operator.admin_token.get_or_insert_with(random_token);
        }
        Self { args, command }
    }
    /// One run. Afterwards the server is as it was before, or gone.
    pub fn play(&self, room_size: u32, cast: &Cast, stop: &Stop) -> Result<Tally, Failure> {
        let args = RunArgs { room_size, ..self.args.clone() };
        match &self.command {
            Some(command) => {
                let server = start(command, &args, stop)?;
                run::play(&RunArgs { server_pid: Some(server.pid()), ..args }, cast, stop)
            }
            None => {
                let api = Api::new(&args.url, &args.operator, &Authorities::read(args.ca.as_deref())?);
                let before = connections(&api);
                let tally = run::play(&args, cast, stop)?;
                clear(&api, &tally.rooms, before);
                Ok(tally)
            }
        }
    }
}

fn start(command: &str, args: &RunArgs, stop: &Stop) -> Result<Running, Failure> {
    let address = args.url.resolve()?;
    if TcpStream::connect(address).is_ok() {
        return Err(
            format!("a server is to be started on {address}, but something already listens there").into()
        );
    }
    let mut command = shell(command);
    if let Some(token) = &args.operator.admin_token {
        command.env(ADMIN_TOKEN, token);
    }
    // It says where it listens, which is known, and standard output may be where the JSON goes.
    let mut server = Running::new(command.stdout(Stdio::null()).spawn()?);
    server.wait_until(address, || Ok(TcpStream::connect(address).is_ok()), stop)?;
    Ok(server)
}

/// Closes the rooms, which would tick for a while beside the next run, and waits until the bots are gone.
fn clear(api: &Api, rooms: &[String], before: u64) {
    if let Err(error) = rooms.iter().try_for_each(|room| api.close_room(room)) {
        eprintln!("warning: empty rooms may go on ticking during the next run: {error}");
    }
    let until = Instant::now() + LEAVE_PATIENCE;
    while connections(api) > before {
        if Instant::now() > until {
            eprintln!(
                "warning: after {LEAVE_PATIENCE:?} the server still counts connections from the last run"
            );
            return;
        }
        std::thread::sleep(LOOK);
    }
}

/// 0 if it does not say.
fn connections(api: &Api) -> u64 {
    api.scrape().ok().and_then(|scrape| scrape.connections).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::OperatorArgs;
    use std::{
        io::{BufRead, BufReader, Write},
        net::TcpListener,
        sync::mpsc::{Receiver, channel},
    };

    /// Answers one request after the other with these, each on a connection of its own, and gives their first
    /// lines.
    fn serve(answers: Vec<(&'static str, &'static str)>) -> (Api, Receiver<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("ws://{}", listener.local_addr().unwrap()).parse().unwrap();
        let api =
            Api::new(&url, &OperatorArgs { admin_token: Some("secret".into()) }, &Authorities::default());
        let (tell, asked) = channel();
        std::thread::spawn(move || {
            for (status, body) in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let lines = BufReader::new(stream.try_clone().unwrap()).lines().map(Result::unwrap);
                let request: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
                tell.send(request[0].clone()).unwrap();
                let length = body.len();
                let head =
                    format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
                stream.write_all((head + body).as_bytes()).unwrap();
            }
        });
        (api, asked)
    }

    const TWO: &str =
        "driftless_connections{transport=\"websocket\"} 1\ndriftless_connections{transport=\"quic\"} 1\n";
    const ONE: &str = "driftless_connections{transport=\"websocket\"} 1\n";

    #[test]
    fn a_run_leaves_no_room_and_no_connection_to_the_next() {
        let (api, asked) = serve(vec![
            ("204 No Content", ""),
            ("404 Not Found", "it ended by itself"),
            ("200 OK", TWO),
            ("200 OK", TWO),
            ("200 OK", ONE),
        ]);
        clear(&api, &["load-1-0".into(), "load-1-1".into()], 1);
        let asked: Vec<_> = asked.try_iter().collect();
        assert_eq!(
            asked,
            [
                "DELETE /v1/rooms/load-1-0 HTTP/1.1",
                "DELETE /v1/rooms/load-1-1 HTTP/1.1",
                "GET /metrics HTTP/1.1",
                "GET /metrics HTTP/1.1",
                "GET /metrics HTTP/1.1",
            ],
            "until there are no more than before"
        );
    }

    #[test]
    fn a_server_that_does_not_count_connections_is_not_waited_for() {
        let (api, asked) = serve(vec![("200 OK", "other 7\n")]);
        clear(&api, &[], 0);
        assert_eq!(asked.try_iter().collect::<Vec<_>>(), ["GET /metrics HTTP/1.1"]);
    }
}
