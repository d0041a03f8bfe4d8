// Formats figures for people.

const UNITS = ["B", "kB", "MB", "GB", "TB"];

/** 1234567 → "1.23 MB". */
export function bytes(n: number): string {
  let unit = 0;
  while (n >= 999.5 && unit < UNITS.length - 1) {
    n /= 1000;
    unit++;
  }
  return `${unit === 0 ? Math.round(n) : digits(n)} ${UNITS[unit]}`;
}

/** 1234 → "1.23 ms"; null (above all that is measured, or nothing was measured) → "–". */
export function micros(us: number | null): string {
  if (us === null) return "–";
  if (us < 999.5) return `${digits(us)} µs`;
  return us < 999_500 ? `${digits(us / 1000)} ms` : `${digits(us / 1e6)} s`;
}

/** Three significant digits. */
export function digits(n: number): string {
  if (n === 0) return "0";
  return n >= 99.95 ? Math.round(n).toLocaleString("en") : n.toFixed(n >= 9.995 ? 1 : 2);
}

/** A number of things, or of things per second. */
export function count(n: number): string {
  return n > 0 && n < 10 && !Number.isInteger(n) ? n.toFixed(1) : Math.round(n).toLocaleString("en");
}

/** 3723000 → "1 h 2 min". */
export function span(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${seconds % 60} s`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}
