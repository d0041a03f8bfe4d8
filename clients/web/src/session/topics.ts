import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ReadTopicSchema } from "../gen/driftless/v1/client_pb.js";
import type { TopicMessage, TopicMessage_Kind } from "../gen/driftless/v1/server_pb.js";

type ReadTopic = MessageInitShape<typeof ReadTopicSchema>;

const OVER: TopicMessage_Kind.OVER = 3;

/** The topics that a client reads, over any number of connections. */
export class Topics {
  /** By name: the id of the last event, or empty. */
  private readonly after = new Map<string, string>();
  private unsent: ReadTopic[] = [];

  read(topic: string, after: string): void {
    this.after.set(topic, after);
    this.tell({ topic, after });
  }

  stop(topic: string): void {
    if (this.after.delete(topic)) this.tell({ topic, stop: true });
  }

  /** There is another connection, over which nothing is read yet. */
  disconnected(): void {
    this.unsent = [...this.after].map(([topic, after]) => ({ topic, after }));
  }

  /** What the server is to be told next. */
  next(): ReadTopic | undefined {
    return this.unsent.shift();
  }

  /** Takes a message. False: it is of a topic that is read no longer. */
  take({ topic, id, kind }: TopicMessage): boolean {
    if (!this.after.has(topic)) return false;
    if (kind === OVER) this.after.delete(topic);
    else this.after.set(topic, id);
    return true;
  }

  /** Only the last word on a topic counts. */
  private tell(read: ReadTopic): void {
    this.unsent = [...this.unsent.filter(({ topic }) => topic !== read.topic), read];
  }
}
