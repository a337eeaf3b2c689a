// Socket.IO 5 by WebSocket.
import { check } from "../conformance/checks.mjs";
import { Socket } from "../conformance/raw.mjs";

const CLOSED = "it was closed";

/** Of `40/custom,{"sid":…}` what stands before the body, the names in it, and the kind of the id. */
function joining(answer) {
  const body = JSON.parse(answer.slice(answer.indexOf("{")));
  return [answer.slice(0, answer.indexOf("{")), Object.keys(body), typeof body.sid];
}

/** A client that has joined the main namespace and has been told what it has shown. */
async function joined(scope) {
  const client = await Socket.opened(scope);
  await client.join();
  await client.next('42["auth"');
  return client;
}

/** What comes back for these packets, bytes as a list; as many as expected. */
async function answers(scope, packets, count) {
  const client = await joined(scope);
  await client.send(...packets);
  const came = [];
  while (came.length < count) came.push(await client.packet());
  return came.map((packet) => (typeof packet === "string" ? packet : [...packet]));
}

// --- joining and leaving -------------------------------------------------------------------------------------------------

for (const [what, packet, prefix, event] of [
  ["the main namespace", "40", "40", '42["auth",{}]'],
  ["the main namespace with a payload", '40{"token":"123"}', "40", '42["auth",{"token":"123"}]'],
  ["another namespace", "40/custom,", "40/custom,", '42/custom,["auth",{}]'],
  ["another namespace with a payload", '40/custom,{"token":"abc"}', "40/custom,", '42/custom,["auth",{"token":"abc"}]'],
]) {
  check(`a client joins ${what}`, [[prefix, ["sid"], "string"], event], async (scope) => {
    const client = await Socket.opened(scope);
    await client.send(packet);
    return [joining(await client.packet()), await client.packet()];
  });
}
check("a client joins two namespaces on one connection", ["40", "40/custom,"], async (scope) => {
  const client = await joined(scope);
  await client.send("40/custom,");
  return ["40", joining(await client.packet())[0]];
});
check("an unknown namespace is refused", '44/random,{"message":"Invalid namespace"}', async (scope) => {
  return (await Socket.opened(scope)).join("/random");
});
check("a first packet that is none closes the connection", CLOSED, async (scope) => (await Socket.opened(scope)).ending("4abc"));
check("a client that does not join is closed", CLOSED, async (scope) => (await Socket.opened(scope)).ended());
check("a client that leaves the main namespace stays connected", "2", async (scope) => {
  const client = await joined(scope);
  client.pongs = false;
  await client.send("41");
  return client.receive();
});
check("a client that leaves another namespace is still in the main one", '42["message-back","to the main one"]', async (scope) => {
  const client = await joined(scope);
  await client.send("40/custom");
  await client.next("40/custom,");
  await client.next('42/custom,["auth"');
  await client.send("41/custom", '42["message","to the main one"]');
  return client.packet();
});

// --- events --------------------------------------------------------------------------------------------------------------

const [ONE, TWO] = [Uint8Array.from([1, 2, 3]), Uint8Array.from([4, 5, 6])];
const PLACES = '{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}';

for (const [what, sent, expected] of [
  ["an event comes back", ['42["message",1,"2",{"3":[true]}]'], ['42["message-back",1,"2",{"3":[true]}]']],
  ["an event is acknowledged", ['42456["message-with-ack",1,"2",{"3":[false]}]'], ['43456[1,"2",{"3":[false]}]']],
  [
    "an event with attachments comes back",
    [`452-["message",${PLACES}]`, ONE, TWO],
    [`452-["message-back",${PLACES}]`, [...ONE], [...TWO]],
  ],
  [
    "an event with attachments is acknowledged with them",
    [`452-789["message-with-ack",${PLACES}]`, ONE, TWO],
    [`462-789[${PLACES}]`, [...ONE], [...TWO]],
  ],
]) {
  check(what, expected, (scope) => answers(scope, sent, expected.length));
}
check("an event in another namespace is answered there", '42/custom,["message-back","hello"]', async (scope) => {
  const client = await Socket.opened(scope);
  await client.join("/custom,");
  await client.next('42/custom,["auth"');
  await client.send('42/custom,["message","hello"]');
  return client.packet();
});
for (const [what, packet] of [
  ["an unknown type", "4abc"],
  ["an event that is no list", "42{}"],
  ["a number that is none", '42abc["message-with-ack",1,"2",{"3":[false]}]'],
]) {
  check(`${what} closes the connection`, CLOSED, async (scope) => (await joined(scope)).ending(packet));
}
