//! The connection to Redis: made when it is needed, and made anew when it is no longer of use.

use super::{
    ask::{Answer, Ask, Failure, Incarnation},
    node::Node,
    script::{Call, SCRIPT, answer, is_agreed, parcel},
};
use crate::config::RedisUrl;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ErrorKind, IntoConnectionInfo, RedisConnectionInfo,
    RedisError, RedisResult, Script, ServerErrorKind, TlsMode,
    aio::MultiplexedConnection,
    sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType},
};
use std::{cell::RefCell, time::Duration};
use tokio::{sync::Mutex, time::timeout};

/// When a connection on which nothing came is taken for lost: Redis answers after a second.
const LISTEN: Duration = Duration::from_secs(3);

/// A connection that waits for what concerns this node.
pub(super) struct Inbox(MultiplexedConnection);

/// The connection, and what has come.
pub(super) type Heard = (Inbox, Option<String>);

/// The way to Redis.
pub(super) struct Link {
    url: RedisUrl,
    call: Call,
    script: Script,
    /// Replicas that must have a lease or a claim.
    replicas: u32,
    /// Longest time for an answer; for a player's question, half of it.
    limit: Duration,
    connection: RefCell<Option<(u64, MultiplexedConnection)>>,
    /// Held while a connection is made, so that one is made for all who wait.
    making: Mutex<u64>,
}

impl Link {
    pub(super) fn new(url: RedisUrl, call: Call, replicas: u32, limit: Duration) -> Self {
        let (connection, making) = (RefCell::new(None), Mutex::new(0));
        Self { url, call, script: Script::new(SCRIPT), replicas, limit, connection, making }
    }

    /// Asks. One round trip, once there is a connection.
    pub(super) async fn ask(&self, me: &Incarnation, says: &Node, ask: &Ask) -> Result<Answer, Failure> {
        let mut used = None;
        // A player who waits is better told soon to come again; a lease is better renewed late than not.
        let limit =
            if matches!(ask, Ask::Claim { .. } | Ask::Find { .. }) { self.limit / 2 } else { self.limit };
        let asked = timeout(limit, self.try_ask(&mut used, me, says, ask)).await;
        let asked = asked.unwrap_or(Err(Failure::Slow(limit)));
        if let Err(Failure::Away(_) | Failure::Slow(_) | Failure::ReadOnly(_)) = &asked {
            self.forget(used);
        }
        asked
    }

    async fn try_ask(
        &self,
        used: &mut Option<u64>,
        me: &Incarnation,
        says: &Node,
        ask: &Ask,
    ) -> Result<Answer, Failure> {
        let (number, mut connection) = self.connection().await?;
        *used = Some(number);
        let mut call = self.script.prepare_invoke();
        call.key(self.call.key());
        for argument in self.call.arguments(me, says, ask) {
            call.arg(argument);
        }
        if let Some(parcel) = parcel(ask) {
            call.arg(parcel);
        }
        let value = call.invoke_async(&mut connection).await.map_err(failure)?;
        if self.replicas > 0 && is_agreed(ask) {
            let limit = self.limit.as_millis() as u64 / 4;
            let wait = redis::cmd("WAIT").arg(self.replicas).arg(limit).to_owned();
            let confirmed: u64 = wait.query_async(&mut connection).await.map_err(failure)?;
            let wanted = u64::from(self.replicas);
            if confirmed < wanted {
                return Err(Failure::Unconfirmed { confirmed, wanted });
            }
        }
        answer(&value)
    }

    /// Waits for what concerns this node, for a second at most, over a connection of its own.
    pub(super) async fn listen(&self, inbox: Option<Inbox>, me: &Incarnation) -> Result<Heard, Failure> {
        let mut inbox = match inbox {
            Some(inbox) => inbox,
            None => {
                let config = AsyncConnectionConfig::new()
                    .set_connection_timeout(Some(self.limit))
                    .set_response_timeout(None);
                Inbox(connect(&self.url, &config).await.map_err(failure)?)
            }
        };
        let pop = redis::cmd("BLPOP").arg(self.call.inbox(me)).arg(1).to_owned();
        let popped = timeout(LISTEN, pop.query_async(&mut inbox.0)).await;
        let popped: Option<(String, String)> = popped.map_err(|_| Failure::Slow(LISTEN))?.map_err(failure)?;
        Ok((inbox, popped.map(|(_, text)| text)))
    }

    /// The connection, and its number.
    async fn connection(&self) -> Result<(u64, MultiplexedConnection), Failure> {
        if let Some(there) = &*self.connection.borrow() {
            return Ok(there.clone());
        }
        let mut number = self.making.lock().await;
        if let Some(there) = &*self.connection.borrow() {
            return Ok(there.clone());
        }
        // The caller's limit counts, also for requests over the connection.
        let config =
            AsyncConnectionConfig::new().set_connection_timeout(Some(self.limit)).set_response_timeout(None);
        let made = connect(&self.url, &config).await.map_err(failure)?;
        *number += 1;
        *self.connection.borrow_mut() = Some((*number, made.clone()));
        Ok((*number, made))
    }

    /// The connection with this number is of no use any more.
    fn forget(&self, number: Option<u64>) {
        self.connection.borrow_mut().take_if(|(there, _)| Some(*there) == number);
    }
}

/// A new connection to the master.
pub(crate) async fn connect(
    url: &RedisUrl,
    config: &AsyncConnectionConfig,
) -> RedisResult<MultiplexedConnection> {
    match &url.master {
        Some(master) => sentinel(url, master)?.get_async_connection_with_config(config).await,
        None => {
            let info = address(url).remove(0).into_connection_info()?;
            let mut login = RedisConnectionInfo::default();
            if let Some(user) = &url.user {
                login = login.set_username(user);
            }
            if let Some(password) = &url.password {
                login = login.set_password(password);
            }
            let client = Client::open(info.set_redis_settings(login))?;
            client.get_multiplexed_async_connection_with_config(config).await
        }
    }
}

fn sentinel(url: &RedisUrl, master: &str) -> RedisResult<SentinelClient> {
    let mut builder = SentinelClientBuilder::new(address(url), master, SentinelServerType::Master)?;
    if url.secure {
        builder = builder
            .set_client_to_redis_tls_mode(TlsMode::Secure)
            .set_client_to_sentinel_tls_mode(TlsMode::Secure);
    }
    if let Some(user) = &url.user {
        builder = builder.set_client_to_redis_username(user);
    }
    if let Some(password) = &url.password {
        builder = builder.set_client_to_redis_password(password);
    }
    builder.build()
}

fn address(url: &RedisUrl) -> Vec<ConnectionAddr> {
    let of = |(host, port): &(String, u16)| {
        let (host, port) = (host.clone(), *port);
        match url.secure {
            true => ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None },
            false => ConnectionAddr::Tcp(host, port),
        }
    };
    url.hosts.iter().map(of).collect()
}

fn failure(error: RedisError) -> Failure {
    match error.kind() {
        ErrorKind::Server(
            ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown | ServerErrorKind::BusyLoading,
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
