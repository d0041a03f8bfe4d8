//! What came of aimed shots: the JSON object of `loadtest aim`.

use super::{marksman::Tally, verdict::Misses};
use driftless_client::TransportKind;
use driftless_links::Quantiles;
use serde::Serialize;

/// The figures. `None` (null): could not be measured.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct AimFigures {
    /// The scenario: its name, its random seed, and what it is.
    pub scenario: String,
    /// Ticks per second.
    pub tick_rate: u32,
    /// How far shots may be rewound in the rooms with lag compensation, ms.
    pub rewind_ms: u32,
    /// Shooters on each transport, with lag compensation; and as many without.
    pub shooters: u32,
    /// Who run, in each shooter's room.
    pub runners: u32,
    /// How long it measured, seconds.
    pub seconds: f64,
    /// Players that could not connect or were disconnected.
    pub errors: u64,
    /// Each transport's.
    pub websocket: Option<TransportFigures>,
    /// See above.
    pub quic: Option<TransportFigures>,
    /// See above.
    pub webtransport: Option<TransportFigures>,
}

/// One transport's.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct TransportFigures {
    /// Where shots are judged by what their shooters were shown.
    pub on: ShotFigures,
    /// Where they are judged by what is there.
    pub off: ShotFigures,
}

/// What came of the shots of a kind of room.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct ShotFigures {
    /// Shots, all of which would hit if nobody changed direction.
    pub shots: u64,
    /// Of these, hit somebody on the shooter's screen.
    pub shown: u64,
    /// Of those, hit the same player in the room.
    pub hits: u64,
    /// The share.
    pub hit_ratio: Option<f64>,
    /// Of those, hit another one in the room.
    pub another: u64,
    /// Of those, hit nobody in the room: why.
    pub misses: Misses,
    /// Shots that hit in the room, but not on the screen.
    pub unseen: u64,
    /// How old the picture was that the shooter saw, ms.
    pub picture_age_ms: Option<Quantiles>,
    /// How far the room rewound the shots that killed, ms.
    pub rewound_ms: Option<Quantiles>,
    /// How far from where it really was a target was shown when it was hit on the screen, m.
    pub shown_off_m: Option<Quantiles>,
}

impl AimFigures {
    /// Figures in which nothing is null, so that the keys are known before anything is measured.
    pub fn specimen() -> Self {
        let shots = ShotFigures {
            hit_ratio: Some(0.0),
            picture_age_ms: Some(Quantiles::default()),
            rewound_ms: Some(Quantiles::default()),
            shown_off_m: Some(Quantiles::default()),
            ..ShotFigures::default()
        };
        let transport = Some(TransportFigures { on: shots.clone(), off: shots });
        Self {
            websocket: transport.clone(),
            quic: transport.clone(),
            webtransport: transport,
            ..Self::default()
        }
    }

    /// The place of a transport's figures.
    pub fn of(&mut self, kind: TransportKind) -> &mut Option<TransportFigures> {
        match kind {
            TransportKind::WebSocket => &mut self.websocket,
            TransportKind::Quic => &mut self.quic,
            TransportKind::WebTransport => &mut self.webtransport,
        }
    }

    /// Those that were measured, with their names.
    pub fn transports(&self) -> impl Iterator<Item = (&'static str, &TransportFigures)> {
        let all =
            [("websocket", &self.websocket), ("quic", &self.quic), ("webtransport", &self.webtransport)];
        all.into_iter().filter_map(|(name, figures)| Some((name, figures.as_ref()?)))
    }
}

impl From<&Tally> for ShotFigures {
    fn from(tally: &Tally) -> Self {
        let &Tally { shots, shown, confirmed, another, misses, unseen, .. } = tally;
        Self {
            shots,
            shown,
            hits: confirmed,
            hit_ratio: (shown > 0).then(|| confirmed as f64 / shown as f64),
            another,
            misses,
            unseen,
            picture_age_ms: tally.picture_age.quantiles_ms(),
            rewound_ms: tally.rewound.quantiles_ms(),
            // Thousandths of a millisecond there, thousandths of a metre here.
            shown_off_m: tally.shown_off.quantiles_ms(),
        }
    }
}
