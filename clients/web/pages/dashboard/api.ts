// Requests to the server, with the operator's token where there is one.

/** An answer that is not what was asked for: the server says why. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
  ) {
    super(message);
  }

  /** Whether (another) token would help. */
  get needsToken(): boolean {
    return this.status === 401;
  }
}

const KEY = "driftless-admin-token";

/** Takes the token over that the address ends with (`#token=…`), as the server prints it: it does not stay to be seen and copied. */
export function takeToken(): void {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (!token) return;
  setToken(token);
  history.replaceState(null, "", location.pathname + location.search);
}

/** For this tab only, and forgotten with it. */
export function setToken(token: string): void {
  sessionStorage.setItem(KEY, token);
}

export async function request(path: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers);
  const token = sessionStorage.getItem(KEY);
  if (token) headers.set("authorization", `Bearer ${token}`);
  const response = await fetch(path, { ...init, headers, cache: "no-store" });
  if (response.ok) return response;
  const body = (await response.json().catch(() => null)) as {
    error?: { code?: string; message?: string };
  } | null;
  const { code = "unknown", message = response.statusText } = body?.error ?? {};
  throw new Refused(response.status, code, message);
}

export function roomPath(room: string): string {
  return `/v1/rooms/${encodeURIComponent(room)}`;
}
