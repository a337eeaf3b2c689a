// Engine.IO: packets by polls and POSTs, how a session ends, pings, the upgrade.
import { setTimeout } from "node:timers/promises";
import { check, checkBoth, refusal, seen } from "./checks.mjs";
import { POLLING, Poller, Socket, TRANSPORTS, acknowledged, temperature } from "./raw.mjs";

const CLOSED = "it was closed";
const GONE = refusal(1, "Session ID unknown");

// --- what is posted ------------------------------------------------------------------------------------------------------

check("a POST is answered ok", { status: 200, type: "text/html", body: "ok" }, async (scope) => {
  const client = await Poller.opened(scope);
  return seen(await client.post("40"));
});
for (const count of [3, 16, 17, 60]) {
  check(
    `${count} packets in one POST are all taken, in order`,
    Array.from({ length: count }, (_, n) => n),
    async (scope) => {
      const client = await (await Poller.opened(scope)).joined();
      await client.send(...Array.from({ length: count }, (_, n) => `42${n}["subscribe",{"devices":["a"]}]`));
      const answers = [];
      while (answers.length < count) answers.push(Number(acknowledged(await client.next("43")).id));
      return answers;
    },
  );
}

/** A `subscribe` of so many bytes, and its number. */
const long = (bytes, id = 7) => {
  const [head, tail] = [`42${id}["subscribe",{"devices":["a"]},"`, '"]'];
  return head + "x".repeat(bytes - head.length - tail.length) + tail;
};

check("a POST as long as the server said is taken", "7", async (scope) => {
  const client = await (await Poller.opened(scope)).joined();
  await client.send(long(65536));
  return acknowledged(await client.next("43")).id;
});
check("one byte more is refused, and the client goes on", [413, "8"], async (scope) => {
  const client = await (await Poller.opened(scope)).joined();
  const answer = await client.post(long(65537));
  await client.send(long(100, 8));
  return [answer.status, acknowledged(await client.next("43")).id];
});
check("a message by WebSocket as long as the server said is taken", "7", async (scope) => {
  const client = await (await Socket.opened(scope)).joined();
  await client.send(long(65536));
  return acknowledged(await client.next("43")).id;
});
check("one byte more ends the WebSocket: 1009", 1009, async (scope) => {
  const client = await (await Socket.opened(scope)).joined();
  await client.send(long(65537));
  return client.closed;
});
check("the letters of every language count by their bytes", [413, "7"], async (scope) => {
  const client = await (await Poller.opened(scope)).joined();
  const answer = await client.post(`426["subscribe",{"devices":["a"]},"${"ё".repeat(33_000)}"]`);
  await client.send(`427["subscribe",{"devices":["a"]},"${"ё".repeat(30_000)}"]`);
  return [answer.status, acknowledged(await client.next("43")).id];
});

/** A POST of which the server has the first piece. */
async function begun(client, body, headers) {
  const post = client.begin("POST", { "Content-Type": "text/plain", ...headers });
  await post.write(body.slice(0, 20));
  await client.scope.roundTrip();
  return post;
}

/** The acknowledgement of what is sent in two pieces. */
async function inPieces(client, headers) {
  const post = await begun(client, long(100), headers);
  await post.end(long(100).slice(20));
  return acknowledged(await client.next("43")).id;
}
check("a POST that comes in pieces is taken whole", "7", async (scope) => {
  const client = await (await Poller.opened(scope)).joined();
  return inPieces(client, { "Content-Length": 100 });
});
check("a POST that does not say how long it is is taken whole", "7", async (scope) => {
  const client = await (await Poller.opened(scope)).joined();
  return inPieces(client, { "Transfer-Encoding": "chunked" });
});

// --- what is polled ------------------------------------------------------------------------------------------------------

check("a poll brings all that waits, in order", [1, 2, 3], async (scope) => {
  const client = await (await Poller.opened(scope)).joined();
  const witness = await (await Socket.opened(scope)).joined();
  await client.subscribe("together");
  await witness.subscribe("together");
  await scope.publish("together", 1, 2, 3);
  await witness.temperatures(3);
  const packets = (await (await client.poll()).text()).split("\x1e");
  return packets.filter((packet) => packet.startsWith('42["sensorData"')).map(temperature);
});
check("a poll that waits is answered when something comes", [5], async (scope) => {
  const client = await (await Poller.opened(scope)).joined();
  await client.subscribe("later");
  await client.listen();
  await scope.publish("later", 5);
  return client.temperatures(1);
});
check(
  "of two polls at once the second is refused and the session ends",
  { first: "1", second: 400, after: GONE },
  async (scope) => {
    const client = await (await Poller.opened(scope)).joined();
    const first = await client.polling();
    const second = await client.poll();
    return { first: await (await first.answer).text(), second: second.status, after: await seen(await client.poll()) };
  },
);

check("a poll that breaks off ends the session", 400, async (scope) => {
  const client = await (await Poller.opened(scope)).joined();
  await (await client.polling()).breakOff();
  await scope.roundTrip();
  return (await client.poll()).status;
});
check("what comes for a poll that broke off does not pass for read", GONE, async (scope) => {
  const client = await (await Poller.opened(scope)).joined();
  const witness = await (await Socket.opened(scope)).joined();
  await client.subscribe("unread");
  await witness.subscribe("unread");
  await (await client.polling()).breakOff();
  await scope.roundTrip();
  await scope.publish("unread", 1);
  await witness.temperatures(1);
  return seen(await client.poll());
});
check("of two POSTs at once the second is refused and the session ends", [400, GONE], async (scope) => {
  const client = await (await Poller.opened(scope)).joined();
  await begun(client, long(100), { "Content-Length": 100 });
  return [(await client.post("3")).status, await seen(await client.poll())];
});
check("a POST that breaks off ends the session", CLOSED, async (scope) => {
  const client = await (await Poller.opened(scope)).joined();
  await client.listen();
  await (await begun(client, long(100), { "Content-Length": 100 })).breakOff();
  return client.ended();
});

// --- how it ends ---------------------------------------------------------------------------------------------------------

check("a client that says close ends its poll, and is gone", { poll: "6", after: GONE }, async (scope) => {
  const client = await (await Poller.opened(scope)).joined();
  const waiting = await client.polling();
  await client.post("1");
  return { poll: await (await waiting.answer).text(), after: await seen(await client.poll()) };
});
check("a client whose WebSocket ends is gone", GONE, async (scope) => {
  const client = await (await Socket.opened(scope)).joined();
  await client.send("1");
  client.socket.close();
  await client.closed;
  await scope.roundTrip();
  return seen(await scope.fetch(`${POLLING}&sid=${client.sid}`));
});

for (const [what, packet] of [
  ["a packet of no type", "abc"],
  ["a packet of a type there is not", "7"],
  ["an empty packet", ""],
  ["a ping, which is the server's to send", "2"],
]) {
  checkBoth(TRANSPORTS, `${what} ends the session`, CLOSED, (client) => client.ending(packet));
}
check("who is closed while it does not poll is told so by its next poll", CLOSED, async (scope) => {
  const client = await (await Poller.opened(scope)).joined();
  await client.offend("40");
  await scope.roundTrip();
  return client.ended();
});
check("a POST of bytes is refused, and ends the session", [400, CLOSED], async (scope) => {
  const client = await (await Poller.opened(scope)).joined();
  await client.listen();
  const { status } = await client.post("40", { "Content-Type": "application/octet-stream" });
  return [status, await client.ended()];
});
for (const [what, packet] of [
  ["a packet that opens", "0"],
  ["a packet that does nothing", "6"],
  ["a packet that upgrades where there is nothing to upgrade", "5"],
  ["a pong to no ping", "3"],
]) {
  checkBoth(TRANSPORTS, `${what} changes nothing`, "40{", async (client) => {
    await client.send(packet);
    return (await client.join()).slice(0, 3);
  });
}

// --- pings ---------------------------------------------------------------------------------------------------------------

const sinceMs = (began) => performance.now() - began;

checkBoth(TRANSPORTS, "a ping comes after the interval", ["2", true], async (client) => {
  const began = performance.now();
  await client.joined();
  client.pongs = false;
  return [await client.next("2"), sinceMs(began) > client.open.pingInterval / 2];
});
checkBoth(TRANSPORTS, "who answers pings stays", ["2", "2", true], async (client) => {
  await client.joined();
  client.pongs = false;
  const heard = [];
  while (heard.length < 2) {
    heard.push(await client.receive());
    await client.send("3");
  }
  return [...heard, (await client.subscribe("a")).ok];
});
checkBoth(TRANSPORTS, "who does not answer a ping is closed", ["2", CLOSED, true], async (client) => {
  await client.joined();
  client.pongs = false;
  const ping = await client.next("2");
  const began = performance.now();
  const end = await client.ended();
  return [ping, end, sinceMs(began) > client.open.pingTimeout / 2 && sinceMs(began) < client.open.pingTimeout + 1000];
});

const GONE_AT_ONCE_MS = 60;
const STARTS_MS = [0, 100, 200, 300, 400];
for (const [what, ask] of [
  ["a poll", (client) => client.poll()],
  ["a POST", (client) => client.post("3")],
]) {
  check(`${what} after the ping timeout is refused at once`, STARTS_MS.map(() => GONE), async (scope) => {
    return Promise.all(
      STARTS_MS.map(async (start) => {
        await setTimeout(start);
        const client = await Poller.opened(scope);
        const end = performance.now() + client.open.pingInterval + client.open.pingTimeout + GONE_AT_ONCE_MS;
        await client.joined();
        await setTimeout(end - performance.now());
        return seen(await ask(client));
      }),
    );
  });
}
check("a message by WebSocket after the ping timeout is not answered", "it was closed", async (scope) => {
  const client = await (await Socket.opened(scope)).joined();
  client.pongs = false;
  await client.next("2");
  await setTimeout(client.open.pingTimeout + GONE_AT_ONCE_MS);
  await client.send('421["subscribe",{"devices":["a"]}]').catch(() => {});
  return client.next("43").catch((error) => error.message);
});

// --- the upgrade ---------------------------------------------------------------------------------------------------------

/** Over from long-polling, as a client does it that has no poll under way. */
async function upgraded(poller) {
  const socket = await Socket.beside(poller);
  await socket.send("2probe");
  const answer = await socket.receive();
  await socket.send("5");
  return { socket, answer };
}
check("a probe is answered, and the poll that waits is ended", ["3probe", "6", true], async (scope) => {
  const client = await (await Poller.opened(scope)).joined();
  const waiting = await client.polling();
  const socket = await Socket.beside(client);
  await socket.send("2probe");
  const answer = await socket.receive();
  const poll = await (await waiting.answer).text();
  await socket.send("5");
  return [answer, poll, (await socket.subscribe("a")).ok];
});
check("a client upgrades before it joins", "40{", async (scope) => {
  const { socket } = await upgraded(await Poller.opened(scope));
  return (await socket.join()).slice(0, 3);
});
check(
  "around an upgrade nothing is lost, doubled or out of order",
  Array.from({ length: 40 }, (_, n) => n),
  async (scope) => {
    const client = await (await Poller.opened(scope)).joined();
    await client.subscribe("moving");
    const numbers = (first) => Array.from({ length: 10 }, (_, n) => first + n);
    await scope.publish("moving", ...numbers(0));
    const before = await client.temperatures(10);
    await scope.publish("moving", ...numbers(10)); // they wait for a poll that is not made any more
    const socket = await Socket.beside(client);
    await socket.send("2probe");
    await socket.next("3probe");
    await scope.publish("moving", ...numbers(20));
    await socket.send("5");
    await scope.publish("moving", ...numbers(30));
    return [...before, ...(await socket.temperatures(30))];
  },
);
check("what is sent by POST and what is sent after the upgrade is taken in order", ["1", "2", "3"], async (scope) => {
  const client = await (await Poller.opened(scope)).joined();
  await client.send('421["subscribe",{"devices":["a"]}]');
  const socket = await Socket.beside(client);
  await socket.send("2probe");
  await socket.next("3probe");
  await client.send('422["subscribe",{"devices":["a"]}]');
  await socket.send("5", '423["subscribe",{"devices":["a"]}]');
  const answers = [];
  while (answers.length < 3) answers.push(acknowledged(await socket.next("43")).id);
  return answers;
});
for (const [what, fail] of [
  ["a wrong probe", (socket) => socket.send("2nonsense")],
  ["no packet at all", (socket) => socket.send("what")],
  ["another packet than a probe", (socket) => socket.send("40")],
  ["nothing but an end", (socket) => socket.socket.close()],
  ["a probe and an end", async (socket) => (await socket.send("2probe"), await socket.next("3probe"), socket.socket.close())],
  [
    "a probe and another packet",
    async (socket) => (await socket.send("2probe"), await socket.next("3probe"), await socket.send("40")),
  ],
  ["no probe in time", () => {}],
]) {
  check(`an upgrade that fails by ${what} leaves the client polling`, [CLOSED, [8]], async (scope) => {
    const client = await (await Poller.opened(scope)).joined();
    const socket = await Socket.beside(client);
    await fail(socket);
    const end = await socket.ended();
    await client.subscribe("staying");
    await scope.publish("staying", 8);
    return [end, await client.temperatures(1)];
  });
}
check("a client may upgrade after it failed to", "3probe", async (scope) => {
  const client = await (await Poller.opened(scope)).joined();
  const socket = await Socket.beside(client);
  await socket.send("2nonsense");
  await socket.ended();
  return (await upgraded(client)).answer;
});

const OPENED_AND_CLOSED = ["opened", 1005];
/** What a further WebSocket of this client comes to: 1005 is a close without a code. */
async function further(client) {
  const socket = new Socket(client.scope, `EIO=4&transport=websocket&sid=${client.sid}`);
  const opened = await socket.opened.then(() => "opened", (error) => error.message);
  return [opened, await socket.closed];
}
check("a second WebSocket while a client upgrades is closed, the first goes on", [OPENED_AND_CLOSED, "3probe"], async (scope) => {
  const client = await (await Poller.opened(scope)).joined();
  const socket = await Socket.beside(client);
  await scope.roundTrip();
  const second = await further(client);
  await socket.send("2probe");
  return [second, await socket.receive()];
});
check("a second WebSocket of a client that has upgraded is closed, the first goes on", [OPENED_AND_CLOSED, true], async (scope) => {
  const client = await (await Poller.opened(scope)).joined();
  const { socket } = await upgraded(client);
  const { ok } = await socket.subscribe("a");
  return [await further(client), ok && (await socket.subscribe("b")).ok];
});
check("a second WebSocket of a client that began with one is closed, the first goes on", [OPENED_AND_CLOSED, true], async (scope) => {
  const client = await (await Socket.opened(scope)).joined();
  return [await further(client), (await client.subscribe("b")).ok];
});
check(
  "after an upgrade polls and POSTs are refused, and the client goes on",
  [refusal(3, "Bad request"), refusal(3, "Bad request"), true],
  async (scope) => {
    const client = await (await Poller.opened(scope)).joined();
    const { socket } = await upgraded(client);
    const { ok } = await socket.subscribe("a");
    return [await seen(await client.poll()), await seen(await client.post("41")), ok && (await socket.subscribe("b")).ok];
  },
);
check("an upgraded client is pinged and stays", ["2", "2", true], async (scope) => {
  const client = await (await Poller.opened(scope)).joined();
  const { socket } = await upgraded(client);
  socket.pongs = false;
  const pings = [];
  while (pings.length < 2) {
    pings.push(await socket.next("2"));
    await socket.send("3");
  }
  return [...pings, (await socket.subscribe("a")).ok];
});
