import { io } from "socket.io-client";

import type { ConnectionState, DeviceStatus } from "./model";
import type { Level } from "./wire";
import { field, level, number, text } from "./wire";

const COME_BACK_MS = 5000;

export interface Listener {
  state(state: ConnectionState): void;
  clients(count: number): void;
  sensorData(body: unknown): void;
  deviceStatus(deviceId: string, status: DeviceStatus): void;
  systemEvent(level: Level, message: string): void;
  gap(missed: number | null): void;
}

/** Keeps one Socket.IO connection to the bridge this page came from, for as long as the page is open. */
export function connect(listener: Listener): void {
  const socket = io({ transports: ["websocket", "polling"], tryAllTransports: true });

  // The client comes back by itself after a lost network, but not after the bridge has sent it away.
  const comeBack = (): void => {
    listener.state("disconnected");
    setTimeout(() => {
      listener.state("reconnecting");
      socket.connect();
    }, COME_BACK_MS * (0.5 + Math.random()));
  };

  socket.on("connect", () => listener.state("connected"));
  socket.on("disconnect", () => (socket.active ? listener.state("reconnecting") : comeBack()));
  socket.on("connect_error", () => {
    if (!socket.active) comeBack();
  });

  socket.on("connectionInfo", (body: unknown) => {
    const count = number(field(body, "totalClients"));
    if (count !== null) listener.clients(count);
  });
  socket.on("sensorData", (body: unknown) => listener.sensorData(body));
  socket.on("deviceStatus", (body: unknown) => {
    const deviceId = text(field(body, "deviceId"));
    const status = field(body, "status");
    if (deviceId && (status === "online" || status === "offline")) listener.deviceStatus(deviceId, status);
  });
  socket.on("systemEvent", (body: unknown) => {
    const message = text(field(body, "message"));
    if (message) listener.systemEvent(level(field(body, "level")), message);
  });
  socket.on("gap", (body: unknown) => listener.gap(number(field(body, "missed"))));
}
