//! Cards whose rules are the players' own: everybody sees the table, and nobody another's hand.

use driftless_sim::{PlayerId, PlayerInput, Rng, Schema, Setup, Simulation, Snapshot, Step, View};
use serde::{Deserialize, Serialize};

/// A player plays a card, or draws one.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Move {
    /// The id of the card to play. None: draws one.
    #[prost(uint32, optional, tag = "1")]
    pub play: Option<u32>,
}

/// Where a card is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Place {
    Deck,
    Hand(PlayerId),
    /// As the how manieth it was played.
    Table(i32),
}

/// The cards of a room, shuffled: face (0 to 51) and place. A card's id, from 1, says nothing of its face.
#[derive(Debug, Serialize, Deserialize)]
pub struct Hands(Vec<(u8, Place)>);

impl Simulation for Hands {
    const KIND: &'static str = "hands";
    type Input = ();
    type Command = Move;
    type Event = ();
    type Options = ();

    fn schema() -> Schema {
        Schema::new()
            .kind("card", |kind| kind.hold("face", &["rank", "suit"], 1).hold("pile", &["played"], 1))
    }
    fn new(setup: &Setup) -> Result<Self, String> {
        let mut rng = Rng::new(setup.seed);
        let mut cards: Vec<_> = (0..52).map(|face| (face, Place::Deck)).collect();
        (1..cards.len()).for_each(|at| cards.swap(at, rng.below(at as u32 + 1) as usize));
        Ok(Self(cards))
    }
    fn join(&mut self, _player: PlayerId, _name: &str, _step: &mut Step<'_, ()>) {}
    fn leave(&mut self, player: PlayerId, _step: &mut Step<'_, ()>) {
        let hand = self.0.iter_mut().filter(|(_, place)| *place == Place::Hand(player));
        hand.for_each(|(_, place)| *place = Place::Deck);
    }
    fn command(&mut self, player: PlayerId, wanted: Move, _step: &mut Step<'_, ()>) -> Result<(), String> {
        let played = self.0.iter().filter(|(_, place)| matches!(place, Place::Table(_))).count() as i32;
        let (from, to, at) = match wanted.play {
            Some(id) => (Place::Hand(player), Place::Table(played + 1), (id as usize).checked_sub(1)),
            None => (Place::Deck, Place::Hand(player), self.0.iter().position(|(_, at)| *at == Place::Deck)),
        };
        let card = at.and_then(|at| self.0.get_mut(at)).filter(|(_, place)| *place == from);
        card.ok_or("there is no such card")?.1 = to;
        Ok(())
    }
    fn step(&mut self, _inputs: &[PlayerInput<()>], _step: &mut Step<'_, ()>) {}
    fn snapshot(&self, out: &mut Snapshot) {
        for (id, &(face, place)) in (1..).zip(&self.0) {
            let (zone, played) = match place {
                Place::Deck => continue,
                Place::Hand(player) => (player, 0),
                Place::Table(played) => (0, played),
            };
            out.zone(zone).table_mut(0).push(id, &[i32::from(face % 13), i32::from(face / 13), played]);
        }
    }
    fn view(&self, player: PlayerId, view: &mut View<'_>) {
        view.see(player);
    }
}
