import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Suppresses what a new profile would otherwise show, ask or fetch. */
const PREFERENCES = {
  "app.update.disabledForTesting": true,
  "browser.aboutwelcome.enabled": false,
  "browser.safebrowsing.malware.enabled": false,
  "browser.safebrowsing.phishing.enabled": false,
  "browser.shell.checkDefaultBrowser": false,
  "datareporting.policy.dataSubmissionEnabled": false,
  "extensions.update.enabled": false,
  "network.captive-portal-service.enabled": false,
  "network.connectivity-service.enabled": false,
  "services.settings.server": "data:,",
  "toolkit.telemetry.reportingpolicy.firstRun": false,
};

/**
 * A headless Firefox without a driver. It opens a page of `server` through a proxy that adds `script` to it,
 * a function that runs in the page. The page posts its result to the proxy, and this function returns it.
 */
export async function inFirefox<T>(server: string, path: string, script: () => Promise<T>): Promise<T> {
  const profile = mkdtempSync(join(tmpdir(), "driftless-firefox-"));
  const lines = Object.entries(PREFERENCES).map(
    (p) => `user_pref(${p.map((v) => JSON.stringify(v)).join()});`,
  );
  writeFileSync(join(profile, "user.js"), lines.join("\n"));
  let proxy: http.Server | undefined;
  let firefox: ChildProcess | undefined;
  try {
    return await new Promise<T>((resolve, reject) => {
      proxy = http.createServer((request, response) => {
        if (request.url !== "/result") return void forward(server, script, request, response);
        let said = "";
        request.on("data", (chunk) => (said += String(chunk)));
        request.on("end", () => {
          response.end();
          const { result, error } = JSON.parse(said) as { result: T; error?: string };
          if (error === undefined) resolve(result);
          else reject(new Error(`in Firefox: ${error}`));
        });
      });
      proxy.listen(0, "127.0.0.1", () => {
        const url = `http://127.0.0.1:${(proxy!.address() as AddressInfo).port}${path}`;
        firefox = spawn(
          process.env.FIREFOX ?? "/usr/bin/firefox-esr",
          ["--headless", "--no-remote", "--profile", profile, url],
          { stdio: "ignore" },
        );
        firefox.on("error", reject);
        firefox.on("exit", (code) => reject(new Error(`Firefox ended with ${code}`)));
      });
      setTimeout(() => reject(new Error("Firefox told nothing")), 50_000).unref();
    });
  } finally {
    proxy?.close();
    proxy?.closeAllConnections();
    if (firefox && firefox.exitCode === null) {
      const gone = once(firefox, "exit");
      firefox.kill("SIGKILL");
      await gone;
    }
    rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
  }
}

async function forward(
  server: string,
  script: () => unknown,
  request: http.IncomingMessage,
  response: http.ServerResponse,
): Promise<void> {
  try {
    const answer = await fetch(new URL(request.url!, server));
    const type = answer.headers.get("content-type") ?? "";
    let body = Buffer.from(await answer.arrayBuffer());
    if (type.startsWith("text/html")) {
      const tell = `(${script})().then((result) => ({ result }), (error) => ({ error: String(error) }))
        .then((told) => fetch("/result", { method: "POST", body: JSON.stringify(told) }));`;
      body = Buffer.from(body.toString().replace("</body>", () => `<script>${tell}</script></body>`));
    }
    response.writeHead(answer.status, { "content-type": type }).end(body);
  } catch (error) {
    response.writeHead(502).end(String(error));
  }
}
