//! The way to Redis: a connection that is made when it is needed, and made anew when it is no longer of use.

use super::{ask::Failure, sentinel};
use crate::config::{At, Config, RedisUrl};
use futures_util::future::select_ok;
use parking_lot::Mutex;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ErrorKind, FromRedisValue, InfoDict, IntoConnectionInfo,
    RedisConnectionInfo, RedisError, RedisResult, ScriptInvocation, aio::MultiplexedConnection,
};
use std::time::Duration;
use tokio::{
    sync,
    time::{Instant, timeout},
};

/// A connection that nobody has used for so long is tried first. (Redis's `timeout` is a second at least.)
const IDLE: Duration = Duration::from_secs(1);

/// The way to Redis. All who go it share one connection, which must therefore keep nobody waiting.
pub(crate) struct Way {
    url: RedisUrl,
    prefix: String,
    connection: Mutex<Option<There>>,
    /// Held while a connection is made, so that one is made for all who wait.
    making: sync::Mutex<u64>,
}

/// The connection that all share.
struct There {
    number: u64,
    connection: MultiplexedConnection,
    /// When it was used last.
    used: Instant,
}

/// A connection of one's own, on which Redis may take its time.
pub(crate) struct Own(MultiplexedConnection);

impl Way {
    /// To this Redis, when somebody asks. `prefix`: what keys begin with.
    pub(crate) fn new(url: &RedisUrl, prefix: &str) -> Self {
        let prefix = hash_tag(prefix);
        Self { url: url.clone(), prefix, connection: Mutex::default(), making: sync::Mutex::default() }
    }

    /// To the Redis that the configuration names.
    pub(crate) fn of(config: &Config) -> Option<Self> {
        Some(Self::new(config.redis.as_ref()?, &config.redis_prefix))
    }

    /// What all keys begin with.
    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The key with this name.
    pub(crate) fn key(&self, name: &str) -> String {
        format!("{}:{name}", self.prefix)
    }

    /// Asks something. The limit is for all of it, the connection included. One that may be of no use any
    /// more is not used again.
    pub(crate) async fn ask<T>(
        &self,
        limit: Duration,
        ask: impl AsyncFnOnce(&mut MultiplexedConnection) -> RedisResult<T>,
    ) -> Result<T, Failure> {
        let mut used = None;
        let asked = within(limit, async {
            let (number, mut connection) = self.connection(limit).await?;
            used = Some(number);
            ask(&mut connection).await
        });
        let asked = asked.await;
        if asked.as_ref().is_err_and(Failure::is_of_connection) {
            self.drop_connection(used);
        }
        asked
    }

    /// Calls a script. The limit is for all of it.
    pub(crate) async fn call<T: FromRedisValue>(
        &self,
        limit: Duration,
        call: &ScriptInvocation<'_>,
    ) -> Result<T, Failure> {
        self.ask(limit, async |connection| call.invoke_async(connection).await).await
    }

    /// Another connection.
    pub(crate) async fn own(&self, limit: Duration) -> Result<Own, Failure> {
        within(limit, self.connect(limit)).await.map(Own)
    }

    async fn connection(&self, limit: Duration) -> RedisResult<(u64, MultiplexedConnection)> {
        if let Some(there) = self.there(limit).await {
            return Ok(there);
        }
        let mut number = self.making.lock().await;
        if let Some(there) = self.there(limit).await {
            return Ok(there);
        }
        let connection = self.connect(limit).await?;
        *number += 1;
        *self.connection.lock() =
            Some(There { number: *number, connection: connection.clone(), used: Instant::now() });
        Ok((*number, connection))
    }

    /// The connection that is there, if it is still of use: of one that was idle for a while, Redis (its
    /// `timeout`) or a firewall may know nothing any more. Asking first loses nothing, where a question that
    /// was sent may not be asked again.
    async fn there(&self, limit: Duration) -> Option<(u64, MultiplexedConnection)> {
        let (number, mut connection, used) = self
            .connection
            .lock()
            .as_ref()
            .map(|there| (there.number, there.connection.clone(), there.used))?;
        if used.elapsed() >= IDLE {
            // (Whoever may use a part of its commands only may ask for the time.)
            let asked = redis::cmd("TIME");
            let answers = within(limit / 4, asked.query_async::<redis::Value>(&mut connection)).await;
            if answers.is_err_and(|failure| failure.is_of_connection()) {
                self.drop_connection(Some(number));
                return None;
            }
        }
        let mut there = self.connection.lock();
        there.iter_mut().filter(|there| there.number == number).for_each(|there| there.used = Instant::now());
        Some((number, connection))
    }

    /// Has nobody use the one with this number any more.
    fn drop_connection(&self, number: Option<u64>) {
        self.connection.lock().take_if(|there| Some(there.number) == number);
    }

    /// What keys Redis removes when it is full, if it does: whose a room is may be among them.
    pub(crate) async fn evicts(&self, limit: Duration) -> Result<Option<String>, Failure> {
        let ask = redis::cmd("INFO").arg("memory").to_owned();
        let memory: InfoDict = self.ask(limit, async |redis| ask.query_async(redis).await).await?;
        let limited = memory.get::<u64>("maxmemory").is_some_and(|bytes| bytes > 0);
        let policy = memory.get::<String>("maxmemory_policy");
        Ok(policy.filter(|policy| limited && policy != "noeviction"))
    }

    async fn connect(&self, limit: Duration) -> RedisResult<MultiplexedConnection> {
        // Whoever asks says how long an answer may take.
        let config =
            AsyncConnectionConfig::new().set_connection_timeout(Some(limit)).set_response_timeout(None);
        // In a box, because it is large, and rare.
        Box::pin(connect(&self.url, &self.prefix, &config)).await
    }
}

impl Own {
    /// Asks something.
    pub(crate) async fn ask<T>(
        &mut self,
        limit: Duration,
        ask: impl AsyncFnOnce(&mut MultiplexedConnection) -> RedisResult<T>,
    ) -> Result<T, Failure> {
        within(limit, ask(&mut self.0)).await
    }
}

/// What keys begin with: in braces, so that a Redis Cluster keeps all of them in one place.
pub(super) fn hash_tag(prefix: &str) -> String {
    format!("{{{prefix}}}")
}

async fn within<T>(limit: Duration, asked: impl Future<Output = RedisResult<T>>) -> Result<T, Failure> {
    match timeout(limit, asked).await {
        Ok(answer) => answer.map_err(failure),
        Err(_) => Err(Failure::Slow(limit)),
    }
}

/// A new connection to the master: in a Redis Cluster, to that of this key (and all others, because they have
/// the same hash tag).
async fn connect(
    url: &RedisUrl,
    key: &str,
    config: &AsyncConnectionConfig,
) -> RedisResult<MultiplexedConnection> {
    match &url.at {
        At::Redis => open(url, &url.hosts[0], config).await,
        At::Sentinels(name) => sentinel::connect(url, name, config).await,
        At::Cluster => {
            // All at once: one that is dead must not use up the time.
            let asked = url.hosts.iter().map(|host| Box::pin(follow(url, key, host, config)));
            Ok(select_ok(asked).await?.0)
        }
    }
}

async fn open(
    url: &RedisUrl,
    host: &(String, u16),
    config: &AsyncConnectionConfig,
) -> RedisResult<MultiplexedConnection> {
    client(url, host, true)?.get_multiplexed_async_connection_with_config(config).await
}

/// Asks a member of a cluster for a key, and goes where that says.
async fn follow(
    url: &RedisUrl,
    key: &str,
    host: &(String, u16),
    config: &AsyncConnectionConfig,
) -> RedisResult<MultiplexedConnection> {
    let mut connection = open(url, host, config).await?;
    let asked = redis::cmd("EXISTS").arg(key).query_async::<bool>(&mut connection).await;
    let Err(error) = asked else { return Ok(connection) };
    // Without a name, it is the host that was asked.
    let there = error.redirect_node().and_then(|(there, _)| there.rsplit_once(':'));
    let there = there.and_then(|(name, port)| Some((name, port.parse().ok()?)));
    let Some((name, port)) = there else { return Err(error) };
    let name = if name.is_empty() { host.0.as_str() } else { name };
    open(url, &(name.to_owned(), port), config).await
}

/// For a Redis, with a `login`; or for a Sentinel.
pub(super) fn client(url: &RedisUrl, (host, port): &(String, u16), login: bool) -> RedisResult<Client> {
    let (host, port) = (host.clone(), *port);
    let address = match url.secure {
        true => ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None },
        false => ConnectionAddr::Tcp(host, port),
    };
    let mut settings = RedisConnectionInfo::default();
    if let Some(user) = url.user.as_ref().filter(|_| login) {
        settings = settings.set_username(user);
    }
    if let Some(password) = url.password.as_ref().filter(|_| login) {
        settings = settings.set_password(password);
    }
    Client::open(address.into_connection_info()?.set_redis_settings(settings))
}

fn failure(error: RedisError) -> Failure {
    let (text, kind, lost) = (error.to_string(), error.kind(), error.is_unrecoverable_error());
    if let ErrorKind::AuthenticationFailed = kind {
        return Failure::Locked(text);
    }
    // Of a pipeline, the first that has failed; of a script, the command within it.
    let errors = error.into_server_errors();
    match errors.as_deref().and_then(<[_]>::first).map_or("", |(_, error)| error.code()) {
        "READONLY" | "NOREPLICAS" | "MASTERDOWN" | "CLUSTERDOWN" | "LOADING" | "MISCONF" | "BUSY"
        | "MOVED" | "ASK" | "TRYAGAIN" => Failure::ReadOnly(text),
        "OOM" => Failure::Full(text),
        "NOAUTH" | "NOPERM" | "WRONGPASS" => Failure::Locked(text),
        _ if kind == ErrorKind::Io || kind == ErrorKind::MasterNameNotFoundBySentinel || lost => {
            Failure::Away(text)
        }
        _ => Failure::Refused(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of an answer of Redis.
    fn told(answer: &str) -> Failure {
        let value = redis::parse_redis_value(format!("{answer}\r\n").as_bytes()).unwrap();
        failure(value.extract_error().unwrap_err())
    }

    #[test]
    fn what_redis_says_no_with_is_told_apart_by_its_code() {
        for code in ["READONLY", "NOREPLICAS", "MASTERDOWN", "CLUSTERDOWN", "LOADING", "MISCONF", "BUSY"] {
            assert!(matches!(told(&format!("-{code} why")), Failure::ReadOnly(_)), "{code}");
        }
        for code in ["NOAUTH", "NOPERM", "WRONGPASS"] {
            assert!(matches!(told(&format!("-{code} why")), Failure::Locked(_)), "{code}");
        }
        let full = told("-OOM command not allowed when used memory > 'maxmemory'.");
        assert!(
            matches!(full, Failure::Full(_)) && full.is_passing() && !full.is_of_connection(),
            "{full:?}"
        );
        for of_the_question in ["-WRONGTYPE why", "-ERR it is OOM or READONLY"] {
            let failure = told(of_the_question);
            assert!(matches!(failure, Failure::Refused(_)) && !failure.is_passing(), "{failure:?}");
        }
    }
}
