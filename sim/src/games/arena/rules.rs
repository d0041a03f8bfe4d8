//! The constants of the arena. Lengths are centimetres, the quanta of its snapshots.

/// Units per centimetre: the precision of movement.
pub const UNITS: i32 = 1_024;
/// Side of the square world, cm, unless the room's maker chose another. Coordinates go from 0 to this.
pub const WORLD_SIZE: i32 = 10_000;
/// Side of the largest world, cm.
pub const MAX_WORLD_SIZE: i32 = 200_000;
/// The fastest that anybody moves, cm per second (a player that is sent to a place moves at this speed).
pub const MAX_SPEED: i32 = 1_000;
/// Speed of a player at full stick, cm per second.
pub const RUN_SPEED: i32 = 700;
/// How fast speed changes towards where the stick points, cm/s².
pub const ACCELERATION: i32 = 4_000;
/// How fast a player without a direction slows down, cm/s².
pub const FRICTION: i32 = 3_000;
/// Half the side of a player against walls, and its radius against projectiles, cm.
pub const PLAYER_RADIUS: i32 = 50;
/// Speed of a projectile, cm per second.
pub const PROJECTILE_SPEED: i32 = 2_500;
/// How long a projectile flies, ms.
pub const PROJECTILE_LIFE_MS: u32 = 1_200;
/// Shortest time between a player's shots, ms.
pub const FIRE_INTERVAL_MS: u32 = 250;
/// Health of a player that spawns.
pub const MAX_HEALTH: u8 = 100;
/// Health that a projectile takes.
pub const DAMAGE: u8 = 25;
/// Time from death to respawn, ms, unless the room's maker chose another.
pub const RESPAWN_MS: u32 = 3_000;
/// Time from the end of a round to the next, ms, in rooms that have rounds.
pub const PAUSE_MS: u32 = 10_000;
/// How long a movement continues without a newer input, ms.
pub const HOLD_MS: u32 = 500;
/// Full stick.
pub const FULL_STICK: i32 = 127;
/// `ArenaInput.buttons`: fire.
pub const BUTTON_FIRE: u32 = 1;
/// The colours of the two teams.
pub const TEAM_COLOURS: [u8; 2] = [1, 8];
/// Places on the palette of colours that players choose from.
pub const COLOURS: std::ops::RangeInclusive<u8> = 1..=12;
/// Least time between a player's changes of colour, ms.
pub const COLOUR_INTERVAL_MS: u32 = 500;
/// Directions that a snapshot distinguishes, counted anticlockwise from the x axis.
pub const AIM_SECTORS: i32 = 64;

/// The farthest that a player can move in this many ticks without a respawn, cm: a client may treat more as a
/// fault. A respawn shows in a changed `spawns` column.
pub fn max_distance(ticks: u32, tick_rate: u32) -> i64 {
    let whole = i64::from(MAX_SPEED) * i64::from(ticks) / i64::from(tick_rate.max(1));
    // Both positions are rounded down to a quantum, on both axes.
    whole + 3
}

/// How far apart, units, a projectile and a player can be who meet within so many 1/128 of a tick.
pub(super) fn reach(parts: u64, tick_rate: u32) -> i32 {
    let speed = i64::from(PROJECTILE_SPEED + MAX_SPEED);
    let way = speed * parts as i64 / (i64::from(tick_rate.max(1)) * 128) + i64::from(PLAYER_RADIUS);
    i32::try_from((way + 2) * i64::from(UNITS)).unwrap_or(i32::MAX)
}

/// Ticks that a time takes, rounded up, at least 1.
pub(super) fn ticks(milliseconds: u32, tick_rate: u32) -> u32 {
    (milliseconds * tick_rate).div_ceil(1_000).max(1)
}

/// Moves per tick, so that a step is never longer than 1/20 s: walls and projectiles behave alike at any tick
/// rate.
pub(super) fn moves_per_tick(tick_rate: u32) -> u32 {
    20u32.div_ceil(tick_rate)
}
