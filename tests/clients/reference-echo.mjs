// Engine.IO's and Socket.IO's own servers for Node, with the behaviour that protocol.mjs asks for.
// Argument: settings of the servers as JSON. Prints its port, and stays until its standard input ends.
import { createServer } from "node:http";
import { createRequire } from "node:module";

const require = createRequire(new URL("../../web/package.json", import.meta.url));
const { Server } = require("socket.io");
const engine = require("engine.io");

const settings = JSON.parse(process.argv[2]);
const http = createServer((_, response) => response.writeHead(404).end());
// Each server leaves what is not at its path to the other.
const eio = engine.attach(http, { ...settings, path: "/engine.io/", destroyUpgrade: false });
const io = new Server(http, { ...settings, path: "/socket.io/", destroyUpgrade: false });

eio.on("connection", (socket) => socket.on("message", (data) => socket.send(data)));
for (const namespace of [io.of("/"), io.of("/custom")]) {
  namespace.on("connection", (socket) => {
    socket.emit("auth", socket.handshake.auth);
    socket.on("message", (...content) => socket.emit("message-back", ...content));
    socket.on("message-with-ack", (...content) => content.pop()(...content));
  });
}
http.listen(0, "127.0.0.1", () => console.log(http.address().port));
process.stdin.resume().on("end", () => process.exit());
