/** A player's hue, degrees: far from those of the players before and after. */
export function hueOf(player: number): number {
  return (player * 137.508) % 360;
}

/** A player's colour, for shapes. */
export function colourOf(player: number, dark = isDark()): string {
  return `hsl(${hueOf(player).toFixed(0)} 70% ${dark ? 65 : 45}%)`;
}

/** A player's colour, for text: with a contrast of 4.5 to the page's ground (WCAG 2, 1.4.3) at any hue. */
export function inkOf(player: number): string {
  return `hsl(${hueOf(player).toFixed(0)} 70% ${isDark() ? 75 : 24}%)`;
}

export function isDark(): boolean {
  return matchMedia("(prefers-color-scheme: dark)").matches;
}
