import type { Socket } from "socket.io-client";
import { io } from "socket.io-client";

import type { Alarm } from "../model/alarms/alarm";
import { parseAlarm, parseAlarms } from "../model/alarms/alarm";
import type { Advice } from "../model/analysis/advice";
import { parseAdvice } from "../model/analysis/advice";
import type { Transport } from "../model/bridge/connection";
import type { CommandRequest, CommandResult } from "../model/command";
import { parseCommandResult } from "../model/command";
import type { AssessmentReport } from "../model/devices/assessment";
import { parseReport } from "../model/devices/assessment";
import { field, number, text, time } from "../model/json";
import type { Reason } from "../model/reason";
import { causeIn } from "../model/reason";
import type { EventLevel } from "../model/wire";
import { eventLevel } from "../model/wire";
import { isUnauthorizedClose, isUnauthorizedError, socketAuth } from "./socket-auth";

const RECONNECT_MS = 5000;
const ACK_TIMEOUT_MS = 10_000;
const REPLAY_TIMEOUT_MS = 30_000;
const REPLAY_LIMIT = 5000;
/** The bridge pings every 25 s. */
const SILENCE_LIMIT_MS = 30_000;

export interface LiveListener {
  /** Connected; readings after the cursor are replayed next. */
  onOpen(transport: Transport): void;
  /** The replay is complete up to `cursor`. */
  onCaughtUp(cursor: number): void;
  onTransport(transport: Transport): void;
  onClose(): void;
  onReading(body: unknown, sentAt: number | null): void;
  onAssessment(report: AssessmentReport): void;
  /** An alarm after a change. */
  onAlarm(alarm: Alarm): void;
  /** All standing alarms, when a connection opens. */
  onAlarms(alarms: readonly Alarm[]): void;
  /** The anomalies of a device have changed. */
  onAnomaly(deviceId: string): void;
  /** There are new predictions for a device. */
  onPrediction(deviceId: string): void;
  onAdvice(advice: Advice): void;
  onDeviceStatus(deviceId: string, status: string, at: number | null): void;
  onDeviceState(deviceId: string, state: unknown): void;
  /** `module` is the part of the bridge that it is about; empty when unknown. */
  onSystemEvent(level: EventLevel, reason: Reason, module: string): void;
  onGap(from: number, to: number, missed: number | null): void;
  onAuthExpiring(seconds: number): void;
  /** The credentials were refused. Resolves to true if they are valid again. */
  onUnauthorized(): Promise<boolean>;
}

/** One Socket.IO connection to the bridge that served this page, kept for as long as the page is open. */
export class LiveConnection {
  readonly #socket: Socket;
  readonly #listener: LiveListener;
  readonly #cursor: () => number | null;
  readonly #transports = ["websocket", "polling"];
  #lastMessageAt = Date.now();
  #reconnectTimer: ReturnType<typeof setTimeout> | undefined;
  #refusals = 0;

  /** `cursor` is the page's position; null starts with the next live reading. */
  constructor(base: URL, listener: LiveListener, cursor: () => number | null, token: () => string | null) {
    this.#listener = listener;
    this.#cursor = cursor;
    this.#socket = io(base.origin, {
      path: `${base.pathname}socket.io/`,
      transports: this.#transports,
      tryAllTransports: true,
      reconnectionDelay: 500,
      reconnectionDelayMax: 5000,
      timeout: ACK_TIMEOUT_MS,
      autoConnect: false,
      auth: socketAuth(token),
    });
    this.#listen();
  }

  /** Safe to call repeatedly. */
  connect(): void {
    if (!this.#socket.active) this.#socket.connect();
  }

  get connected(): boolean {
    return this.#socket.connected;
  }

  /** After the computer slept, a dead connection may still look open. */
  reconnectIfSilent(): void {
    if (Date.now() - this.#lastMessageAt > SILENCE_LIMIT_MS) this.reconnect();
  }

  reconnect(): void {
    clearTimeout(this.#reconnectTimer);
    this.#socket.disconnect().connect();
  }

  async sendCommand(request: CommandRequest): Promise<CommandResult> {
    return parseCommandResult(await this.#socket.timeout(ACK_TIMEOUT_MS).emitWithAck("sendCommand", request));
  }

  /** Updates the token of an open connection. A later connection sends the current token by itself. */
  refreshToken(token: string): void {
    if (this.#socket.connected) this.#socket.emit("refresh", { token });
  }

  #listen(): void {
    const socket = this.#socket;
    const touch = (): number => (this.#lastMessageAt = Date.now());
    socket.io.on("ping", touch);
    socket.onAny(touch);
    socket.on("connect", () => void this.#onConnect());
    socket.on("disconnect", (_, details) => {
      this.#listener.onClose();
      if (isUnauthorizedClose(details)) void this.#listener.onUnauthorized();
      if (!socket.active) this.#scheduleReconnect();
    });
    socket.on("connect_error", (error) => {
      this.#listener.onClose();
      if (isUnauthorizedError(error)) {
        void this.#onUnauthorized();
        return;
      }
      // Some proxies accept a WebSocket and then hold or close it: try the other transport first next time.
      if (error.message === "timeout") this.#transports.reverse();
      if (!socket.active) this.#scheduleReconnect();
    });
    socket.on("sensorData", (body: unknown) => this.#listener.onReading(body, time(field(body, "timestamp"))));
    socket.on("assessment", (body: unknown) => {
      const report = parseReport(field(body, "data"));
      if (report) this.#listener.onAssessment(report);
    });
    socket.on("alert", (body: unknown) => {
      const alarm = parseAlarm(field(body, "data"));
      if (alarm) this.#listener.onAlarm(alarm);
    });
    socket.on("alerts", (body: unknown) => this.#listener.onAlarms(parseAlarms(field(body, "data"))));
    socket.on("anomaly", (body: unknown) => {
      const deviceId = text(field(field(body, "data"), "deviceId"));
      if (deviceId) this.#listener.onAnomaly(deviceId);
    });
    socket.on("prediction", (body: unknown) => {
      const deviceId = text(field(field(body, "data"), "deviceId"));
      if (deviceId) this.#listener.onPrediction(deviceId);
    });
    socket.on("action", (body: unknown) => {
      const advice = parseAdvice(field(body, "data"));
      if (advice) this.#listener.onAdvice(advice);
    });
    socket.on("deviceStatus", (body: unknown) => {
      const [deviceId, status] = [text(field(body, "deviceId")), text(field(body, "status"))];
      if (deviceId && status) this.#listener.onDeviceStatus(deviceId, status, time(field(body, "timestamp")));
    });
    socket.on("deviceState", (body: unknown) => {
      const deviceId = text(field(body, "deviceId"));
      if (deviceId) this.#listener.onDeviceState(deviceId, field(body, "state"));
    });
    socket.on("systemEvent", (body: unknown) => {
      const message = text(field(body, "message"));
      const module = text(field(field(body, "data"), "module"));
      if (message) this.#listener.onSystemEvent(eventLevel(field(body, "level")), { text: message, ...causeIn(body) }, module);
    });
    socket.on("authExpiring", (body: unknown) => this.#listener.onAuthExpiring(number(field(body, "seconds")) ?? 0));
    socket.on("gap", (body: unknown) => {
      const [from, to] = [number(field(body, "from")), number(field(body, "to"))];
      if (from !== null && to !== null) this.#listener.onGap(from, to, number(field(body, "missed")));
    });
  }

  /** Reconnects at once after the first refusal, then no faster than to an unavailable bridge. */
  async #onUnauthorized(): Promise<void> {
    const isFirst = this.#refusals++ === 0;
    if ((await this.#listener.onUnauthorized()) && isFirst) this.#socket.connect();
    else this.#scheduleReconnect();
  }

  async #onConnect(): Promise<void> {
    this.#refusals = 0;
    const { engine } = this.#socket.io;
    this.#listener.onOpen(transportOf(engine.transport.name));
    engine.on("upgrade", (transport: { name: string }) => this.#listener.onTransport(transportOf(transport.name)));
    await this.#catchUp(this.#cursor());
  }

  /** Retries until acknowledged: the store may be unavailable, and without an answer the missed readings are unknown. */
  async #catchUp(since: number | null): Promise<void> {
    const { id } = this.#socket;
    const subscription = since === null ? {} : { since, limit: REPLAY_LIMIT };
    while (this.#socket.connected && this.#socket.id === id) {
      const answer: unknown = await this.#socket.timeout(REPLAY_TIMEOUT_MS).emitWithAck("subscribe", subscription).catch(() => null);
      const cursor = number(field(answer, "cursor"));
      if (field(answer, "ok") === true && cursor !== null) {
        this.#listener.onCaughtUp(cursor);
        return;
      }
      await new Promise((resolve) => setTimeout(resolve, RECONNECT_MS));
    }
  }

  /** The Socket.IO client reconnects after a network failure, but not after the server disconnected it. */
  #scheduleReconnect(): void {
    clearTimeout(this.#reconnectTimer);
    this.#reconnectTimer = setTimeout(() => this.#socket.connect(), RECONNECT_MS * (0.5 + Math.random()));
  }
}

function transportOf(name: string): Transport {
  return name === "websocket" ? "websocket" : "long-polling";
}
