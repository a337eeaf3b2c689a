// Engine.IO over HTTP: how a connection opens, what is refused, what pages of other origins may read.
import { check, refusal } from "./checks.mjs";
import { POLLING, Poller, Socket, WEBSOCKET, WebSocket } from "./raw.mjs";

const PAGE = "http://page.example";

const OPEN = { sid: "20 letters", pingInterval: 2500, pingTimeout: 2000, maxPayload: 65536 };
const shown = (open) => ({ ...open, sid: /^[\w-]{20}$/.test(open.sid) ? "20 letters" : open.sid });

check("polling opens with what the client must know", { ...OPEN, upgrades: ["websocket"] }, async (scope) => {
  return shown((await Poller.opened(scope)).open);
});
check("a WebSocket opens with the same, and no upgrade", { ...OPEN, upgrades: [] }, async (scope) => {
  return shown((await Socket.opened(scope)).open);
});
check(
  "the answer to a poll is text, one packet, and not to be kept",
  { status: 200, type: "text/plain; charset=UTF-8", packets: "0", cache: "no-store" },
  async (scope) => {
    const answer = await scope.fetch(POLLING);
    const packets = (await answer.text())
      .split("\x1e")
      .map((packet) => packet[0])
      .join("");
    return {
      status: answer.status,
      type: answer.headers.get("content-type"),
      packets,
      cache: answer.headers.get("cache-control"),
    };
  },
);
check("every connection has an id of its own", 4, async (scope) => {
  const clients = await Promise.all([Poller, Socket, Poller, Socket].map((Client) => Client.opened(scope)));
  return new Set(clients.map(({ sid }) => sid)).size;
});
check("an empty sid is none", "0", async (scope) => (await (await scope.fetch(`${POLLING}&sid=`)).text())[0]);

const post = { method: "POST", body: "40" };
const REFUSED = [
  ["a request without a transport", "EIO=4", {}, 0, "Transport unknown"],
  ["a transport nobody knows", "EIO=4&transport=pigeon", {}, 0, "Transport unknown"],
  ["a poll of an unknown sid", `${POLLING}&sid=nobody`, {}, 1, "Session ID unknown"],
  ["a POST to an unknown sid", `${POLLING}&sid=nobody`, post, 1, "Session ID unknown"],
  ["a POST that would open a connection", POLLING, post, 2, "Bad handshake method"],
  ["a PUT that would open a connection", POLLING, { method: "PUT" }, 2, "Bad handshake method"],
  ["a DELETE that would open a connection", POLLING, { method: "DELETE" }, 2, "Bad handshake method"],
  ["a WebSocket asked for without an upgrade", WEBSOCKET, {}, 3, "Bad request"],
  ["protocol 3", "EIO=3&transport=polling", {}, 5, "Unsupported protocol version"],
  ["no protocol", "transport=polling", {}, 5, "Unsupported protocol version"],
  ["protocol 5", "EIO=5&transport=polling", {}, 5, "Unsupported protocol version"],
];
for (const [what, query, options, code, message] of REFUSED) {
  check(`${what} is refused`, refusal(code, message), (scope) => scope.answer(query, options));
}
check("another protocol in the middle is refused", refusal(3, "Bad request"), async (scope) => {
  const { sid } = await Poller.opened(scope);
  return scope.answer(`EIO=3&transport=polling&sid=${sid}`);
});
check("a poll of a client on a WebSocket is refused", refusal(3, "Bad request"), async (scope) => {
  const { sid } = await Socket.opened(scope);
  return scope.answer(`${POLLING}&sid=${sid}`);
});
check("a POST of a client on a WebSocket is refused, which goes on", [refusal(3, "Bad request"), true], async (scope) => {
  const client = await Socket.opened(scope);
  return [await scope.answer(`${POLLING}&sid=${client.sid}`, post), (await client.join()).startsWith("40{")];
});
check(
  "the WebSocket of a client that polls, asked for without an upgrade, is refused",
  refusal(3, "Bad request"),
  async (scope) => {
    const { sid } = await Poller.opened(scope);
    return scope.answer(`${WEBSOCKET}&sid=${sid}`);
  },
);

/** How a WebSocket is refused: the status instead of an upgrade, else that it was closed with no word said. */
async function refused(scope, query) {
  const socket = new WebSocket(`${scope.endpoint.replace("http", "ws")}?${query}`);
  scope.atEnd(() => socket.terminate());
  return new Promise((resolve) => {
    socket.on("unexpected-response", (_, { statusCode }) => resolve(statusCode));
    socket.on("message", (message) => resolve(message.toString()));
    socket.on("error", () => {});
    socket.on("close", () => resolve("closed"));
  });
}
check("a WebSocket of an unknown sid is refused", 400, (scope) => refused(scope, `${WEBSOCKET}&sid=nobody`));
check("a WebSocket of an unknown transport is refused", 400, (scope) => refused(scope, "EIO=4&transport=pigeon"));
check("a WebSocket of protocol 3 is not opened", true, async (scope) => {
  return [400, "closed"].includes(await refused(scope, "EIO=3&transport=websocket"));
});

// --- pages of other origins ----------------------------------------------------------------------------------------------

const granted = (answer) => ["origin", "credentials"].map((name) => answer.headers.get(`access-control-allow-${name}`));

check("a page that may connect may read the answer", [PAGE, "true"], async (scope) => {
  return granted(await scope.fetch(POLLING, { headers: { Origin: PAGE } }));
});
check("and a refusal", [400, PAGE, "true"], async (scope) => {
  const answer = await scope.fetch(`${POLLING}&sid=nobody`, { headers: { Origin: PAGE } });
  return [answer.status, ...granted(answer)];
});
check("and to what it has sent", [200, PAGE, "true"], async (scope) => {
  const client = await Poller.opened(scope);
  const answer = await client.post("40", { Origin: PAGE });
  return [answer.status, ...granted(answer)];
});
check("its answers are for it alone in caches", "Origin", async (scope) => {
  return (await scope.fetch(POLLING, { headers: { Origin: PAGE } })).headers.get("vary");
});
check("its preflight is granted", [true, PAGE, "true", true, "content-type"], async (scope) => {
  const headers = { Origin: PAGE, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type" };
  const answer = await scope.fetch(POLLING, { method: "OPTIONS", headers });
  const may = (name) => answer.headers.get(`access-control-allow-${name}`);
  return [answer.ok, ...granted(answer), may("methods").includes("POST"), may("headers")];
});
check("a page that may not connect may not read the answer", null, async (scope) => {
  const answer = await scope.fetch(POLLING, { headers: { Origin: "http://stranger.example" } });
  return answer.headers.get("access-control-allow-origin");
});
