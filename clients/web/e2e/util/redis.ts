import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { connect, createServer } from "node:net";

/** A `redis-server` of its own. */
export class Redis {
  private constructor(
    private readonly process: ChildProcess,
    readonly url: string,
  ) {}

  /** Starts it on a free port, and waits until it takes connections. */
  static async start(): Promise<Redis> {
    const free = createServer().listen(0, "127.0.0.1");
    await once(free, "listening");
    const { port } = free.address() as { port: number };
    await new Promise((closed) => free.close(closed));
    const options = ["--port", `${port}`, "--bind", "127.0.0.1", "--save", ""];
    const child = spawn("redis-server", options, { stdio: "ignore" });
    const ended = once(child, "exit").then(() => Promise.reject(new Error("redis-server ended")));
    const redis = new Redis(child, `redis://127.0.0.1:${port}`);
    while (!(await Promise.race([isOpen(port), ended])));
    ended.catch(() => {});
    return redis;
  }

  async kill(): Promise<void> {
    const gone = once(this.process, "exit");
    this.process.kill("SIGKILL");
    await gone;
  }
}

function isOpen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.on("connect", () => resolve(true)).on("error", () => setTimeout(() => resolve(false), 20));
    socket.on("connect", () => socket.destroy());
  });
}
