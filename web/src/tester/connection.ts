import type { Socket } from "socket.io-client";
import { io } from "socket.io-client";

import { isOver, isUnknown, proof } from "../api/socket-auth";

export const ANSWER_MS = 10_000;

/** Which ways may be tried. */
export const TRANSPORTS = { any: ["websocket", "polling"], websocket: ["websocket"], polling: ["polling"] } as const;
export type Transport = keyof typeof TRANSPORTS;

export interface RawListener {
  opened(id: string, transport: string): void;
  /** `reason` as Socket.IO says it; empty when it was asked for. */
  closed(reason: string): void;
  heard(event: string, body: unknown): void;
  /** The bridge does not know us. */
  unknown(): void;
}

/** A Socket.IO connection as any client makes it: nothing is translated, nothing caught up. */
export class RawConnection {
  readonly #base: URL;
  readonly #listener: RawListener;
  readonly #token: () => string | null;
  #socket: Socket | null = null;

  /** `token` is shown where the bridge cannot tell whose the cookie is. */
  constructor(base: URL, listener: RawListener, token: () => string | null) {
    this.#base = base;
    this.#listener = listener;
    this.#token = token;
  }

  open(transport: Transport): void {
    this.close();
    const socket = io(this.#base.origin, {
      path: `${this.#base.pathname}socket.io/`,
      transports: [...TRANSPORTS[transport]],
      tryAllTransports: true,
      forceNew: true,
      auth: proof(this.#token),
    });
    this.#socket = socket;
    const opened = (): void => this.#listener.opened(socket.id ?? "", socket.io.engine.transport.name);
    socket.on("connect", () => {
      opened();
      socket.io.engine.on("upgrade", opened);
    });
    socket.on("disconnect", (reason, details) => {
      this.#listener.closed(reason);
      if (isOver(details)) this.#listener.unknown();
    });
    socket.on("connect_error", (error) => {
      this.#listener.closed(error.message);
      if (isUnknown(error)) this.#listener.unknown();
    });
    socket.onAny((event: string, body: unknown) => this.#listener.heard(event, body));
  }

  close(): void {
    this.#socket?.off().offAny().disconnect();
    this.#socket = null;
    this.#listener.closed("");
  }

  /** The acknowledgement; rejects when none comes in time. */
  async ask(event: string, body: unknown): Promise<unknown> {
    if (!this.#socket?.connected) throw new Error("not connected");
    const answer: unknown = await this.#socket.timeout(ANSWER_MS).emitWithAck(event, body);
    return answer;
  }
}
