// Draws the entities of any game at the positions that its schema describes.

import { placeOf, type RoomState } from "./figures.js";

/**
 * The area drawn, in units of the game. It only grows, because moving entities should not make the ground
 * move.
 */
interface Area {
  left: number;
  top: number;
  right: number;
  bottom: number;
}

export class Plan {
  #area: Area | null = null;

  constructor(readonly canvas: HTMLCanvasElement) {}

  clear(): void {
    this.#area = null;
    this.canvas.getContext("2d")?.clearRect(0, 0, this.canvas.width, this.canvas.height);
  }

  draw(state: RoomState, colourOf: (kind: number) => string): void {
    const dots = state.tables.flatMap((table, kind) => {
      const place = placeOf(table);
      if (!place) return [];
      const unit = (column: number, row: number) =>
        Number(table.columns[column]![row]) / table.fields[column]!.quanta_per_unit;
      return table.ids.map((id, row) => ({ id, kind, x: unit(place.x, row), y: unit(place.y, row) }));
    });
    const { canvas } = this;
    const scale = devicePixelRatio;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    canvas.width = width * scale;
    canvas.height = height * scale;
    const paint = canvas.getContext("2d")!;
    paint.scale(scale, scale);
    const style = getComputedStyle(document.documentElement);
    if (dots.length > 0) {
      const area = this.#include(dots);
      const margin = 14;
      const zoom = Math.min(
        (width - 2 * margin) / (area.right - area.left),
        (height - 2 * margin) / (area.bottom - area.top),
      );
      const x = (at: number) => width / 2 + (at - (area.left + area.right) / 2) * zoom;
      const y = (at: number) => height / 2 + (at - (area.top + area.bottom) / 2) * zoom;
      paint.strokeStyle = style.getPropertyValue("--line");
      paint.strokeRect(x(area.left), y(area.top), x(area.right) - x(area.left), y(area.bottom) - y(area.top));
      for (const dot of dots) {
        paint.fillStyle = colourOf(dot.kind);
        paint.beginPath();
        paint.arc(x(dot.x), y(dot.y), dots.length > 500 ? 2 : 4, 0, 2 * Math.PI);
        paint.fill();
      }
      if (dots.length <= 60) {
        paint.fillStyle = style.getPropertyValue("--ink");
        paint.font = "11px system-ui";
        for (const dot of dots) paint.fillText(String(dot.id), x(dot.x) + 6, y(dot.y) + 4);
      }
    }
    canvas.setAttribute(
      "aria-label",
      `Plan of room ${state.room}: ${dots.length} entities at tick ${state.tick}`,
    );
  }

  #include(dots: readonly { x: number; y: number }[]): Area {
    const area = (this.#area ??= { left: Infinity, top: Infinity, right: -Infinity, bottom: -Infinity });
    for (const { x, y } of dots) {
      area.left = Math.min(area.left, x);
      area.right = Math.max(area.right, x);
      area.top = Math.min(area.top, y);
      area.bottom = Math.max(area.bottom, y);
    }
    if (area.right - area.left < 1) area.right = area.left + 1;
    if (area.bottom - area.top < 1) area.bottom = area.top + 1;
    return area;
  }
}
