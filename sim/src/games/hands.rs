//! Cards whose rules are the players' own: everybody sees the table, and nobody another's hand.

use driftless_sim::{PlayerId, PlayerInput, Schema, SecretRng, Setup, Simulation, Snapshot, Step, View};
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
    /// Its place in the order of play.
    Table(i32),
}

/// The places of a room's cards, by face (0 to 51). A card's id is its face + 1: who is not shown the card is
/// not shown its id either.
#[derive(Debug, Serialize, Deserialize)]
pub struct Hands {
    cards: Vec<Place>,
    rng: SecretRng,
}

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
        Ok(Self { cards: vec![Place::Deck; 52], rng: SecretRng::new(setup.seed) })
    }
    fn join(&mut self, _player: PlayerId, _name: &str, _step: &mut Step<'_, ()>) {}
    fn leave(&mut self, player: PlayerId, _step: &mut Step<'_, ()>) {
        let hand = self.cards.iter_mut().filter(|place| **place == Place::Hand(player));
        hand.for_each(|place| *place = Place::Deck);
    }
    fn command(&mut self, player: PlayerId, wanted: Move, _step: &mut Step<'_, ()>) -> Result<(), String> {
        let played = self.cards.iter().filter(|place| matches!(place, Place::Table(_))).count() as i32;
        let mut deck = (0..self.cards.len()).filter(|&at| self.cards[at] == Place::Deck);
        let (from, to, at) = match wanted.play {
            Some(id) => (Place::Hand(player), Place::Table(played + 1), (id as usize).checked_sub(1)),
            // Any, because who has left knows some that are in the deck again.
            None => {
                let at = self.rng.below(deck.clone().count() as u32);
                (Place::Deck, Place::Hand(player), deck.nth(at as usize))
            }
        };
        let card = at.and_then(|at| self.cards.get_mut(at)).filter(|place| **place == from);
        *card.ok_or("there is no such card")? = to;
        Ok(())
    }
    fn step(&mut self, _inputs: &[PlayerInput<()>], _step: &mut Step<'_, ()>) {}
    fn snapshot(&self, out: &mut Snapshot) {
        for (face, &place) in (0..).zip(&self.cards) {
            let (zone, played) = match place {
                Place::Deck => continue,
                Place::Hand(player) => (player, 0),
                Place::Table(played) => (0, played),
            };
            out.zone(zone).table_mut(0).push(face as u32 + 1, &[face % 13, face / 13, played]);
        }
    }
    fn view(&self, player: PlayerId, view: &mut View<'_>) {
        view.see(player);
    }
}
