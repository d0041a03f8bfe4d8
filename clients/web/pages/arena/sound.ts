import { element } from "./dom.js";
import { rememberSound, wantsSound } from "./settings.js";

/** The sounds. */
export type Sound = "shot" | "hit" | "hurt" | "kill" | "death" | "enter" | "begin" | "end" | "tick";

/**
 * A tone that glides from one frequency to another, Hz, and fades, s; or noise through a filter that does.
 */
interface Tone {
  readonly wave: OscillatorType | "noise";
  readonly from: number;
  readonly to: number;
  readonly length: number;
  readonly level: number;
  readonly after?: number;
}

const SOUNDS: Record<Sound, readonly Tone[]> = {
  shot: [
    { wave: "noise", from: 2600, to: 500, length: 0.09, level: 0.35 },
    { wave: "square", from: 420, to: 120, length: 0.07, level: 0.06 },
  ],
  hit: [{ wave: "triangle", from: 880, to: 660, length: 0.07, level: 0.22 }],
  hurt: [
    { wave: "sawtooth", from: 190, to: 70, length: 0.18, level: 0.25 },
    { wave: "noise", from: 900, to: 200, length: 0.14, level: 0.3 },
  ],
  kill: [
    { wave: "triangle", from: 660, to: 660, length: 0.09, level: 0.25 },
    { wave: "triangle", from: 990, to: 990, length: 0.16, level: 0.25, after: 0.08 },
  ],
  death: [{ wave: "sawtooth", from: 330, to: 45, length: 0.6, level: 0.25 }],
  enter: [{ wave: "sine", from: 300, to: 780, length: 0.22, level: 0.2 }],
  begin: [
    { wave: "triangle", from: 523, to: 523, length: 0.12, level: 0.25 },
    { wave: "triangle", from: 784, to: 784, length: 0.28, level: 0.25, after: 0.13 },
  ],
  end: [
    { wave: "triangle", from: 784, to: 784, length: 0.14, level: 0.25 },
    { wave: "triangle", from: 659, to: 659, length: 0.14, level: 0.25, after: 0.14 },
    { wave: "triangle", from: 1047, to: 1047, length: 0.4, level: 0.25, after: 0.28 },
  ],
  tick: [{ wave: "sine", from: 880, to: 880, length: 0.06, level: 0.15 }],
};

/** Most tones at once: further ones are left out. */
const MOST = 24;

/** Sounds, synthesized without files. Off until the button is pressed; the choice is remembered. */
export class Sounds {
  private context: AudioContext | undefined;
  private noise: AudioBuffer | undefined;
  private playing = 0;
  private on = wantsSound();

  constructor() {
    const button = element("sound");
    const show = (): void => {
      button.setAttribute("aria-pressed", String(this.on));
      button.title = this.on ? "Sound is on" : "Sound is off";
    };
    button.addEventListener("click", () => {
      this.on = !this.on;
      rememberSound(this.on);
      show();
      if (this.on) this.wake();
      else void this.context?.suspend();
      this.play("enter");
    });
    // A page may play sound only once somebody has touched it.
    for (const type of ["pointerdown", "keydown"]) addEventListener(type, () => this.on && this.wake());
    show();
  }

  /** `level`: the volume; 1 is near. */
  play(sound: Sound, level = 1): void {
    const { context } = this;
    if (!this.on || !context || context.state !== "running" || level < 0.03) return;
    for (const tone of SOUNDS[sound]) if (this.playing < MOST) this.tone(context, tone, level);
  }

  private wake(): void {
    this.context ??= new AudioContext();
    if (this.context.state === "suspended") void this.context.resume();
  }

  private tone(
    context: AudioContext,
    { wave, from, to, length, level, after = 0 }: Tone,
    part: number,
  ): void {
    const start = context.currentTime + after;
    const gain = context.createGain();
    gain.gain.setValueAtTime(level * part, start);
    gain.gain.exponentialRampToValueAtTime(0.001, start + length);
    gain.connect(context.destination);
    const glide = (frequency: AudioParam): void => {
      frequency.setValueAtTime(from, start);
      frequency.exponentialRampToValueAtTime(to, start + length);
    };
    let source: AudioScheduledSourceNode;
    if (wave === "noise") {
      const player = context.createBufferSource();
      player.buffer = this.noise ??= whiteNoise(context);
      const filter = context.createBiquadFilter();
      filter.type = "bandpass";
      glide(filter.frequency);
      player.connect(filter).connect(gain);
      source = player;
    } else {
      const oscillator = context.createOscillator();
      oscillator.type = wave;
      glide(oscillator.frequency);
      oscillator.connect(gain);
      source = oscillator;
    }
    this.playing++;
    source.onended = () => this.playing--;
    source.start(start);
    source.stop(start + length);
  }
}

function whiteNoise(context: AudioContext): AudioBuffer {
  const buffer = context.createBuffer(1, context.sampleRate / 2, context.sampleRate);
  const samples = buffer.getChannelData(0);
  for (let n = 0; n < samples.length; n++) samples[n] = Math.random() * 2 - 1;
  return buffer;
}
