// Clients of Engine.IO of which nothing happens by itself, but that they answer pings.
import { request } from "node:http";
import { createRequire } from "node:module";
import { text } from "node:stream/consumers";

const require = createRequire(new URL("../../../web/package.json", import.meta.url));
export const WebSocket = require("ws");
export const { io, Manager } = require("socket.io-client");

export const POLLING = "EIO=4&transport=polling";
export const WEBSOCKET = "EIO=4&transport=websocket";

/** What is to come, in order; what has come is given to whoever waits, else kept. */
class Inbox {
  #kept = [];
  #waiting = [];
  #ended = null;

  put(item) {
    const wants = this.#waiting.shift();
    if (wants) wants.resolve(item);
    else this.#kept.push(item);
  }

  /** Nothing more will come: whoever waits, or will, fails with this. */
  end(error) {
    this.#ended ??= error;
    for (const { reject } of this.#waiting.splice(0)) reject(this.#ended);
  }

  get() {
    if (this.#kept.length) return Promise.resolve(this.#kept.shift());
    if (this.#ended) return Promise.reject(this.#ended);
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }
}

/** What every client can do that can `listen`, `receive`, `send` and `offend`. */
class Client {
  /** Pings are answered, unless a check is about them. */
  pongs = true;

  /** The next packet that begins with one of these; others are passed over. */
  async next(...starts) {
    for (;;) {
      const packet = await this.packet();
      if (starts.some((start) => packet.startsWith(start))) return packet;
    }
  }

  /** The next packet that is no ping. */
  async packet() {
    for (;;) {
      const packet = await this.receive();
      if (packet !== "2" || !this.pongs) return packet;
      await this.send("3");
    }
  }

  /** Ask to be let into a namespace; what the server answers. */
  async join(payload = "") {
    await this.send(`40${payload}`);
    return this.next("40", "44");
  }

  /** Let in, and hearing of nothing that other checks cause. */
  async joined() {
    await this.join();
    await this.subscribe("nothing");
    return this;
  }

  /** Resolves with how the server has ended it. */
  async ended() {
    try {
      for (;;) await this.packet();
    } catch (error) {
      if (error instanceof Ended) return error.message;
      throw error;
    }
  }

  /** How this packet ends it, while it listens. */
  async ending(packet) {
    await this.listen();
    const ended = this.ended();
    await this.offend(packet);
    return ended;
  }

  /** Hear of this device; the acknowledgement. */
  async subscribe(device, id = 1) {
    await this.send(`42${id}["subscribe",{"devices":["${device}"]}]`);
    return acknowledged(await this.next("43"));
  }

  /** The temperatures of the next readings. */
  async temperatures(count) {
    const heard = [];
    while (heard.length < count) heard.push(temperature(await this.next('42["sensorData"')));
    return heard;
  }
}

/** A request under way. Other than with `fetch` one knows when it has been sent. */
class Exchange {
  #request;

  constructor(scope, url, method, headers) {
    this.#request = request(url, { method, headers, agent: scope.agent });
    this.answer = new Promise((resolve, reject) => {
      this.#request.on("error", reject);
      this.#request.on("response", async (answer) => {
        const body = await text(answer).catch(reject);
        resolve(new Response(body, { status: answer.statusCode, headers: Object.entries(answer.headers) }));
      });
    });
    this.answer.catch(() => {});
    scope.atEnd(() => this.#request.destroy());
  }

  /** These promises resolve when it has been given to the system, or cannot be any more. */
  write(piece) {
    return new Promise((resolve) => this.#request.write(piece, resolve));
  }

  end(piece) {
    return new Promise((resolve) => this.#request.end(piece, resolve));
  }

  /** Resolves when the connection is closed. */
  breakOff() {
    return new Promise((resolve) => this.#request.on("close", resolve).destroy());
  }
}

/** By long-polling: a poll is made when something is to be received. */
export class Poller extends Client {
  #url;
  #came = [];
  #poll = null;

  constructor(scope, open) {
    super();
    this.scope = scope;
    this.open = open;
    this.sid = open.sid;
    this.#url = `${scope.endpoint}?${POLLING}&sid=${open.sid}`;
  }

  static async opened(scope) {
    const answer = await scope.fetch(POLLING);
    return new Poller(scope, JSON.parse((await answer.text()).slice(1)));
  }

  begin(method, headers = {}) {
    return new Exchange(this.scope, this.#url, method, headers);
  }

  /** The answer to a poll. */
  poll() {
    const poll = this.begin("GET");
    poll.end();
    return poll.answer;
  }

  /** A poll that the server has. */
  async polling() {
    const poll = this.begin("GET");
    await poll.end();
    await this.scope.roundTrip();
    return poll;
  }

  /** The answer to a POST. */
  post(body, headers = {}) {
    const post = this.begin("POST", {
      "Content-Type": "text/plain;charset=UTF-8",
      "Content-Length": Buffer.byteLength(body),
      ...headers,
    });
    post.end(body);
    return post.answer;
  }

  async send(...packets) {
    const { status } = await this.post(packets.join("\x1e"));
    if (status !== 200) throw new Ended(`a POST was answered ${status}`);
  }

  /** Returns when whatever the server says next reaches this client. */
  async listen() {
    this.#poll = await this.polling();
  }

  async receive() {
    while (!this.#came.length) {
      const answer = await (this.#poll?.answer ?? this.poll());
      this.#poll = null;
      if (answer.status !== 200) throw new Ended(`a poll was answered ${answer.status}`);
      this.#came.push(...(await answer.text()).split("\x1e"));
    }
    const packet = this.#came.shift();
    if (packet === "1") throw new Ended("it was closed");
    return packet;
  }

  /** Send what ends the session, whatever becomes of that. */
  async offend(packet) {
    await this.post(packet).catch(() => {});
  }
}

/** By WebSocket. */
export class Socket extends Client {
  #inbox = new Inbox();

  constructor(scope, query) {
    super();
    this.scope = scope;
    this.socket = new WebSocket(`${scope.endpoint.replace("http", "ws")}?${query}`, { perMessageDeflate: false });
    this.closed = new Promise((resolve) => this.socket.on("close", resolve));
    this.opened = new Promise((resolve, reject) => {
      this.socket.on("open", resolve);
      this.socket.on("error", reject);
    });
    this.opened.catch(() => {});
    this.socket.on("message", (message, isBinary) => this.#inbox.put(isBinary ? message : message.toString()));
    this.socket.on("close", () => this.#inbox.end(new Ended("it was closed")));
    scope.atEnd(() => this.socket.terminate());
  }

  static async opened(scope) {
    const client = new Socket(scope, WEBSOCKET);
    await client.opened;
    client.open = JSON.parse((await client.receive()).slice(1));
    client.sid = client.open.sid;
    return client;
  }

  /** A further WebSocket of a client that polls. */
  static async beside(poller) {
    const client = new Socket(poller.scope, `${WEBSOCKET}&sid=${poller.sid}`);
    await client.opened;
    return client;
  }

  async send(...packets) {
    for (const packet of packets) this.socket.send(packet);
  }

  async listen() {}

  receive() {
    return this.#inbox.get();
  }

  offend(packet) {
    return this.send(packet);
  }
}

/** The connection has come to its end. */
export class Ended extends Error {}

export const TRANSPORTS = { polling: Poller, websocket: Socket };

/** Of `43<id>[body]`: id and body. */
export function acknowledged(packet) {
  const [, id, body] = /^43(\d+)\[(.*)\]$/.exec(packet) ?? [];
  return { id, ...JSON.parse(body) };
}

export function temperature(packet) {
  return JSON.parse(packet.slice(2))[1].data.temperature;
}
