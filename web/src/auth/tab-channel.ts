import type { AccessToken } from "./identity";

export type TabMessage =
  | { readonly kind: "renewed"; readonly name: string; readonly token: AccessToken }
  | { readonly kind: "loggedIn" }
  | { readonly kind: "loggedOut" };

/** Messages between the tabs of this page, which share the session's cookies. */
export class TabChannel {
  readonly #channel: BroadcastChannel;

  constructor(base: URL, onMessage: (message: TabMessage) => void) {
    this.#channel = new BroadcastChannel(`sensor-bridge ${base.pathname}`);
    this.#channel.addEventListener("message", ({ data }: MessageEvent<TabMessage>) => onMessage(data));
  }

  send(message: TabMessage): void {
    this.#channel.postMessage(message);
  }
}
