import type { Socket } from "socket.io-client";
import { io } from "socket.io-client";

import type { Answer, CommandRequest } from "../model/command";
import { parseAnswer } from "../model/command";
import type { Via } from "../model/bridge/connection";
import type { Level } from "../model/wire";
import { field, level, number, text, time } from "../model/wire";
import { isOver, isUnknown, proof } from "./socket-auth";

const COME_BACK_MS = 5000;
const ANSWER_MS = 10_000;
const CATCH_UP_MS = 30_000;
const REPLAY_LIMIT = 5000;
const SILENT_MS = 30_000;

export interface Listener {
  /** Connected. What was missed since the page's cursor comes now. */
  opened(via: Via): void;
  /** That is done: all up to this cursor was sent. */
  caughtUp(cursor: number): void;
  via(via: Via): void;
  closed(): void;
  sensorData(body: unknown, sentAt: number | null): void;
  deviceStatus(deviceId: string, status: string, at: number | null): void;
  systemEvent(level: Level, message: string): void;
  gap(from: number, to: number, missed: number | null): void;
  /** So long will what was shown be good. */
  expiring(seconds: number): void;
  /** The bridge does not know us; whether it does now. */
  unknown(): Promise<boolean>;
}

/** Keeps one Socket.IO connection to the bridge this page came from, for as long as the page is open. */
export class LiveConnection {
  readonly #socket: Socket;
  readonly #listener: Listener;
  readonly #cursor: () => number | null;
  readonly #transports = ["websocket", "polling"];
  #heardAt = Date.now();
  #comingBack: ReturnType<typeof setTimeout> | undefined;
  #refusals = 0;

  /**
   * `cursor` is where the page is; null: it begins with what comes. `token` is shown where the bridge cannot tell whose the
   * cookie is.
   */
  constructor(base: URL, listener: Listener, cursor: () => number | null, token: () => string | null) {
    this.#listener = listener;
    this.#cursor = cursor;
    this.#socket = io(base.origin, {
      path: `${base.pathname}socket.io/`,
      transports: this.#transports,
      tryAllTransports: true,
      reconnectionDelay: 500,
      reconnectionDelayMax: 5000,
      timeout: ANSWER_MS,
      autoConnect: false,
      auth: proof(token),
    });
    this.#listen();
  }

  /** Begin; safe to repeat. */
  connect(): void {
    if (!this.#socket.active) this.#socket.connect();
  }

  get connected(): boolean {
    return this.#socket.connected;
  }

  /** The computer slept: the connection may be dead without knowing it. The bridge pings every 25 s. */
  reconnectIfSilent(): void {
    if (Date.now() - this.#heardAt > SILENT_MS) this.reconnect();
  }

  /** The network is another. */
  reconnect(): void {
    clearTimeout(this.#comingBack);
    this.#socket.disconnect().connect();
  }

  async send(request: CommandRequest): Promise<Answer> {
    return parseAnswer(await this.#socket.timeout(ANSWER_MS).emitWithAck("sendCommand", request));
  }

  /** Shows something newer on the connection that is open; one that is made later shows it anyway. */
  refresh(token: string): void {
    if (this.#socket.connected) this.#socket.emit("refresh", { token });
  }

  #listen(): void {
    const socket = this.#socket;
    const heard = (): number => (this.#heardAt = Date.now());
    socket.io.on("ping", heard);
    socket.onAny(heard);
    socket.on("connect", () => void this.#opened());
    socket.on("disconnect", (_, details) => {
      this.#listener.closed();
      if (isOver(details)) void this.#listener.unknown();
      if (!socket.active) this.#comeBack();
    });
    socket.on("connect_error", (error) => {
      this.#listener.closed();
      if (isUnknown(error)) {
        void this.#askWhoWeAre();
        return;
      }
      // Some proxies let a WebSocket begin and then hold or end it: the other way goes first next time.
      if (error.message === "timeout") this.#transports.reverse();
      if (!socket.active) this.#comeBack();
    });
    socket.on("sensorData", (body: unknown) => this.#listener.sensorData(body, time(field(body, "timestamp"))));
    socket.on("deviceStatus", (body: unknown) => {
      const [deviceId, status] = [text(field(body, "deviceId")), text(field(body, "status"))];
      if (deviceId && status) this.#listener.deviceStatus(deviceId, status, time(field(body, "timestamp")));
    });
    socket.on("systemEvent", (body: unknown) => {
      const message = text(field(body, "message"));
      if (message) this.#listener.systemEvent(level(field(body, "level")), message);
    });
    socket.on("authExpiring", (body: unknown) => this.#listener.expiring(number(field(body, "seconds")) ?? 0));
    socket.on("gap", (body: unknown) => {
      const [from, to] = [number(field(body, "from")), number(field(body, "to"))];
      if (from !== null && to !== null) this.#listener.gap(from, to, number(field(body, "missed")));
    });
  }

  /** At once for the first time; a bridge that goes on refusing is not asked any faster than one that is away. */
  async #askWhoWeAre(): Promise<void> {
    const isFirst = this.#refusals++ === 0;
    if ((await this.#listener.unknown()) && isFirst) this.#socket.connect();
    else this.#comeBack();
  }

  async #opened(): Promise<void> {
    this.#refusals = 0;
    const { engine } = this.#socket.io;
    this.#listener.opened(via(engine.transport.name));
    engine.on("upgrade", (transport: { name: string }) => this.#listener.via(via(transport.name)));
    await this.#catchUp(this.#cursor());
  }

  /** As long as it takes: without the answer nobody knows what is missing. The store may be away. */
  async #catchUp(since: number | null): Promise<void> {
    const { id } = this.#socket;
    const asked = since === null ? {} : { since, limit: REPLAY_LIMIT };
    while (this.#socket.connected && this.#socket.id === id) {
      const answer: unknown = await this.#socket.timeout(CATCH_UP_MS).emitWithAck("subscribe", asked).catch(() => null);
      const cursor = number(field(answer, "cursor"));
      if (field(answer, "ok") === true && cursor !== null) {
        this.#listener.caughtUp(cursor);
        return;
      }
      await new Promise((rested) => setTimeout(rested, COME_BACK_MS));
    }
  }

  /** The client comes back by itself after a lost network, but not after the bridge has sent it away. */
  #comeBack(): void {
    clearTimeout(this.#comingBack);
    this.#comingBack = setTimeout(() => this.#socket.connect(), COME_BACK_MS * (0.5 + Math.random()));
  }
}

function via(transport: string): Via {
  return transport === "websocket" ? "websocket" : "long-polling";
}
