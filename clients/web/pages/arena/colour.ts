/**
 * The colours that players choose from, numbered from 1 as in the arena: hue in degrees, and the name that
 * screen readers say.
 */
export const PALETTE: readonly { readonly name: string; readonly hue: number }[] = [
  { name: "Red", hue: 2 },
  { name: "Orange", hue: 24 },
  { name: "Amber", hue: 43 },
  { name: "Lime", hue: 82 },
  { name: "Green", hue: 135 },
  { name: "Teal", hue: 168 },
  { name: "Cyan", hue: 190 },
  { name: "Blue", hue: 214 },
  { name: "Indigo", hue: 242 },
  { name: "Violet", hue: 272 },
  { name: "Magenta", hue: 304 },
  { name: "Rose", hue: 338 },
];

const scheme = matchMedia("(prefers-color-scheme: dark)");
const shapes = { dark: colours("72%", 65), light: colours("70%", 45) };
/** Contrast of 4.5 against the page's background (WCAG 2, 1.4.3) at any hue. */
const inks = { dark: colours("75%", 77), light: colours("75%", 24) };

/** The palette index of a player who has chosen no colour: far from those of the players before and after. */
export function colourFor(player: number): number {
  return ((player * 5) % PALETTE.length) + 1;
}

/** A colour of the palette, for shapes. */
export function shapeColour(colour: number): string {
  return shapes[schemeNow()][colour - 1] ?? "gray";
}

/** A colour of the palette, for text. */
export function inkColour(colour: number): string {
  return inks[schemeNow()][colour - 1] ?? "inherit";
}

export function isDark(): boolean {
  return scheme.matches;
}

/** Calls `changed` when the page switches between light and dark. */
export function onScheme(changed: () => void, signal: AbortSignal): void {
  scheme.addEventListener("change", changed, { signal });
}

function schemeNow(): "dark" | "light" {
  return scheme.matches ? "dark" : "light";
}

function colours(saturation: string, lightness: number): string[] {
  // Yellows and greens look lighter than their lightness says, blues darker.
  return PALETTE.map(({ hue }) => {
    const blue = hue > 225 && hue < 290 ? 4 : 0;
    return `hsl(${hue} ${saturation} ${lightness + (lightness > 50 ? blue : 0)}%)`;
  });
}
