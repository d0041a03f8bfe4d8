/** The element with this id and class. The page is ours, so a missing element is a bug. */
export function element<T extends HTMLElement = HTMLElement>(
  id: string,
  type: { new (): T } = HTMLElement as unknown as { new (): T },
): T {
  const found = document.getElementById(id);
  if (!(found instanceof type)) throw new Error(`the page has no #${id}`);
  return found;
}

/** A new element with a text and a class. Never HTML: names and messages come from strangers. */
export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  text = "",
  className = "",
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  made.textContent = text;
  made.className = className;
  return made;
}
