import { element, make } from "./dom.js";
import { qrCode } from "./qr.js";

/** The dialog that invites others to this room: an address to copy, and a QR code of it. */
export class Invite {
  private readonly dialog = element("invite-dialog", HTMLDialogElement);
  private readonly link = element("link", HTMLInputElement);

  constructor(private readonly room: () => string) {
    element("invite").addEventListener("click", () => this.open());
    element("copy").addEventListener("click", () => void this.copy());
    element("invite-close").addEventListener("click", () => this.dialog.close());
    const share = element("share");
    share.hidden = typeof navigator.share !== "function";
    share.addEventListener("click", () => {
      // Rejected if the user cancels.
      navigator.share({ title: "Arena", text: "Play with me", url: this.link.value }).catch(() => {});
    });
    this.dialog.addEventListener("click", (event) => event.target === this.dialog && this.dialog.close());
  }

  private open(): void {
    const url = new URL("/", location.href);
    url.searchParams.set("room", this.room());
    this.link.value = url.href;
    element("copied").textContent = "";
    element("invite-local").hidden = !/^(localhost|127\.|\[::1\])/.test(url.hostname);
    element("qr").replaceChildren(...(picture(url.href) ?? []));
    this.dialog.showModal();
    this.link.select();
  }

  private async copy(): Promise<void> {
    this.link.select();
    const copied = await navigator.clipboard?.writeText(this.link.value).then(
      () => true,
      () => false,
    );
    element("copied").textContent = copied ? "Copied" : "Press Ctrl+C to copy it";
  }
}

/** The code as a picture; nothing if the address is too long for one. */
function picture(text: string): [HTMLCanvasElement] | undefined {
  const code = qrCode(text);
  if (!code) return undefined;
  const [quiet, module] = [4, 4];
  const canvas = make("canvas");
  canvas.width = canvas.height = (code.length + 2 * quiet) * module;
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", "QR code of the link");
  const c = canvas.getContext("2d")!;
  // Black on white in any scheme: not all cameras can read the inverse.
  c.fillStyle = "#fff";
  c.fillRect(0, 0, canvas.width, canvas.height);
  c.fillStyle = "#000";
  code.forEach((row, y) =>
    row.forEach((dark, x) => {
      if (dark) c.fillRect((x + quiet) * module, (y + quiet) * module, module, module);
    }),
  );
  return [canvas];
}
