import type { MessageInitShape } from "@bufbuild/protobuf";
import { SendError } from "../errors.js";
import type { PublishSchema, ReadTopicSchema } from "../gen/driftless/v1/client_pb.js";
import type { TopicMessage, TopicMessage_Kind } from "../gen/driftless/v1/server_pb.js";

type Asked =
  | { case: "readTopic"; value: MessageInitShape<typeof ReadTopicSchema> }
  | { case: "publish"; value: MessageInitShape<typeof PublishSchema> };

const OVER: TopicMessage_Kind.OVER = 3;
const PUBLISHED: TopicMessage_Kind.PUBLISHED = 4;
const REFUSED: TopicMessage_Kind.REFUSED = 5;
/** The longest text that a client may publish, bytes. */
const MAX_TEXT = 4096;

/** The topics that a client reads, over any number of connections; and what it publishes over this one. */
export class Topics {
  /** By name: the id of the last event, or empty. */
  private readonly after = new Map<string, string>();
  private unsent: Asked[] = [];
  /** What the server has not answered. */
  private readonly unanswered: ((id: string, code: string, reason: string) => void)[] = [];

  read(topic: string, after: string): void {
    this.after.set(topic, after);
    this.tell({ topic, after });
  }

  stop(topic: string): void {
    if (this.after.delete(topic)) this.tell({ topic, stop: true });
  }

  /** Publishes something over this connection. Resolves to its id, and rejects with a SendError. */
  publish(said: MessageInitShape<typeof PublishSchema> & { text: string }): Promise<string> {
    // The server measures it exactly. But it ends a connection over which a message comes that is far longer.
    if (said.text.length > MAX_TEXT)
      return Promise.reject(new SendError(`a text of more than ${MAX_TEXT} bytes: split it`, "too_large"));
    this.unsent.push({ case: "publish", value: said });
    return new Promise((resolve, reject) =>
      this.unanswered.push((id, code, reason) => (id ? resolve(id) : reject(new SendError(reason, code)))),
    );
  }

  /** The connection is lost, and with it the answers to what was published over it; or there is none. */
  disconnected(): void {
    const unsent = this.unsent.filter((asked) => asked.case === "publish").length;
    this.unanswered.splice(0).forEach((tell, n, { length }) => {
      if (n < length - unsent) tell("", "connection_lost", "it may be published all the same");
      else tell("", "not_connected", "it was not sent");
    });
    this.unsent = [...this.after].map(([topic, after]) => ({ case: "readTopic", value: { topic, after } }));
  }

  /** What the server is to be told next. */
  next(): Asked | undefined {
    return this.unsent.shift();
  }

  /** Takes a message. False: it is no news of a topic that is read. */
  take({ topic, id, kind, event, text }: TopicMessage): boolean {
    const answers = kind === PUBLISHED || kind === REFUSED;
    if (answers) this.unanswered.shift()?.(id, event, text);
    if (answers || !this.after.has(topic)) return false;
    if (kind === OVER) this.after.delete(topic);
    else this.after.set(topic, id);
    return true;
  }

  /** Only the last word on a topic counts. */
  private tell(value: MessageInitShape<typeof ReadTopicSchema>): void {
    const stays = (asked: Asked): boolean => asked.case === "publish" || asked.value.topic !== value.topic;
    this.unsent = [...this.unsent.filter(stays), { case: "readTopic", value }];
  }
}
