// The numbers of sim/src/games/arena/rules.rs that the page draws with. How players move is in the module it
// loads.

/** Side of the square world, cm, unless the room's maker chose another. */
export const WORLD_SIZE = 10_000;
/** Number of the obstacle that is the world itself, in a world larger than that. */
export const WORLD_BOX = 0;
/** Half the side of a player against walls, and its radius against projectiles, cm. */
export const PLAYER_RADIUS = 50;
/** Full stick. */
export const FULL_STICK = 127;
/** Directions that a snapshot distinguishes, counted anticlockwise from the x axis. */
export const AIM_SECTORS = 64;
/** `ArenaInput.buttons`: fire. */
export const BUTTON_FIRE = 1;
