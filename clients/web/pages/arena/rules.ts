// The numbers of sim/src/games/arena/rules.rs that the page draws with. How players move is in the module it
// loads.

/** Side of the square world, cm. */
export const WORLD_SIZE = 10_000;
/** Half the side of a player against walls, and its radius against projectiles, cm. */
export const PLAYER_RADIUS = 50;
/** Full stick. */
export const FULL_STICK = 127;
/** Directions that a snapshot distinguishes, counted anticlockwise from the x axis. */
export const AIM_SECTORS = 64;
/** `ArenaInput.buttons`: fire. */
export const BUTTON_FIRE = 1;
