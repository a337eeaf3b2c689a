import type { Token } from "./identity";

export type Said = { readonly kind: "renewed"; readonly name: string; readonly token: Token } | { readonly kind: "in" } | { readonly kind: "out" };

/** What the windows of this page tell each other: they have the same cookies. */
export class Windows {
  readonly #channel: BroadcastChannel;

  constructor(base: URL, hear: (said: Said) => void) {
    this.#channel = new BroadcastChannel(`sensor-bridge ${base.pathname}`);
    this.#channel.addEventListener("message", ({ data }: MessageEvent<Said>) => hear(data));
  }

  say(said: Said): void {
    this.#channel.postMessage(said);
  }
}
