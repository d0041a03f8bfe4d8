//! The master that Sentinels know. All are asked at once, and the first is believed that names a server which
//! says itself that it is the master. So a Sentinel that is silent, or has not heard of a failover yet, holds
//! nobody up.

use super::way::client;
use crate::config::RedisUrl;
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use redis::{
    AsyncConnectionConfig, ErrorKind, InfoDict, RedisError, RedisResult, aio::MultiplexedConnection,
};
use std::time::Duration;
use tokio::{select, time::timeout};

/// Longest time for a Sentinel, and for a server that one has named.
const EACH: Duration = Duration::from_secs(if cfg!(test) { 100 } else { 1 });

/// Host and port.
type Address = (String, u16);

/// A new connection to the master with this name.
pub(super) async fn connect(
    url: &RedisUrl,
    master: &str,
    config: &AsyncConnectionConfig,
) -> RedisResult<MultiplexedConnection> {
    let mut asked: FuturesUnordered<_> =
        url.hosts.iter().map(|sentinel| within_its_time(sentinel, ask(url, sentinel, master))).collect();
    let (mut named, mut tried) = (Vec::new(), FuturesUnordered::new());
    let (mut of_sentinel, mut of_server) = (None, None);
    loop {
        select! {
            Some(answer) = asked.next() => match answer {
                Ok(address) if named.contains(&address) => {}
                Ok(address) => {
                    named.push(address.clone());
                    tried.push(async move { within_its_time(&address, reach(url, &address, config)).await });
                }
                Err(error) => of_sentinel = Some(error),
            },
            Some(reached) = tried.next() => match reached {
                Ok(connection) => return Ok(connection),
                Err(error) => of_server = Some(error),
            },
            else => break,
        }
    }
    let nobody = || (ErrorKind::MasterNameNotFoundBySentinel, "there are no Sentinels").into();
    Err(of_server.or(of_sentinel).unwrap_or_else(nobody))
}

/// Who is the master, in the eyes of this Sentinel.
async fn ask(url: &RedisUrl, sentinel: &Address, master: &str) -> RedisResult<Address> {
    let mut connection = client(url, sentinel, false)?
        .get_multiplexed_async_connection_with_config(&AsyncConnectionConfig::new())
        .await?;
    let ask = redis::cmd("SENTINEL").arg("get-master-addr-by-name").arg(master).to_owned();
    let address: Option<Address> = ask.query_async(&mut connection).await?;
    let unknown = || {
        let who = format!("{}:{} knows no {master:?}", sentinel.0, sentinel.1);
        (ErrorKind::MasterNameNotFoundBySentinel, "Sentinel", who).into()
    };
    address.ok_or_else(unknown)
}

/// A connection to this server, if it is the master.
async fn reach(
    url: &RedisUrl,
    server: &Address,
    config: &AsyncConnectionConfig,
) -> RedisResult<MultiplexedConnection> {
    let mut connection =
        client(url, server, true)?.get_multiplexed_async_connection_with_config(config).await?;
    // `ROLE` would take a right that the scripts do not need.
    let info: InfoDict = redis::cmd("INFO").arg("replication").query_async(&mut connection).await?;
    if info.get::<String>("role").as_deref() == Some("master") {
        return Ok(connection);
    }
    let what = format!("{}:{} is not the master that Sentinels take it for", server.0, server.1);
    Err((ErrorKind::MasterNameNotFoundBySentinel, "Redis", what).into())
}

async fn within_its_time<T>(who: &Address, asked: impl Future<Output = RedisResult<T>>) -> RedisResult<T> {
    let silent = |_| RedisError::from((ErrorKind::Io, "no answer", format!("from {}:{}", who.0, who.1)));
    timeout(EACH, asked).await.map_err(silent).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use redis::{Parser, Value};
    use std::{
        io::Write as _,
        net::{TcpListener, TcpStream},
        thread,
    };

    /// Something that answers each command, by its first word.
    fn serve(answer: impl Fn(&[u8]) -> String + Clone + Send + 'static) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let talk = move |mut stream: TcpStream| {
            let mut parser = Parser::new();
            while let Ok(Value::Array(command)) = parser.parse_value(&stream) {
                let Some(Value::BulkString(word)) = command.first() else { return };
                if stream.write_all(answer(word).as_bytes()).is_err() {
                    return;
                }
            }
        };
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let talk = talk.clone();
                thread::spawn(move || talk(stream));
            }
        });
        port
    }

    fn server(role: &str) -> u16 {
        let info = format!("role:{role}\r\n");
        let info = format!("${}\r\n{info}\r\n", info.len());
        serve(move |word| if word == b"INFO" { info.clone() } else { "+OK\r\n".to_owned() })
    }

    fn sentinel(of: u16) -> u16 {
        let address = format!("*2\r\n$9\r\n127.0.0.1\r\n${}\r\n{of}\r\n", of.to_string().len());
        serve(move |word| if word == b"SENTINEL" { address.clone() } else { "+OK\r\n".to_owned() })
    }

    async fn try_connect(sentinels: &[u16]) -> RedisResult<MultiplexedConnection> {
        let hosts: Vec<_> = sentinels.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        let url: RedisUrl = format!("redis+sentinel://{}/main", hosts.join(",")).parse().unwrap();
        let config = AsyncConnectionConfig::new();
        timeout(EACH / 2, connect(&url, "main", &config)).await.expect("nobody waits for a silent one")
    }

    /// The kernel takes connections; nobody answers.
    fn silent() -> (TcpListener, u16) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        (listener, port)
    }

    #[tokio::test]
    async fn a_sentinel_that_is_silent_holds_nobody_up() {
        let (_open, silent) = silent();
        let well = sentinel(server("master"));
        try_connect(&[silent, well]).await.unwrap();
        try_connect(&[well, silent]).await.unwrap();
    }

    #[tokio::test]
    async fn a_sentinel_that_has_not_heard_of_a_failover_is_not_believed() {
        let well = sentinel(server("master"));
        let (_open, dead) = silent();
        try_connect(&[sentinel(server("slave")), well]).await.unwrap();
        try_connect(&[sentinel(dead), well]).await.unwrap();
    }

    #[tokio::test]
    async fn why_there_is_no_master_is_said() {
        let why = async |sentinel: u16| try_connect(&[sentinel]).await.err().unwrap().to_string();
        let replica = server("slave");
        let said = why(sentinel(replica)).await;
        assert!(said.contains(&format!("127.0.0.1:{replica} is not the master")), "{said}");
        let said =
            why(serve(|word| if word == b"SENTINEL" { "*-1\r\n" } else { "+OK\r\n" }.to_owned())).await;
        assert!(said.contains("knows no \"main\""), "{said}");
    }
}
