import type { Socket } from "socket.io-client";
import { io } from "socket.io-client";

export const ANSWER_MS = 10_000;

/** Which ways may be tried. */
export const TRANSPORTS = { any: ["websocket", "polling"], websocket: ["websocket"], polling: ["polling"] } as const;
export type Transport = keyof typeof TRANSPORTS;

export interface RawListener {
  opened(id: string, transport: string): void;
  /** `reason` as Socket.IO says it; empty when it was asked for. */
  closed(reason: string): void;
  heard(event: string, body: unknown): void;
}

/** A Socket.IO connection as any client makes it: nothing is translated, nothing caught up. */
export class RawConnection {
  readonly #base: URL;
  readonly #listener: RawListener;
  #socket: Socket | null = null;

  constructor(base: URL, listener: RawListener) {
    this.#base = base;
    this.#listener = listener;
  }

  open(transport: Transport): void {
    this.close();
    const socket = io(this.#base.origin, {
      path: `${this.#base.pathname}socket.io/`,
      transports: [...TRANSPORTS[transport]],
      tryAllTransports: true,
      forceNew: true,
    });
    this.#socket = socket;
    const opened = (): void => this.#listener.opened(socket.id ?? "", socket.io.engine.transport.name);
    socket.on("connect", () => {
      opened();
      socket.io.engine.on("upgrade", opened);
    });
    socket.on("disconnect", (reason) => this.#listener.closed(reason));
    socket.on("connect_error", ({ message }) => this.#listener.closed(message));
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
