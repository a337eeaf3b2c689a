// Engine.IO 4. What is below messages is checked at both paths, for Socket.IO stands on it.
import { setTimeout } from "node:timers/promises";
import { check as at, refusal, seen } from "../conformance/checks.mjs";
import { POLLING, Poller, Socket, WEBSOCKET, WebSocket } from "../conformance/raw.mjs";

const CLOSED = "it was closed";
const GONE = refusal(1, "Session ID unknown");
const OPEN = { sid: "text", upgrades: ["websocket"], pingInterval: 300, pingTimeout: 200, maxPayload: 1000000 };
const MARGIN_MS = 50;

const shown = (open) => ({ ...open, sid: typeof open.sid === "string" ? "text" : open.sid });
const content = async (answer) => [answer.status, await answer.text()];

/** How a WebSocket that is asked for ends. */
async function end(scope, query) {
  const socket = new WebSocket(`${scope.endpoint.replace("http", "ws")}?${query}`);
  scope.atEnd(() => socket.terminate());
  socket.on("error", () => {});
  return new Promise((resolve) => {
    socket.on("message", () => resolve("opened"));
    socket.on("close", () => resolve("closed"));
  });
}

/** Over from long-polling; the poll that the server ends on the way. */
async function upgraded(scope) {
  const poller = await Poller.opened(scope);
  const socket = await Socket.beside(poller);
  await socket.send("2probe");
  const probe = await socket.next("3");
  const poll = await content(await poller.poll());
  await socket.send("5");
  return { poller, socket, probe, poll };
}

for (const path of ["/engine.io/", "/socket.io/"]) {
  const check = (name, expected, look) => at(`${path} ${name}`, expected, look, path);

  // --- opening -----------------------------------------------------------------------------------------------------------

  check("polling opens a session", [200, "0", OPEN], async (scope) => {
    const [status, packet] = await content(await scope.fetch(POLLING));
    return [status, packet[0], shown(JSON.parse(packet.slice(1)))];
  });
  check("a WebSocket opens a session, without an upgrade", { ...OPEN, upgrades: [] }, async (scope) => {
    return shown((await Socket.opened(scope)).open);
  });
  for (const [what, query] of [
    ["no protocol version", "transport=@"],
    ["a protocol version that is no number", "EIO=abc&transport=@"],
  ]) {
    check(`${what}: polling is refused`, 400, async (scope) => (await scope.fetch(query.replace("@", "polling"))).status);
    check(`${what}: a WebSocket is closed`, "closed", (scope) => end(scope, query.replace("@", "websocket")));
  }
  for (const [what, query] of [
    ["no transport", "EIO=4"],
    ["an unknown transport", "EIO=4&transport=abc"],
  ]) {
    check(`${what}: a request is refused`, 400, async (scope) => (await scope.fetch(query)).status);
    check(`${what}: a WebSocket is closed`, "closed", (scope) => end(scope, query));
  }
  for (const method of ["POST", "PUT"]) {
    check(`${method} does not open a session`, 400, async (scope) => (await scope.fetch(POLLING, { method })).status);
  }

  // --- pings -------------------------------------------------------------------------------------------------------------

  check("a client that polls is pinged, and its pongs are taken", Array(3).fill([200, "2", 200]), async (scope) => {
    const client = await Poller.opened(scope);
    const rounds = [];
    for (let n = 0; n < 3; n++) rounds.push([...(await content(await client.poll())), (await client.post("3")).status]);
    return rounds;
  });
  check("a client that polls and sends no pong is gone after the timeout", 400, async (scope) => {
    const client = await Poller.opened(scope);
    await setTimeout(OPEN.pingInterval + OPEN.pingTimeout + MARGIN_MS);
    return (await client.poll()).status;
  });
  check("a client on a WebSocket is pinged, and its pongs are taken", ["2", "2", "2"], async (scope) => {
    const client = await Socket.opened(scope);
    const pings = [];
    while (pings.length < 3) {
      pings.push(await client.receive());
      await client.send("3");
    }
    return pings;
  });
  check("a client on a WebSocket that sends no pong is closed", ["2", CLOSED], async (scope) => {
    const client = await Socket.opened(scope);
    client.pongs = false;
    return [await client.receive(), await client.ended()];
  });

  // --- closing -----------------------------------------------------------------------------------------------------------

  check("a client that polls closes its session", [[200, "6"], 400], async (scope) => {
    const client = await Poller.opened(scope);
    const poll = await client.polling();
    await client.post("1");
    return [await content(await poll.answer), (await client.poll()).status];
  });
  check("a client on a WebSocket closes its session", GONE, async (scope) => {
    const client = await Socket.opened(scope);
    await client.send("1");
    for (;;) {
      const answer = await scope.answer(`${POLLING}&sid=${client.sid}`);
      if (answer.body.code !== GONE.body.code) continue; // it has not been read yet
      return answer;
    }
  });

  // --- upgrading ---------------------------------------------------------------------------------------------------------

  check("a client upgrades, and its poll is ended", ["3probe", [200, "6"], "2"], async (scope) => {
    const { socket, probe, poll } = await upgraded(scope);
    socket.pongs = false;
    return [probe, poll, await socket.receive()];
  });
  check("after the upgrade polls and POSTs are refused, and the WebSocket goes on", [400, 400, "2"], async (scope) => {
    const { poller, socket } = await upgraded(scope);
    socket.pongs = false;
    return [await refusedSoon(() => poller.poll()), (await poller.post("3")).status, await socket.receive()];
  });
  check("after the upgrade another WebSocket is closed, and the first goes on", ["closed", "2"], async (scope) => {
    const { poller, socket } = await upgraded(scope);
    socket.pongs = false;
    return [await end(scope, `${WEBSOCKET}&sid=${poller.sid}`), await socket.receive()];
  });
}

/** The status of a request that is refused once UPGRADE has been read; until then a poll is answered with a NOOP. */
async function refusedSoon(ask) {
  for (;;) {
    const { status } = await ask();
    if (status !== 200) return status;
  }
}

// --- messages ------------------------------------------------------------------------------------------------------------

const check = (name, expected, look) => at(`/engine.io/ ${name}`, expected, look, "/engine.io/");

for (const [what, payload] of [
  ["one text", "4hello"],
  ["several texts", "4test1\x1e4test2\x1e4test3"],
  ["text and bytes", "4hello\x1ebAQIDBA=="],
  ["letters of other languages", "4ё€😀"],
]) {
  check(`${what} by POST is taken and comes back by poll`, [[200, "ok"], [200, payload]], async (scope) => {
    const client = await Poller.opened(scope);
    return [await content(await client.post(payload)), await content(await client.poll())];
  });
}
check("a packet of no type by POST ends the session", 400, async (scope) => {
  const client = await Poller.opened(scope);
  await client.offend("abc"); // Socket.IO answers it `ok`, the bridge 400
  return (await client.poll()).status;
});
check("a second poll is refused and ends the session", [[200, "1"], true, 400], async (scope) => {
  const client = await Poller.opened(scope);
  const first = await client.polling();
  const second = await client.poll();
  return [await content(await first.answer), [400, 500].includes(second.status), (await seen(await client.poll())).status];
});
check("text by WebSocket comes back", "4hello", async (scope) => {
  const client = await Socket.opened(scope);
  await client.send("4hello");
  return client.packet();
});
check("bytes by WebSocket come back as bytes", [1, 2, 3, 4], async (scope) => {
  const client = await Socket.opened(scope);
  await client.send(Uint8Array.from([1, 2, 3, 4]));
  return [...(await client.packet())];
});
check("a packet of no type by WebSocket closes it", CLOSED, async (scope) => (await Socket.opened(scope)).ending("abc"));
check("bytes by POST come by WebSocket after the upgrade", [[1, 2, 3, 4], "4hello"], async (scope) => {
  const client = await Poller.opened(scope);
  await client.send("bAQIDBA==");
  const socket = await Socket.beside(client);
  await socket.send("2probe");
  await socket.next("3probe");
  await socket.send("5", "4hello");
  return [[...(await socket.packet())], await socket.packet()];
});
