// Who the player is, for pages that have no login of their own: the token in the address that
// `driftless token --url` prints.
const KEY = "driftless-identity";

/**
 * Takes the token from `#identity=` of the address, and removes it from the address bar, so that it ends up
 * in no bookmark and no invitation. (Browsers send nothing after # to a server.) It is kept for this tab, and
 * reloads. Undefined: there is none, and the player is a guest.
 */
export function takeIdentity(): (() => string) | undefined {
  const given = new URLSearchParams(location.hash.slice(1)).get("identity");
  if (given !== null) {
    history.replaceState(history.state, "", location.pathname + location.search);
    store(() => sessionStorage.setItem(KEY, given));
  }
  const token = given ?? store(() => sessionStorage.getItem(KEY));
  return token ? () => token : undefined;
}

/** Storage may be forbidden. */
function store<T>(act: () => T): T | undefined {
  try {
    return act();
  } catch {
    return undefined;
  }
}
