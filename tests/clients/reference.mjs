// Socket.IO's own server for Node, with as much of the bridge's behaviour as conformance.mjs asks for.
// Argument: settings of the server as JSON. Prints its port, and stays until its standard input ends.
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { text } from "node:stream/consumers";

const { Server } = createRequire(new URL("../../web/package.json", import.meta.url))("socket.io");

const http = createServer(async (request, response) => {
  if (request.method !== "POST" || request.url !== "/api/v1/readings") return response.writeHead(404).end();
  for (const { deviceId, ...values } of [JSON.parse(await text(request))].flat()) publish(deviceId, values);
  response.writeHead(201).end();
});
const io = new Server(http, JSON.parse(process.argv[2]));
let cursor = 0;

function publish(deviceId, values) {
  const now = new Date().toISOString();
  const body = { timestamp: now, data: { ...values, timestamp: now, deviceId }, cursor: ++cursor };
  for (const socket of io.sockets.sockets.values()) {
    if (socket.data.devices === null || socket.data.devices.includes(deviceId)) socket.emit("sensorData", body);
  }
}

io.on("connection", (socket) => {
  socket.data.devices = null;
  socket.emit("connectionInfo", { clientId: socket.id, totalClients: io.engine.clientsCount });
  socket.on("subscribe", (body, ...more) => {
    const devices = (socket.data.devices = [...new Set([...(socket.data.devices ?? []), ...body.devices])].sort());
    more.findLast((one) => typeof one === "function")?.({ ok: true, devices, replayed: 0, cursor });
  });
});
http.listen(0, "127.0.0.1", () => console.log(http.address().port));
process.stdin.resume().on("end", () => process.exit());
