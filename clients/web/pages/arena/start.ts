import { PALETTE, shapeColour } from "./colour.js";
import { element, make } from "./dom.js";
import { chosenColour, chosenName, rememberColour, rememberName } from "./settings.js";

/** What a player chooses. */
export interface Choice {
  readonly name: string;
  readonly colour: number;
  /** A room of their own instead of the one that the address names. */
  readonly apart: boolean;
}

/** The card that asks for a name and a colour: before the game, and later to change them. */
export class StartCard {
  private readonly dialog = element("name-dialog", HTMLDialogElement);
  private readonly name = element("name", HTMLInputElement);
  private colour = chosenColour() ?? Math.floor(Math.random() * PALETTE.length) + 1;
  private first = true;

  constructor(private readonly chosen: (choice: Choice) => void) {
    this.dialog.addEventListener("close", () => this.closed());
    // There is nothing to go back to yet.
    this.dialog.addEventListener("cancel", (event) => this.first && event.preventDefault());
    this.dialog.addEventListener("click", (event) => {
      if (event.target === this.dialog && !this.first) this.dialog.close("");
    });
    element("colours").append(...PALETTE.map((_, n) => this.swatch(n + 1)));
  }

  /** `name`: the current name, to change it; undefined: for the first time. */
  open(room: string, name?: string): void {
    this.first = name === undefined;
    this.name.value = name ?? chosenName();
    this.dialog.returnValue = "";
    element("start-room").textContent = room;
    element("apart").hidden = element("start-about").hidden = !this.first;
    element("name-title").textContent = this.first ? "Arena" : "Your name and colour";
    this.dialog.classList.toggle("first", this.first);
    this.dialog.showModal();
    this.name.select();
  }

  private closed(): void {
    const { returnValue } = this.dialog;
    if (returnValue === "") return;
    const name = this.name.value.trim().slice(0, 32) || chosenName();
    rememberName(name);
    rememberColour(this.colour);
    this.chosen({ name, colour: this.colour, apart: returnValue === "apart" });
  }

  private swatch(colour: number): HTMLElement {
    const label = make("label", "", "swatch");
    const input = make("input");
    input.type = "radio";
    input.name = "colour";
    input.value = String(colour);
    input.checked = colour === this.colour;
    input.setAttribute("aria-label", PALETTE[colour - 1]!.name);
    input.addEventListener("change", () => (this.colour = colour));
    const dot = make("span");
    dot.style.background = shapeColour(colour);
    label.append(input, dot);
    label.title = PALETTE[colour - 1]!.name;
    return label;
  }
}
