import type { TopicMessage } from "./gen/driftless/v1/server_pb.js";

/** What a topic says to those who read it. */
export interface TopicEvent {
  /**
   * `event`: something was published. `begun`: it is read from here. `gap`: the same, and something may have
   * been missed. `over`: it is not read any more; `event` says why, in a word, and `text` for developers.
   */
  readonly type: "event" | "begun" | "gap" | "over";
  readonly id: string;
  /** The name that its publisher gave it, or empty. */
  readonly event: string;
  readonly text: string;
  /** With `event`: the user who has published it, as the server knows it. Empty: an operator has. */
  readonly user: string;
  /** The name that this user's token gives, or empty. */
  readonly name: string;
}

/** A topic, as `Room.topic` gives it. */
export interface Topic {
  /**
   * Publishes a text of at most 4 KiB in the topic, if the player's token allows it, and resolves to the
   * event's id. `event` names it, for readers who listen to several kinds; with `latest`, it replaces the
   * event before it of which this was said. Rejects with a SendError whose `code` says why: "forbidden",
   * "too_often", "not_connected"; with "connection_lost" it may be published all the same.
   */
  publish(text: string, as?: { event?: string; latest?: boolean }): Promise<string>;
  /** Reads it no longer. */
  stop(): void;
}

const TYPES = ["event", "begun", "gap", "over"] as const;

/** What the server says of a topic, for its listener. */
export function topicEvent({ kind, id, event, text, user, name }: TopicMessage): TopicEvent {
  return { type: TYPES[kind as 0 | 1 | 2 | 3] ?? "event", id, event, text, user, name };
}
