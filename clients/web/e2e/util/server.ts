import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";

/** A server under test: the real binary. */
export class Server {
  private constructor(
    private readonly process: ChildProcess,
    readonly url: string,
    /** The admin token. */
    readonly token: string,
  ) {}

  /** Starts the binary that DRIFTLESS_BIN names. `port` 0 means a free one. */
  static async start(port = 0, ...options: string[]): Promise<Server> {
    const binary = process.env.DRIFTLESS_BIN;
    if (!binary) throw new Error("set DRIFTLESS_BIN to the server's binary");
    const child = spawn(binary, ["serve", "--listen", `127.0.0.1:${port}`, "--log", "error", ...options], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    let said = "";
    for await (const chunk of child.stdout!) {
      said += String(chunk);
      const url = /https?:\/\/127\.0\.0\.1:\d+/.exec(said)?.[0];
      const dashboard = /^dashboard: (\S+)\n/m.exec(said)?.[1];
      if (!url || !dashboard) continue;
      // The token given as an option, or the one that the server generated.
      const given = options.indexOf("--admin-token");
      const token = given < 0 ? dashboard.split("#token=")[1]! : options[given + 1]!;
      return new Server(child, url, token);
    }
    throw new Error(`the server ended: ${said}`);
  }

  get dashboard(): string {
    return `${this.url}/dashboard#token=${this.token}`;
  }

  get authorization(): { authorization: string } {
    return { authorization: `Bearer ${this.token}` };
  }

  get port(): number {
    return Number(new URL(this.url).port);
  }

  /** Like a crash: no goodbye. */
  async kill(): Promise<void> {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return;
    const gone = once(this.process, "exit");
    this.process.kill("SIGKILL");
    await gone;
  }
}
