// A Socket.IO client for every event. Arguments: URL, transport. `["event", body]` on stdin, a line each, is emitted;
// events are printed as {"heard": {event, body}}, acknowledgements as {"heard": {answer}}.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const { io } = createRequire(new URL("../../web/package.json", import.meta.url))("socket.io-client");
const [url, transport] = process.argv.slice(2);
const socket = io(url, { transports: [transport] });
const print = (heard) => console.log(JSON.stringify({ heard: JSON.stringify(heard) }));

socket.on("connect", () => console.log('"open"'));
socket.onAny((event, body) => print({ event, body: event === "connectionInfo" ? { ...body, own: socket.id } : body }));
socket.on("connect_error", ({ message }) => console.error(message));
createInterface({ input: process.stdin }).on("line", (line) => {
  const [event, body] = JSON.parse(line);
  socket.emit(event, body, (answer) => print({ answer }));
});
