/** Pictures that are looked at together. */
const WINDOW = 60;
/** A picture is late so many ms after the one before; of the pictures looked at, this share may be. */
const LATE = 21;
const SHARE = 0.12;
/**
 * Where nearly all are late, and none by more than this, ms, the screen shows no more than 30 a second: to
 * save power, say.
 */
const EVEN = 40;
/** A page that was hidden is not slow. */
const PAUSE = 250;

/** Finds out from the times between pictures whether the machine is too slow for what is drawn. */
export class Pace {
  private pictures = 0;
  private late = 0;
  private longest = 0;

  /**
   * A picture, `since` ms after the last. Whether fewer pixels are called for, or as many as there were
   * first.
   */
  picture(since: number): "slow" | "even" | undefined {
    if (since > PAUSE) return undefined;
    this.pictures++;
    this.longest = Math.max(this.longest, since);
    if (since > LATE) this.late++;
    if (this.pictures < WINDOW) return undefined;
    const share = this.late / this.pictures;
    const even = share > 0.9 && this.longest < EVEN;
    this.pictures = this.late = this.longest = 0;
    return even ? "even" : share > SHARE ? "slow" : undefined;
  }
}
