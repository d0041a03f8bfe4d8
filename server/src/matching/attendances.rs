//! Where it is known who has come: here, or for several servers together in Redis.

use super::{
    attendance::{
        Attendance, FIRST_MS, GRACE_MS, LONGEST_MS, NotAsked, NotNow, OF_A_SOURCE, Party, REMEMBERED_MS, Who,
    },
    desks::DeskAway,
    queue::unix_ms,
    remote::ANSWER,
};
use crate::{clock::millis, ground::reservation::ReservationToken, nodes::Way};
use parking_lot::Mutex;
use redis::Script;
use std::time::Duration;

/// What is known of those who are expected.
pub(super) enum Attendances {
    /// By this server.
    Here(Box<Mutex<Attendance>>),
    /// By all.
    Remote(Box<Remote>),
}

/// The way to what all know.
pub(super) struct Remote {
    way: Way,
    script: Script,
}

impl Attendances {
    pub(super) fn new(way: Option<Way>) -> Self {
        match way {
            None => Self::Here(Box::default()),
            Some(way) => Self::Remote(Box::new(Remote::new(way))),
        }
    }

    /// Whether somebody may wait for a match: not while seats are kept, nor soon after they were not taken.
    pub(super) async fn check(&self, who: &Who) -> Result<(), NotAsked> {
        match self {
            Attendances::Here(all) => Ok(all.lock().check(unix_ms(), who, 0, 0)?),
            Attendances::Remote(remote) => remote.check(who).await,
        }
    }

    /// Seats are about to be kept for a party; a user may have `most` at a time.
    pub(super) async fn take(&self, party: &Party, most: u32, lasts: Duration) -> Result<(), NotAsked> {
        match self {
            Attendances::Here(all) => {
                let (mut all, now) = (all.lock(), unix_ms());
                all.check(now, &party.who, party.tokens.len() as u32, most)?;
                all.expect(now, party.clone(), millis(lasts));
                Ok(())
            }
            Attendances::Remote(remote) => remote.take(party, most, lasts).await,
        }
    }

    /// Seats are kept for those who have waited for a match.
    pub(super) async fn expect(&self, parties: Vec<Party>, lasts: Duration) -> Result<(), DeskAway> {
        match self {
            Attendances::Here(all) => {
                let (mut all, now) = (all.lock(), unix_ms());
                parties.into_iter().for_each(|party| all.expect(now, party, millis(lasts)));
                Ok(())
            }
            Attendances::Remote(remote) => remote.expect(&parties, lasts).await,
        }
    }

    /// No seats are kept for them after all. Each is named by its first token.
    pub(super) async fn forget(&self, parties: &[ReservationToken]) -> Result<(), DeskAway> {
        match self {
            Attendances::Here(all) => {
                let mut all = all.lock();
                parties.iter().for_each(|first| all.forget(*first));
                Ok(())
            }
            Attendances::Remote(remote) => remote.forget(parties).await,
        }
    }

    /// Seats were taken with these.
    pub(super) async fn came(&self, tokens: &[ReservationToken]) -> Result<(), DeskAway> {
        match self {
            Attendances::Here(all) => {
                let mut all = all.lock();
                tokens.iter().for_each(|token| all.came(*token));
                Ok(())
            }
            Attendances::Remote(remote) => remote.came(tokens).await,
        }
    }
}

impl Remote {
    pub(super) fn new(way: Way) -> Self {
        Self { way, script: Script::new(include_str!("attendance.lua")) }
    }

    pub(super) async fn check(&self, who: &Who) -> Result<(), NotAsked> {
        let [user, source] = texts(who);
        answer(&self.ask("check", &[user, source, "0".to_owned(), "0".to_owned()]).await?)
    }

    pub(super) async fn take(&self, party: &Party, most: u32, lasts: Duration) -> Result<(), NotAsked> {
        let [user, source] = texts(&party.who);
        let [more, most, lasts] = [party.tokens.len() as u64, most.into(), millis(lasts)];
        let [more, most, lasts] = [more, most, lasts].map(|number| number.to_string());
        answer(&self.ask("take", &[user, source, more, most, lasts, joined(&party.tokens)]).await?)
    }

    pub(super) async fn expect(&self, parties: &[Party], lasts: Duration) -> Result<(), DeskAway> {
        let mut arguments = vec![millis(lasts).to_string()];
        for party in parties {
            arguments.extend(texts(&party.who));
            arguments.push(joined(&party.tokens));
        }
        self.ask("expect", &arguments).await.map(drop)
    }

    pub(super) async fn forget(&self, parties: &[ReservationToken]) -> Result<(), DeskAway> {
        self.ask("forget", &parties.iter().map(|first| first.to_text()).collect::<Vec<_>>()).await.map(drop)
    }

    pub(super) async fn came(&self, tokens: &[ReservationToken]) -> Result<(), DeskAway> {
        self.ask("came", &tokens.iter().map(|token| token.to_text()).collect::<Vec<_>>()).await.map(drop)
    }

    async fn ask(&self, operation: &str, arguments: &[String]) -> Result<Vec<String>, DeskAway> {
        let mut call = self.script.prepare_invoke();
        call.key(self.way.key("expected")).arg(self.way.prefix()).arg(operation);
        for number in [GRACE_MS, FIRST_MS, LONGEST_MS, REMEMBERED_MS, OF_A_SOURCE.into()] {
            call.arg(number);
        }
        for argument in arguments {
            call.arg(argument);
        }
        Ok(self.way.ask(ANSWER, async |redis| call.invoke_async(redis).await).await?)
    }
}

fn texts(who: &Who) -> [String; 2] {
    let user = who.user.as_deref().unwrap_or_default().to_owned();
    [user, who.source.map_or_else(String::new, |source| source.to_string())]
}

fn joined(tokens: &[ReservationToken]) -> String {
    tokens.iter().map(|token| token.to_text()).collect::<Vec<_>>().join(" ")
}

fn answer(answer: &[String]) -> Result<(), NotAsked> {
    let left = || answer.get(1).and_then(|left| left.parse().ok()).map(Duration::from_millis);
    match (answer.first().map(String::as_str), left()) {
        (Some("done"), _) => Ok(()),
        (Some("expected"), Some(left)) => Err(NotNow::Expected(left).into()),
        (Some("missed"), Some(left)) => Err(NotNow::Missed(left).into()),
        _ => Err(DeskAway(format!("the script has returned {answer:?}")).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ground::source::Source, redis_server};
    use proptest::{prelude::*, test_runner::TestRunner};
    use std::cell::Cell;
    use tokio::runtime::Builder;

    #[derive(Debug, Clone)]
    enum Ask {
        Check(Option<u8>, u8),
        /// Two seats, of three at a time; or else of those who have waited. They may be over at once.
        Take(Option<u8>, u8, bool),
        Expect(Option<u8>, u8, bool),
        Forget(prop::sample::Index),
        Came(prop::sample::Index),
    }

    fn asks() -> impl Strategy<Value = Vec<Ask>> {
        let (user, source) = (|| prop::option::of(0..2u8), || 0..3u8);
        let of = move || (user(), source(), any::<bool>());
        let ask = prop_oneof![
            3 => (user(), source()).prop_map(|(user, source)| Ask::Check(user, source)),
            3 => of().prop_map(|(user, source, over)| Ask::Take(user, source, over)),
            3 => of().prop_map(|(user, source, over)| Ask::Expect(user, source, over)),
            1 => any::<prop::sample::Index>().prop_map(Ask::Forget),
            2 => any::<prop::sample::Index>().prop_map(Ask::Came),
        ];
        prop::collection::vec(ask, 1..40)
    }

    fn who(user: Option<u8>, source: u8) -> Who {
        let source = [None, Some("192.0.2.1"), Some("2001:db8::1")][usize::from(source)];
        Who::new(
            user.map(|user| format!("user {user}").into()),
            source.map(|at| Source::of(at.parse().unwrap())),
        )
    }

    fn lasts(over: bool) -> Duration {
        Duration::from_secs(if over { 0 } else { 3_600 })
    }

    /// Time goes on in the real one, a little.
    fn seconds(answer: Result<(), NotNow>) -> Result<(), (bool, u64)> {
        let up = |left: Duration| left.as_millis().div_ceil(10_000) as u64;
        answer.map_err(|why| match why {
            NotNow::Expected(left) => (true, up(left)),
            NotNow::Missed(left) => (false, up(left)),
        })
    }

    #[test]
    fn what_is_known_of_those_who_come_is_the_same_in_redis_and_in_its_model() {
        let redis = redis_server::Redis::start();
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let config = ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() };
        let number = Cell::new(0);
        let told = TestRunner::new(config).run(&asks(), |story| {
            number.set(number.get() + 1);
            let way = Way::new(&redis.default_url().parse().unwrap(), &format!("test-{}", number.get()));
            let (remote, mut model) = (Remote::new(way), Attendance::default());
            let mut tokens = vec![ReservationToken::random().unwrap()];
            for (at, ask) in story.iter().enumerate() {
                let fresh = [(); 2].map(|()| ReservationToken::random().unwrap());
                let party = |user: &Option<u8>, source: &u8| Party {
                    who: who(*user, *source),
                    tokens: fresh.to_vec(),
                };
                let (expected, answer) = match ask {
                    Ask::Check(user, source) => {
                        let who = who(*user, *source);
                        (model.check(0, &who, 0, 0), runtime.block_on(remote.check(&who)))
                    }
                    Ask::Take(user, source, over) => {
                        let party = party(user, source);
                        tokens.extend(fresh);
                        let checked = model.check(0, &party.who, 2, 3);
                        if checked.is_ok() {
                            model.expect(0, party.clone(), millis(lasts(*over)));
                        }
                        (checked, runtime.block_on(remote.take(&party, 3, lasts(*over))))
                    }
                    Ask::Expect(user, source, over) => {
                        let party = party(user, source);
                        tokens.extend(fresh);
                        model.expect(0, party.clone(), millis(lasts(*over)));
                        runtime.block_on(remote.expect(&[party], lasts(*over))).unwrap();
                        (Ok(()), Ok(()))
                    }
                    Ask::Forget(which) => {
                        let first = *which.get(&tokens);
                        model.forget(first);
                        runtime.block_on(remote.forget(&[first])).unwrap();
                        (Ok(()), Ok(()))
                    }
                    Ask::Came(which) => {
                        let token = *which.get(&tokens);
                        model.came(token);
                        runtime.block_on(remote.came(&[token])).unwrap();
                        (Ok(()), Ok(()))
                    }
                };
                let answer = answer.map_err(|why| match why {
                    NotAsked::NotNow(why) => why,
                    NotAsked::Away(why) => panic!("{why}"),
                });
                prop_assert_eq!(seconds(answer), seconds(expected), "{}: {:?}", at, ask);
            }
            Ok(())
        });
        told.unwrap();
    }
}
