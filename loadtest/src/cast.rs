//! Who plays: the bots of this program, and what happens in a game that it does not know.

use crate::{behaviour::Behaviour, own::Own, trace::Trace};
use driftless_links::Player;
use driftless_sim::{Bot, Simulation, games::arena::Arena};
use std::{fmt, path::Path, sync::Arc};

/// Bots for one kind of game.
#[derive(Debug, Clone, Copy)]
pub struct BotKind {
    kind: &'static str,
    bots: Bots,
}

#[derive(Debug, Clone, Copy)]
enum Bots {
    /// Of the arena; the only ones that can follow a trace.
    Wanderers,
    /// A game's own, and the name of its type.
    Own(fn(usize) -> Box<dyn Player + Send>, &'static str),
}

impl BotKind {
    /// A game's own bots, by its [`Bot`]. Each sees what a client sees, and decides with that once a tick.
    ///
    /// A bot that is expensive to run makes the swarm more expensive: watch `swarm.busy_ratio` in the JSON.
    pub fn of<G: Bot>() -> Self {
        Self {
            kind: G::KIND,
            bots: Bots::Own(|index| Box::new(Own::<G>::new(index)), std::any::type_name::<G>()),
        }
    }
    /// The arena's, for measuring: they run about and shoot now and then, whatever they see, so that figures
    /// do not change with how clever bots are. All published figures were measured with them.
    pub fn wanderers() -> Self {
        Self { kind: Arena::KIND, bots: Bots::Wanderers }
    }
    /// The kind of game that they play.
    pub(crate) fn kind(&self) -> &'static str {
        self.kind
    }
}

/// Who plays in a run.
#[derive(Debug, Clone)]
pub struct Cast {
    kind: String,
    tick_rate: u32,
    role: Role,
}

#[derive(Debug, Clone)]
enum Role {
    Wander,
    Follow(Arc<Trace>),
    Own(fn(usize) -> Box<dyn Player + Send>, &'static str),
    Idle,
}

impl Cast {
    /// Chooses from the bots that there are.
    ///
    /// # Errors
    /// The trace cannot be read, or nobody could follow it.
    pub fn choose(
        bots: &[BotKind],
        kind: &str,
        tick_rate: u32,
        trace: Option<&Path>,
    ) -> Result<Self, Box<dyn std::error::Error>> {
        let bots = bots.iter().find(|bots| bots.kind == kind).map(|bots| bots.bots);
        let role = match (bots, trace) {
            (Some(Bots::Wanderers), Some(trace)) => Role::Follow(Arc::new(Trace::read(trace)?)),
            (_, Some(_)) => {
                return Err(format!("--trace needs the arena's bots, and these play {kind}").into());
            }
            (Some(Bots::Wanderers), None) => Role::Wander,
            (Some(Bots::Own(make, name)), None) => Role::Own(make, name),
            (None, None) => Role::Idle,
        };
        Ok(Self { kind: kind.to_owned(), tick_rate, role })
    }
    /// Bot number `index`.
    pub fn player(&self, index: usize) -> Behaviour {
        match &self.role {
            Role::Wander => Behaviour::wander(index, self.tick_rate),
            Role::Follow(trace) => Behaviour::follow(trace, index),
            Role::Own(make, _) => Behaviour::Own(make(index)),
            Role::Idle => Behaviour::Idle,
        }
    }
}

/// The line at the start of a run.
impl fmt::Display for Cast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, tick_rate, role } = self;
        write!(f, "bots of {kind}: ")?;
        match role {
            Role::Wander => f.write_str(
                "each runs straight for half a second to two, then another way, and shoots in one of eight stretches",
            ),
            Role::Follow(trace) => write!(f, "each follows one of the {} paths of the trace", trace.paths()),
            Role::Own(_, name) => write!(f, "each acts on what it sees, as the game's own bot ({name})"),
            Role::Idle => write!(
                f,
                "this program has none, so each sends an empty input (all fields at their defaults) {tick_rate} times \
                 per second: this measures connections and states, but not play (see driftless_loadtest::main for \
                 how to add a bot)"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cast(kind: &str) -> Cast {
        Cast::choose(&[BotKind::wanderers()], kind, 20, None).unwrap()
    }

    #[test]
    fn what_bots_do_is_said() {
        assert!(cast("arena").to_string().starts_with("bots of arena: each runs straight"));
        let unknown = cast("chess").to_string();
        assert!(
            unknown.contains("this program has none") && unknown.contains("20 times per second"),
            "{unknown}"
        );
    }

    #[test]
    fn a_trace_that_nobody_could_follow_is_refused() {
        let error = Cast::choose(&[BotKind::wanderers()], "chess", 20, Some(Path::new("t.csv"))).unwrap_err();
        assert_eq!(error.to_string(), "--trace needs the arena's bots, and these play chess");
    }
}
