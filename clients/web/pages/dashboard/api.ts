// Requests to the server, with the operator's token if there is one.

/** An error answer of the server, with its reason. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
  ) {
    super(message);
  }

  /** Whether a token, or another one, would help. */
  get needsToken(): boolean {
    return this.status === 401;
  }

  /** What an operator can do about it. */
  get advice(): string {
    if (!this.needsToken) return this.message;
    return sessionStorage.getItem(KEY)
      ? "This is not the admin token of this server. If none is configured, the server makes a new one at each start and prints it."
      : "The dashboard is for operators, who send the admin token: enter it, or open the address with #token= that the server printed.";
  }
}

const KEY = "driftless-admin-token";

/** For this tab only. */
export function setToken(token: string): void {
  sessionStorage.setItem(KEY, token);
}

/**
 * Takes the token from `#token=` of the address that the server printed, and removes it from the address bar,
 * so that it ends up in no bookmark and no screenshot. (Browsers send nothing after # to a server.) Returns
 * whether there was one.
 */
export function takeToken(): boolean {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (token === null) return false;
  setToken(token);
  history.replaceState(history.state, "", location.pathname + location.search);
  return true;
}

export async function request(path: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers);
  const token = sessionStorage.getItem(KEY);
  if (token) headers.set("authorization", `Bearer ${token}`);
  const response = await fetch(path, { ...init, headers, cache: "no-store" });
  if (response.ok) return response;
  const problem = (await response.json().catch(() => null)) as { code?: string; detail?: string } | null;
  const { code = "unknown", detail = response.statusText } = problem ?? {};
  throw new Refused(response.status, code, detail);
}

export function roomPath(room: string): string {
  return `/v1/rooms/${encodeURIComponent(room)}`;
}
