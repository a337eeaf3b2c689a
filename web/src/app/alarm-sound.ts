import { computed, effect, signal } from "@preact/signals";

import { isCalling } from "../model/alarms/alarm";
import { loadPreference, savePreference } from "./preferences";
import type { Store } from "./store";

const KEY = "sensor-bridge.alarmSound";
/** How often it sounds while an alarm of this priority calls. */
const REPEAT_MS = { critical: 4000, high: 30_000 } as const;
/** Two tones in turn, in hertz: heard by people with a loss of high frequencies, and through walls. */
const TONES = [880, 660] as const;
const TONE_SECONDS = 0.25;
const REPETITIONS = { critical: 3, high: 1 } as const;
const LOUDNESS = 0.4;

export type SoundState = "off" | "on" | "blocked";

/**
 * Sounds two tones while an urgent alarm is not acknowledged. Off until it is turned on, which this browser remembers. Browsers
 * let a page sound only after it was pressed once: until then it is blocked.
 */
export class AlarmSound {
  readonly #isWanted = signal(loadPreference(KEY) === "on");
  readonly #isAllowed = signal(false);
  readonly state = computed<SoundState>(() => (!this.#isWanted.value ? "off" : this.#isAllowed.value ? "on" : "blocked"));
  #context: AudioContext | null = null;
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(store: Store) {
    const calling = computed(() => {
      const priorities = store.alarms.value.filter(isCalling).map(({ priority }) => priority);
      return priorities.includes("critical") ? "critical" : priorities.length > 0 ? "high" : null;
    });
    effect(() => {
      clearInterval(this.#timer);
      store.newAlarms.value; // a new one sounds at once
      const priority = calling.value;
      if (priority === null || this.state.value !== "on") return;
      this.#play(REPETITIONS[priority]);
      this.#timer = setInterval(() => this.#play(REPETITIONS[priority]), REPEAT_MS[priority]);
    });
    if (this.#isWanted.peek()) this.#open();
    addEventListener("pointerdown", () => this.#resume(), { passive: true });
    addEventListener("keydown", () => this.#resume(), { passive: true });
  }

  /** Turns it on or off. While blocked, the press itself allows it. */
  toggle(): void {
    const isOn = this.state.peek() === "off";
    if (this.state.peek() !== "blocked") {
      this.#isWanted.value = isOn;
      savePreference(KEY, isOn ? "on" : "off");
    }
    if (!this.#isWanted.peek()) return;
    this.#open();
    this.#resume();
  }

  #open(): void {
    if (this.#context !== null || !("AudioContext" in globalThis)) return;
    const context = new AudioContext();
    this.#context = context;
    const update = (): void => {
      this.#isAllowed.value = context.state === "running";
    };
    context.addEventListener("statechange", update);
    update();
  }

  #resume(): void {
    if (this.#context?.state === "suspended") void this.#context.resume().catch(() => undefined);
  }

  #play(repetitions: number): void {
    const context = this.#context;
    if (context === null) return;
    const gain = context.createGain();
    gain.connect(context.destination);
    const oscillator = context.createOscillator();
    oscillator.type = "square";
    oscillator.connect(gain);
    const start = context.currentTime;
    const tones = Array.from({ length: repetitions }, () => TONES).flat();
    tones.forEach((tone, number) => oscillator.frequency.setValueAtTime(tone, start + number * TONE_SECONDS));
    const end = start + tones.length * TONE_SECONDS;
    gain.gain.setValueAtTime(LOUDNESS, start);
    gain.gain.setTargetAtTime(0, end - 0.02, 0.005); // an abrupt end clicks
    oscillator.start(start);
    oscillator.stop(end + 0.05);
  }
}
