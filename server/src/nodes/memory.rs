//! What this node knows of users, written again to a Redis that has forgotten it: one that was emptied, that
//! another took the place of, or that has come back older than it was. It is there before rooms can be
//! claimed again, so that no node lets somebody in that it would not have before.

use super::{
    ask::{Failure, Generation},
    users::{LIMIT, REVOKED, USED, revoked_one, used},
    way::Way,
    words::{KNOWN, MOST, Words},
};
use crate::{clock::millis, ground::once::Id};
use parking_lot::Mutex;
use redis::{Script, pipe};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{sync::watch, time::sleep};
use tracing::info;

/// Written at a time.
const PART: usize = 500;
/// Time until the next attempt when Redis is away.
const AGAIN: Duration = Duration::from_millis(200);

/// Of users of whom nothing newer is known there. KEYS: the stream, and a key for each user. ARGV: most
/// entries of the stream, how long it is known at least that something was said, and for each user its name,
/// milliseconds, and when that was said.
const SCRIPT: &str = "#!lua flags=allow-oom
local function time(said)
  local ms, number = string.match(said or '', '^(%d+)-(%d+)$')
  return tonumber(ms or '0'), tonumber(number or '0')
end
for n = 2, #KEYS do
  local user, for_ms, said = ARGV[3 * n - 3], ARGV[3 * n - 2], ARGV[3 * n - 1]
  local is = redis.call('GET', KEYS[n])
  local is_ms, is_number = time(is)
  local ms, number = time(said)
  if not is or ms > is_ms or (ms == is_ms and number > is_number) then
    local id = redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', 'user', user, 'for_ms', for_ms, 'said', said)
    if ms == 0 then said = id end
    redis.call('SET', KEYS[n], said, 'PX', math.max(tonumber(for_ms), tonumber(ARGV[2])))
  end
end
";

/// What a node knows of users.
pub(crate) struct Known {
    /// Who is revoked, and for how much longer.
    pub revoked: Box<dyn Fn() -> Vec<(Arc<str>, Duration)> + Send>,
    /// The tokens that were used here, and for how much longer they are valid.
    pub used: Box<dyn Fn() -> Vec<(Id, Duration)> + Send>,
}

/// Writes it whenever Redis is another one, for ever.
pub(super) async fn renew(
    way: &Way,
    known: &Known,
    words: &Mutex<Words>,
    mut generations: watch::Receiver<Option<Generation>>,
) {
    let mut was = None;
    while generations.changed().await.is_ok() {
        let is = generations.borrow_and_update().clone();
        // Of the first one that this node has seen, it has forgotten nothing.
        if std::mem::replace(&mut was, is).is_none() {
            continue;
        }
        while let Err(error) = write(way, known, words).await {
            info!(%error, "what is known of users cannot be written again yet");
            sleep(AGAIN).await;
        }
    }
}

async fn write(way: &Way, known: &Known, words: &Mutex<Words>) -> Result<(), Failure> {
    for tokens in (known.used)().chunks(PART) {
        let mut set = pipe();
        for (id, left) in tokens {
            set.cmd("SET").arg(used(way, *id)).arg(USED).arg("PX").arg(life(*left)).ignore();
        }
        way.ask(LIMIT, async |connection| set.query_async::<()>(connection).await).await?;
    }
    let script = Script::new(SCRIPT);
    let said = words.lock().again((known.revoked)(), Instant::now());
    for users in said.chunks(PART) {
        let mut call = script.prepare_invoke();
        call.key(way.key(REVOKED)).arg(MOST).arg(millis(KNOWN));
        for (user, said, left) in users {
            call.key(revoked_one(way, user)).arg(&**user).arg(millis(*left)).arg(said.to_string());
        }
        way.call::<()>(LIMIT, &call).await?;
    }
    Ok(())
}

/// In milliseconds: at least one, or it is over at once.
fn life(span: Duration) -> u64 {
    millis(span).max(1)
}
