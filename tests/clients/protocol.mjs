// The behaviours that the public test suites of the Engine.IO and Socket.IO protocols check, check by check. Argument: URL.
// Prints one JSON line for each check, like conformance.mjs. It needs of the server:
//   - pingInterval 300, pingTimeout 200, maxHttpBufferSize 1000000, and a second to join in,
//   - at /engine.io/ Engine.IO that sends back every message,
//   - at /socket.io/ Socket.IO with the namespaces `/` and `/custom`: `auth` with what the client has shown, on joining;
//     `message` is sent back as `message-back`, and `message-with-ack` is acknowledged with its own content.
import { runAll } from "./conformance/checks.mjs";
import "./protocol/engine.mjs";
import "./protocol/socket.mjs";

await runAll(process.argv[2]);
process.exit();
