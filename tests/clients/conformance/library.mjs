// Socket.IO by its own client for JavaScript.
import { once } from "node:events";
import { check } from "./checks.mjs";
import { Manager, io } from "./raw.mjs";

const WAYS = { polling: ["polling"], websocket: ["websocket"], "polling and an upgrade": undefined };

/** Connected by the client's own library. */
function connecting(scope, transports, options = {}) {
  const socket = io(scope.url, { forceNew: true, reconnection: false, ...(transports && { transports }), ...options });
  scope.atEnd(() => socket.close());
  return socket;
}
/** Resolves when it is on a WebSocket. */
const upgrading = ({ io: { engine } }) => new Promise((resolve) => engine.once("upgrade", resolve));
const arrival = async (socket, event) => (await once(socket, event))[0];

function checkAll(name, expected, look) {
  for (const [way, transports] of Object.entries(WAYS)) {
    check(`${name}, by the library with ${way}`, expected, (scope) => look(scope, transports));
  }
}

checkAll("a client connects and is told its id", true, async (scope, transports) => {
  const socket = connecting(scope, transports);
  const { clientId } = await arrival(socket, "connectionInfo");
  return clientId === socket.id;
});
check("a client upgrades by itself", ["polling", "websocket"], async (scope) => {
  const socket = connecting(scope);
  const ways = [socket.io.engine.transport.name];
  await upgrading(socket);
  return [...ways, socket.io.engine.transport.name];
});
check("a client that tries WebSocket first stays there", "websocket", async (scope) => {
  const socket = connecting(scope, ["websocket", "polling"]);
  await once(socket, "connect");
  return socket.io.engine.transport.name;
});
checkAll("a request is acknowledged in time", true, async (scope, transports) => {
  const socket = connecting(scope, transports);
  return (await socket.timeout(5000).emitWithAck("subscribe", { devices: ["a"] })).ok;
});
checkAll(
  "forty requests at once are acknowledged, in order",
  Array.from({ length: 40 }, (_, n) => n),
  async (scope, transports) => {
    const socket = connecting(scope, transports);
    const answers = [];
    await Promise.all(
      Array.from({ length: 40 }, async (_, n) => {
        await socket.timeout(8000).emitWithAck("subscribe", { devices: ["a"] }, n);
        answers.push(n);
      }),
    );
    return answers;
  },
);
checkAll(
  "events come in order",
  Array.from({ length: 30 }, (_, n) => n),
  async (scope, transports) => {
    const device = `library-${transports ?? "both"}`;
    const socket = connecting(scope, transports);
    const heard = [];
    const all = new Promise((resolve) => {
      socket.on("sensorData", ({ data: { deviceId, temperature } }) => {
        if (deviceId === device && heard.push(temperature) === 30) resolve(heard);
      });
    });
    await socket.emitWithAck("subscribe", { devices: [device] });
    for (let n = 0; n < 30; n += 10) await scope.publish(device, ...Array.from({ length: 10 }, (_, m) => n + m));
    return all;
  },
);
checkAll(
  "an unknown namespace is a connect_error with its message",
  ["Invalid namespace", false, undefined],
  async (scope, transports) => {
    const socket = io(`${scope.url}/nope`, { forceNew: true, reconnection: false, ...(transports && { transports }) });
    scope.atEnd(() => socket.close());
    const error = await arrival(socket, "connect_error");
    return [error.message, socket.active && socket.connected, error.data];
  },
);
checkAll(
  "on one connection one namespace is joined and another refused",
  ["Invalid namespace", true],
  async (scope, transports) => {
    const manager = new Manager(scope.url, { reconnection: false, ...(transports && { transports }) });
    const [main, other] = [manager.socket("/"), manager.socket("/nope")];
    scope.atEnd(() => (main.close(), other.close()));
    const error = await arrival(other, "connect_error");
    return [error.message, (await main.emitWithAck("subscribe", { devices: ["a"] })).ok];
  },
);
checkAll("what a client shows of itself is taken", true, async (scope, transports) => {
  const socket = connecting(scope, transports, { auth: { greeting: "hello" } });
  await once(socket, "connect");
  return socket.connected;
});
checkAll(
  "who disconnects is told so, and may connect again under another id",
  ["io client disconnect", true],
  async (scope, transports) => {
    const socket = connecting(scope, transports);
    await once(socket, "connectionInfo");
    const first = socket.id;
    const reason = arrival(socket, "disconnect");
    socket.disconnect();
    const said = await reason;
    socket.connect();
    const { clientId } = await arrival(socket, "connectionInfo");
    return [said, clientId === socket.id && clientId !== first];
  },
);
checkAll("who breaks the protocol is closed", "transport close", async (scope, transports) => {
  const socket = connecting(scope, transports);
  await Promise.all([once(socket, "connectionInfo"), !transports && upgrading(socket)]);
  const reason = arrival(socket, "disconnect");
  socket.io.engine.write("9");
  return reason;
});
checkAll("who does not answer pings is closed", "transport close", async (scope, transports) => {
  const socket = connecting(scope, transports);
  await Promise.all([once(socket, "connectionInfo"), !transports && upgrading(socket)]);
  const { engine } = socket.io;
  const send = engine.transport.send.bind(engine.transport);
  engine.transport.send = (packets) => {
    const others = packets.filter(({ type }) => type !== "pong");
    if (others.length) send(others);
    else queueMicrotask(() => engine.transport.emitReserved("drain")); // as if it had been sent
  };
  return arrival(socket, "disconnect");
});
checkAll("pings keep a client that is still", [true, true], async (scope, transports) => {
  const socket = connecting(scope, transports);
  await once(socket, "connectionInfo");
  let pings = 0;
  await new Promise((resolve) => socket.io.on("ping", () => ++pings === 2 && resolve()));
  return [socket.connected, (await socket.emitWithAck("subscribe", { devices: ["a"] })).ok];
});
