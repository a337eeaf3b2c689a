// A check is a name, what a client is to see, and how to look. What was seen is printed, so that two servers can be compared.
import { Agent } from "node:http";
import { isDeepStrictEqual } from "node:util";

const SECONDS = 10;
const checks = [];

/** `expected` is compared with what `look(scope)` returns. `path` is where the server speaks Engine.IO. */
export function check(name, expected, look, path = "/socket.io/") {
  checks.push({ name, expected, look, path });
}

/** The same check by long-polling and by WebSocket; `look(client, scope)` is given a client that has been opened. */
export function checkBoth(transports, name, expected, look) {
  for (const [transport, Client] of Object.entries(transports)) {
    check(`${name}, by ${transport}`, expected, async (scope) => look(await Client.opened(scope), scope));
  }
}

/** What a check has of its surroundings; all that it opens is closed at its end. */
class Scope {
  #closing = [];
  #aborting = new AbortController();
  signal = this.#aborting.signal;
  agent = new Agent({ keepAlive: true });

  constructor(url, path) {
    this.url = url;
    this.endpoint = `${url}${path}`;
  }

  atEnd(close) {
    this.#closing.push(close);
  }

  end() {
    this.#aborting.abort();
    for (const close of this.#closing) close();
    this.agent.destroy();
  }

  /** A request of Engine.IO. */
  fetch(query, options = {}) {
    return fetch(`${this.endpoint}?${query}`, { signal: this.signal, ...options });
  }

  /** Its answer, as far as a client cares. */
  async answer(query, options) {
    return seen(await this.fetch(query, options));
  }

  /** Returns when the server has read what was sent before: it has looked twice, for it may have to accept a connection. */
  async roundTrip() {
    for (let n = 0; n < 2; n++) await (await fetch(`${this.url}/nothing/here`, { signal: this.signal })).text();
  }

  /** Readings of one device, published in this order. */
  async publish(deviceId, ...temperatures) {
    const body = temperatures.map((temperature) => ({ deviceId, temperature }));
    const headers = { "Content-Type": "application/json" };
    const answer = await fetch(`${this.url}/api/v1/readings`, { method: "POST", headers, body: JSON.stringify(body) });
    await answer.text();
    if (answer.status !== 201) throw new Error(`readings were answered ${answer.status}`);
  }
}

export async function seen(answer) {
  const type = answer.headers.get("content-type");
  const text = await answer.text();
  return {
    status: answer.status,
    type: type?.split(";")[0],
    body: type?.startsWith("application/json") ? JSON.parse(text) : text,
  };
}

/** How Socket.IO refuses a request. */
export function refusal(code, message) {
  return { status: 400, type: "application/json", body: { code, message } };
}

async function run({ name, expected, look, path }, url) {
  const scope = new Scope(url, path);
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`nothing within ${SECONDS} s`)), SECONDS * 1000);
  });
  let saw;
  try {
    saw = await Promise.race([look(scope), late]);
  } catch (error) {
    saw = { error: error.message };
  } finally {
    clearTimeout(timer);
    scope.end();
  }
  return { check: name, ok: isDeepStrictEqual(saw, expected), saw };
}

const ALONE = 2;

/** All at once, and each is printed when it is over. Deadlines pass where all compete for a busy machine: what fails is tried again alone. */
export async function runAll(url) {
  const failed = [];
  const print = (result) => console.log(JSON.stringify(result));
  await Promise.all(
    checks.map(async (one) => {
      const result = await run(one, url);
      if (result.ok) print(result);
      else failed.push(one);
    }),
  );
  for (const one of failed) {
    let result;
    for (let n = 0; n < ALONE && !result?.ok; n++) result = await run(one, url);
    print(result);
  }
}
