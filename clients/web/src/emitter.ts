/** Most events that wait for their first listener. */
const MOST_KEPT = 256;

/** Calls listeners. If one throws, the others are still called, and its error is reported separately. */
export class Emitter<Events> {
  /** Events that nobody has listened to yet. */
  private readonly kept = new Map<keyof Events, Events[keyof Events][]>();
  private readonly listeners = new Map<keyof Events, Set<(event: never) => void>>();

  /** `keep`: event types that wait for the first listener. */
  constructor(...keep: (keyof Events)[]) {
    for (const type of keep) this.kept.set(type, []);
  }

  /** Returns a function that removes the listener. */
  on<K extends keyof Events>(type: K, listener: (event: Events[K]) => void): () => void {
    let set = this.listeners.get(type);
    if (!set) this.listeners.set(type, (set = new Set()));
    const own = set;
    own.add(listener);
    const kept = this.kept.get(type);
    // Until then, events go on waiting, so that none overtakes another.
    if (kept) {
      queueMicrotask(() => {
        if (this.has(type) && this.kept.delete(type))
          kept.forEach((event) => this.emit(type, event as Events[K]));
      });
    }
    return () => own.delete(listener);
  }

  has(type: keyof Events): boolean {
    return (this.listeners.get(type)?.size ?? 0) > 0;
  }

  emit<K extends keyof Events>(type: K, event: Events[K]): void {
    const kept = this.kept.get(type);
    if (kept) {
      kept.push(event);
      if (kept.length > MOST_KEPT) kept.shift();
      return;
    }
    const listeners = this.listeners.get(type);
    for (const listener of [...(listeners ?? [])]) {
      // Another one may have removed it.
      if (listeners?.has(listener)) reported(() => listener(event as never));
    }
  }
}

/** Calls the application's code. If it throws, the error is reported separately, and the caller continues. */
export function reported(call: () => void): void {
  try {
    call();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
