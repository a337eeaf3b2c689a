// A client of the package `ws`. Argument: URL. What comes on stdin is sent, a line each; what happens is printed as JSON.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const WebSocket = createRequire(new URL("../../web/package.json", import.meta.url))("ws");
const socket = new WebSocket(process.argv[2]);
const print = (happened) => console.log(JSON.stringify(happened));

socket.on("open", () => {
  print("open");
  createInterface({ input: process.stdin }).on("line", (line) => socket.send(line));
});
socket.on("message", (message) => print({ heard: message.toString() }));
socket.on("error", ({ message }) => console.error(message));
socket.on("close", (code) => {
  print({ closed: code });
  process.exit();
});
