import type { Socket } from "socket.io-client";
import { io } from "socket.io-client";

import { isUnauthorizedClose, isUnauthorizedError, socketAuth } from "../api/socket-auth";

export const ACK_TIMEOUT_MS = 10_000;

/** The transports that the client may use, in order. */
export const TRANSPORTS = { any: ["websocket", "polling"], websocket: ["websocket"], polling: ["polling"] } as const;
export type TransportChoice = keyof typeof TRANSPORTS;

export interface TestConnectionListener {
  onOpen(id: string, transport: string): void;
  /** `reason` is Socket.IO's; empty after `close()`. */
  onClose(reason: string): void;
  onEvent(event: string, body: unknown): void;
  onUnauthorized(): void;
}

/** A plain Socket.IO connection: events are passed on as they are, and nothing is replayed. */
export class TestConnection {
  readonly #base: URL;
  readonly #listener: TestConnectionListener;
  readonly #token: () => string | null;
  #socket: Socket | null = null;

  constructor(base: URL, listener: TestConnectionListener, token: () => string | null) {
    this.#base = base;
    this.#listener = listener;
    this.#token = token;
  }

  open(transport: TransportChoice): void {
    this.close();
    const socket = io(this.#base.origin, {
      path: `${this.#base.pathname}socket.io/`,
      transports: [...TRANSPORTS[transport]],
      tryAllTransports: true,
      forceNew: true,
      auth: socketAuth(this.#token),
    });
    this.#socket = socket;
    const onOpen = (): void => this.#listener.onOpen(socket.id ?? "", socket.io.engine.transport.name);
    socket.on("connect", () => {
      onOpen();
      socket.io.engine.on("upgrade", onOpen);
    });
    socket.on("disconnect", (reason, details) => {
      this.#listener.onClose(reason);
      if (isUnauthorizedClose(details)) this.#listener.onUnauthorized();
    });
    socket.on("connect_error", (error) => {
      this.#listener.onClose(error.message);
      if (isUnauthorizedError(error)) this.#listener.onUnauthorized();
    });
    socket.onAny((event: string, body: unknown) => this.#listener.onEvent(event, body));
  }

  close(): void {
    this.#socket?.off().offAny().disconnect();
    this.#socket = null;
    this.#listener.onClose("");
  }

  /** Resolves to the acknowledgement; rejects after `ACK_TIMEOUT_MS`. */
  async emit(event: string, body: unknown): Promise<unknown> {
    if (!this.#socket?.connected) throw new Error("not connected");
    const answer: unknown = await this.#socket.timeout(ACK_TIMEOUT_MS).emitWithAck(event, body);
    return answer;
  }
}
