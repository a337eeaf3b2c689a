// What a client can see of a Socket.IO server, check by check; it knows nothing of which server it talks to. Argument: URL.
// Prints one JSON line for each check: {"check", "ok", "saw"}. It needs of the server:
//   - pingInterval 2500, pingTimeout 2000, maxHttpBufferSize 65536, and two seconds to join or to upgrade in,
//   - pages of http://page.example may connect, with credentials,
//   - `connectionInfo` with the client's id on joining, `subscribe` with {devices}, acknowledged with {ok, devices},
//   - POST /api/v1/readings with a list of {deviceId, temperature}, answered 201: `sensorData` to those who hear of the device.
//
// What it does not check, because the bridge is another there on purpose, and says so:
//   - binary packets and attachments, which the bridge has no use for and refuses; limits on messages and connections,
//   - the code and reason with which a WebSocket is closed: the bridge gives the reason (1008 "handshake"), Socket.IO none,
//   - pages of an origin that may not connect: the bridge refuses them, Socket.IO leaves it to the browser,
//   - how long who was refused, or has left, may stay on the connection: with the bridge not for ever,
//   - a close packet by WebSocket: the bridge closes at once, Socket.IO waits for the client's own close,
//   - events nobody knows: the bridge acknowledges them with what was wrong; events named by a number, or by nothing: it refuses them,
//   - PUT and DELETE to an open session (Socket.IO answers 500), JSONP, the cookie `io`, connection state recovery.
import { runAll } from "./conformance/checks.mjs";
import "./conformance/opening.mjs";
import "./conformance/packets.mjs";
import "./conformance/namespaces.mjs";
import "./conformance/library.mjs";

await runAll(process.argv[2]);
process.exit();
