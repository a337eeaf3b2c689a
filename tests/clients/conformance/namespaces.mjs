// Socket.IO: joining, namespaces, events and acknowledgements, leaving; both transports.
import { checkBoth as both } from "./checks.mjs";
import { TRANSPORTS, acknowledged } from "./raw.mjs";

const CLOSED = "it was closed";
const checkBoth = (name, expected, look) => both(TRANSPORTS, name, expected, look);

// --- joining -------------------------------------------------------------------------------------------------------------

/** Of `40{"sid":…}`: its members, and whether the id is one of its own. */
function joining(answer, client) {
  const body = JSON.parse(answer.slice(2));
  return [answer.slice(0, 2), Object.keys(body), /^[\w-]{20}$/.test(body.sid) && body.sid !== client.sid];
}
for (const [what, payload] of [
  ["without a payload", ""],
  ["with an empty payload", "{}"],
  ["with a payload", '{"greeting":"hello","n":1}'],
  ["by its name", "/"],
  ["by its name, with a comma", "/,"],
  ["by its name, with a payload", '/,{"greeting":"hello"}'],
]) {
  checkBoth(`a client joins ${what}`, ["40", ["sid"], true], async (client) => joining(await client.join(payload), client));
}
checkBoth("it is told its id first, and then what is for it", true, async (client) => {
  const { sid } = JSON.parse((await client.join()).slice(2));
  return JSON.parse((await client.next("42")).slice(2))[1].clientId === sid;
});
checkBoth("an unknown namespace is refused", '44/nope,{"message":"Invalid namespace"}', (client) => client.join("/nope,"));
checkBoth("an unknown namespace without a comma is refused", '44/nope,{"message":"Invalid namespace"}', (client) =>
  client.join("/nope"),
);
checkBoth("an unknown namespace with a payload is refused", '44/a/b,{"message":"Invalid namespace"}', (client) =>
  client.join('/a/b,{"x":1}'),
);
checkBoth("a query does not belong to a namespace", '44/?a=1,{"message":"Invalid namespace"}', (client) =>
  client.join("/?a=1,"),
);
checkBoth("who was refused elsewhere may join", ["44/nope", "40{"], async (client) => {
  await client.send("40/nope,", "40");
  return [(await client.packet()).slice(0, 7), (await client.packet()).slice(0, 3)];
});
checkBoth(
  "who has joined may be refused elsewhere, and goes on",
  ['44/nope,{"message":"Invalid namespace"}', true],
  async (client) => {
    await client.joined();
    return [await client.join("/nope,"), (await client.subscribe("a")).ok];
  },
);
checkBoth("who does not join in time is closed", CLOSED, (client) => client.ended());

// --- what ends the connection --------------------------------------------------------------------------------------------

for (const [what, packet] of [
  ["an event", '42["subscribe",{}]'],
  ["an acknowledgement", "431[]"],
  ["a leave", "41"],
  ["a refusal", '44{"message":"no"}'],
  ["a payload that is a list", "40[]"],
  ["a payload that is a text", '40"hello"'],
  ["a payload that is nothing", "40null"],
  ["a payload that cannot be read", "40{"],
  ["a message of no type", "4"],
  ["a message of a type there is not", "49"],
]) {
  checkBoth(`${what} instead of a join ends the connection`, CLOSED, (client) => client.ending(packet));
}
for (const [what, packet] of [
  ["a second join", "40"],
  ["a refusal", '44{"message":"no"}'],
  ["an event of a namespace that was not joined", '42/nope,["subscribe",{}]'],
  ["a leave of a namespace that was not joined", "41/nope,"],
  ["a leave with a payload", "41{}"],
  ["an event that is no list", "42{}"],
  ["an event without a name", "42[]"],
  ["an event whose name is a list", "42[[]]"],
  ["an event that cannot be read", "42["],
  ["an event named as the library's own", '42["disconnect"]'],
  ["an event named so in other letters", '42["\\u0063onnect"]'],
  ["an acknowledgement that is no list", "431{}"],
  ["a message in quotes", '4"2[\\"subscribe\\",{}]"'],
]) {
  checkBoth(`${what} ends the connection of who has joined`, CLOSED, async (client) => {
    await client.joined();
    return client.ending(packet);
  });
}

// --- events and acknowledgements -----------------------------------------------------------------------------------------

for (const id of ["0", "1", "12345678", "9007199254740991"]) {
  checkBoth(
    `an event with the id ${id} is acknowledged with it`,
    { id, ok: true, devices: ["a", "nothing"] },
    async (client) => {
      await client.joined();
      await client.send(`42${id}["subscribe",{"devices":["a"]}]`);
      const { ok, devices, ...answer } = acknowledged(await client.next("43"));
      return { id: answer.id, ok, devices };
    },
  );
}
checkBoth("an event may have more than one argument, and name its namespace", "5", async (client) => {
  await client.joined();
  await client.send('42/,5["subscribe",{"devices":["a"]},null,[1,{"deep":[]}],"более ✓"]');
  return acknowledged(await client.next("43")).id;
});
checkBoth("an event without an id is not acknowledged, and is taken", ["2", [3]], async (client, scope) => {
  await client.joined();
  const device = `quiet-${client.constructor.name}`;
  await client.send(`42["subscribe",{"devices":["${device}"]}]`);
  await client.send(`422["subscribe",{"devices":["${device}"]}]`);
  const { id } = acknowledged(await client.next("43"));
  await scope.publish(device, 3);
  return [id, await client.temperatures(1)];
});
checkBoth("several events are acknowledged in order", ["3", "1", "2", "0"], async (client) => {
  await client.joined();
  await client.send(...["3", "1", "2", "0"].map((id) => `42${id}["subscribe",{"devices":["a"]}]`));
  const answers = [];
  while (answers.length < 4) answers.push(acknowledged(await client.next("43")).id);
  return answers;
});
checkBoth("an acknowledgement of nothing changes nothing", true, async (client) => {
  await client.joined();
  await client.send('4377["what"]', "4378[]");
  return (await client.subscribe("a")).ok;
});
checkBoth(
  "an event comes with name and body, in order",
  ["sensorData", ["timestamp", "data", "cursor"], [1, 2, 3]],
  async (client, scope) => {
    await client.joined();
    const device = `shape-${client.constructor.name}`;
    await client.subscribe(device);
    await scope.publish(device, 1, 2, 3);
    const [name, body, ...more] = JSON.parse((await client.next('42["sensorData"')).slice(2));
    return [name, Object.keys(body), [body.data.temperature, ...(await client.temperatures(2))], ...more];
  },
);
checkBoth("a client hears of what it asked for, and not of the rest", [2, 4], async (client, scope) => {
  await client.joined();
  const device = `mine-${client.constructor.name}`;
  await client.subscribe(device);
  await scope.publish(`${device}-not`, 1);
  await scope.publish(device, 2);
  await scope.publish(`${device}-not`, 3);
  await scope.publish(device, 4);
  return client.temperatures(2);
});

// --- leaving -------------------------------------------------------------------------------------------------------------

checkBoth("who leaves may join again, under another id", ["40", true], async (client, scope) => {
  const first = JSON.parse((await client.join()).slice(2)).sid;
  await client.send("41");
  await scope.roundTrip();
  const answer = await client.join();
  return [answer.slice(0, 2), JSON.parse(answer.slice(2)).sid !== first];
});
checkBoth("who has left and sends an event is closed", CLOSED, async (client, scope) => {
  await client.joined();
  await client.send("41");
  await scope.roundTrip();
  return client.ending('42["subscribe",{}]');
});
checkBoth("who has left hears nothing more", [], async (client, scope) => {
  await client.joined();
  const device = `left-${client.constructor.name}`;
  await client.subscribe(device);
  await client.send("41");
  await scope.roundTrip();
  await scope.publish(device, 1);
  await client.send("40");
  const heard = [];
  for (;;) {
    const packet = await client.packet();
    if (packet.startsWith("40")) return heard;
    if (packet.startsWith('42["sensorData"')) heard.push(packet);
  }
});
