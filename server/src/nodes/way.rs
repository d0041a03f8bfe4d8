//! The way to Redis: a connection that is made when it is needed, and made anew when it is no longer of use.

use super::{ask::Failure, sentinel};
use crate::config::{At, RedisUrl};
use futures_util::future::select_ok;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ErrorKind, IntoConnectionInfo, RedisConnectionInfo,
    RedisError, RedisResult, ServerErrorKind, aio::MultiplexedConnection,
};
use std::{cell::RefCell, time::Duration};
use tokio::{sync::Mutex, time::timeout};

/// The way to Redis, of one thread.
pub(super) struct Way {
    url: RedisUrl,
    /// What keys begin with, in braces.
    prefix: String,
    /// Longest time until there is a connection.
    limit: Duration,
    connection: RefCell<Option<(u64, MultiplexedConnection)>>,
    /// Held while a connection is made, so that one is made for all who wait.
    making: Mutex<u64>,
}

impl Way {
    pub(super) fn new(url: RedisUrl, prefix: &str, limit: Duration) -> Self {
        let prefix = prefix.to_owned();
        Self { url, prefix, limit, connection: RefCell::new(None), making: Mutex::new(0) }
    }

    /// The connection, and its number.
    pub(super) async fn connection(&self) -> Result<(u64, MultiplexedConnection), Failure> {
        if let Some(there) = &*self.connection.borrow() {
            return Ok(there.clone());
        }
        let mut number = self.making.lock().await;
        if let Some(there) = &*self.connection.borrow() {
            return Ok(there.clone());
        }
        let made = self.fresh().await?;
        *number += 1;
        *self.connection.borrow_mut() = Some((*number, made.clone()));
        Ok((*number, made))
    }

    /// Another connection.
    pub(super) async fn fresh(&self) -> Result<MultiplexedConnection, Failure> {
        // The caller's limit counts, also for requests over the connection.
        let config =
            AsyncConnectionConfig::new().set_connection_timeout(Some(self.limit)).set_response_timeout(None);
        connect(&self.url, &self.prefix, &config).await.map_err(failure)
    }

    /// Asks something, in time or not at all.
    pub(super) async fn ask<T>(
        &self,
        limit: Duration,
        ask: impl AsyncFnOnce(MultiplexedConnection) -> RedisResult<T>,
    ) -> Result<T, Failure> {
        let mut used = None;
        let asked = async {
            let (number, redis) = self.connection().await?;
            used = Some(number);
            ask(redis).await.map_err(failure)
        };
        let answer = timeout(limit, asked).await.unwrap_or(Err(Failure::Slow(limit)));
        if let Err(Failure::Away(_) | Failure::Slow(_) | Failure::ReadOnly(_)) = &answer {
            self.forget(used);
        }
        answer
    }

    /// The connection with this number is of no use any more.
    pub(super) fn forget(&self, number: Option<u64>) {
        self.connection.borrow_mut().take_if(|(there, _)| Some(*there) == number);
    }
}

/// A new connection to the master: in a Redis Cluster, to that of this key (and all others, because they have
/// the same hash tag).
pub(crate) async fn connect(
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

pub(super) fn failure(error: RedisError) -> Failure {
    match error.kind() {
        ErrorKind::Server(
            ServerErrorKind::ReadOnly
            | ServerErrorKind::MasterDown
            | ServerErrorKind::BusyLoading
            | ServerErrorKind::Moved
            | ServerErrorKind::ClusterDown,
        ) => Failure::ReadOnly(error.to_string()),
        ErrorKind::Io | ErrorKind::MasterNameNotFoundBySentinel => Failure::Away(error.to_string()),
        // A script that fails names the error of the command within it.
        _ if error.to_string().contains("READONLY") || error.to_string().contains("NOREPLICAS") => {
            Failure::ReadOnly(error.to_string())
        }
        _ if error.is_unrecoverable_error() => Failure::Away(error.to_string()),
        _ => Failure::Refused(error.to_string()),
    }
}
