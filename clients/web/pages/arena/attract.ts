import { onScheme } from "./colour.js";
import { type Box, Painter } from "./painter.js";

const BOXES: readonly Box[] = [
  { x: 38, y: 56, width: 6, height: 3.5 },
  { x: 57, y: 53, width: 3.5, height: 7 },
  { x: 41, y: 39, width: 4, height: 5 },
  { x: 54, y: 41, width: 7, height: 3 },
];

const calm = matchMedia("(prefers-reduced-motion: reduce)");

/** What runs behind the start card: a few players running about. Returns a function that stops it. */
export function attract(painter: Painter): () => void {
  let request = 0;
  const stopped = new AbortController();
  onScheme(() => painter.recolour(), stopped.signal);
  const draw = (now: number): void => {
    request = requestAnimationFrame(draw);
    const t = calm.matches ? 0 : now / 1000;
    painter.begin(50, 50);
    painter.floor(BOXES);
    for (let n = 0; n < 7; n++) {
      const [a, b] = [t * (0.22 + n * 0.03) + n * 2.4, t * (0.31 - n * 0.02) + n];
      const [x, y] = [50 + Math.cos(a) * (6 + n * 1.3), 50 + Math.sin(b) * (4 + n * 0.9)];
      const aim = a + 2 + Math.sin(t + n);
      const far = ((t * 0.9 + n * 0.37) % 1) * 16;
      if (n % 2 === 0 && far > 1 && !calm.matches) {
        const [cos, sin] = [Math.cos(aim), Math.sin(aim)];
        painter.shot(
          x + far * cos,
          y + far * sin,
          x + (far - 1) * cos,
          y + (far - 1) * sin,
          ((n * 5) % 12) + 1,
        );
      }
      painter.figure({ x, y, aim, health: 100, colour: ((n * 5) % 12) + 1, name: "", own: false });
    }
  };
  request = requestAnimationFrame(draw);
  return () => {
    cancelAnimationFrame(request);
    stopped.abort();
  };
}
