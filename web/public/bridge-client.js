/**
 * A client of Sensor Bridge for web pages: measurements and events of /ws, live. No dependencies.
 *
 *   <script src="http://bridge:3000/bridge-client.js"></script>
 *   <script>
 *     const client = new BridgeClient();
 *     client.on("measurements", (message) => console.log(message.sensor_id, message.values));
 *   </script>
 *
 * It reconnects by itself in less than 2 s. While it is not connected, it polls the newest measurements every 3 s, and its
 * handlers receive them as if they had been sent.
 */
(() => {
  "use strict";

  const TOPIC_OF = {
    measurement: "measurements",
    prediction: "predictions",
    action: "actions",
    alert: "alerts",
    module: "modules",
  };
  /** Types of messages that belong to no topic. */
  const ANSWERS = ["pong", "subscribed", "unsubscribed", "auth_ok"];
  const ALL = "all";
  const TOPICS = [...Object.values(TOPIC_OF), ALL];
  const FIRST_RECONNECT_MS = 250;
  const LAST_RECONNECT_MS = 1500;
  const CONNECT_MS = 10_000;
  const PING_MS = 25_000;
  const PONG_MS = 10_000;
  const POLL_TIMEOUT_MS = 10_000;
  /** Devices whose last cursor is known. Beyond that, a measurement may arrive twice after a lost connection. */
  const DEVICES_LIMIT = 10_000;
  /** Close codes after which another attempt with the same credentials is useless. */
  const REFUSED = [4401, 4403];

  const SCRIPT = globalThis.document?.currentScript?.src;

  class BridgeClient {
    #urls;
    #token;
    #topics;
    #pollMs;
    #handlers = new Map();
    #socket = null;
    #wanted = false;
    #attempts = 0;
    #timers = {};
    #polling = null;
    #catchUp = null;
    #wasOpen = false;
    #cursor = 0;
    #cursors = new Map();

    /**
     * @param {object} [options]
     * @param {string} [options.url] the bridge, `http://bridge:3000/`, or its socket, `ws://bridge:3000/ws`; by default the
     *   server of this script
     * @param {string[]} [options.topics] the topics to subscribe to; by default `all`
     * @param {string | (() => string)} [options.token] a token or an API key; a function is called before each connection
     * @param {number} [options.pollSeconds] seconds between two polls while there is no connection; 0: never
     * @param {boolean} [options.connect] whether to connect at once
     */
    constructor({ url, topics = [ALL], token, pollSeconds = 3, connect = true } = {}) {
      const wrong = topics.filter((topic) => !TOPICS.includes(topic));
      if (wrong.length) throw new RangeError(`topics: ${wrong.join(", ")}: must be of ${TOPICS.join(", ")}`);
      if (!(pollSeconds >= 0 && pollSeconds <= 3600)) throw new RangeError("pollSeconds: must be from 0 to 3600");
      this.#urls = urlsOf(url);
      this.#token = token;
      this.#topics = new Set(topics);
      this.#pollMs = pollSeconds * 1000;
      if (connect) this.connect();
    }

    /** Whether the socket is open. */
    get isConnected() {
      return this.#socket?.readyState === WebSocket.OPEN;
    }

    isConnectionActive() {
      return this.isConnected;
    }

    /** Whether measurements are polled, because there is no connection. */
    get isPolling() {
      return this.#polling !== null;
    }

    /** The subscribed topics. */
    get subscriptions() {
      return [...this.#topics];
    }

    /**
     * Call `handler` for each message of a topic, of a type (`gap`, `system_event`), or for `connected`, `disconnected`, `polling`
     * and `error`. A topic is subscribed to, if it is not yet. Returns a function that removes the handler.
     */
    on(name, handler) {
      if (typeof handler !== "function") throw new TypeError("handler: must be a function");
      if (!this.#handlers.has(name)) this.#handlers.set(name, new Set());
      this.#handlers.get(name).add(handler);
      if (TOPICS.includes(name) && !this.#topics.has(ALL) && !this.#topics.has(name)) this.subscribe([name]);
      return () => this.off(name, handler);
    }

    off(name, handler) {
      this.#handlers.get(name)?.delete(handler);
    }

    subscribe(topics) {
      this.#change("subscribe", topics, (topic) => this.#topics.add(topic));
    }

    unsubscribe(topics) {
      this.#change("unsubscribe", topics, (topic) => this.#topics.delete(topic));
    }

    /** Connect, and reconnect from now on. Does nothing if it is connected or about to be. */
    connect() {
      if (this.#wanted) return;
      this.#wanted = true;
      this.#attempts = 0;
      this.#open();
    }

    /** Disconnect, and neither reconnect nor poll until `connect`. */
    disconnect() {
      this.#wanted = false;
      this.#stopPolling();
      this.#clear("reconnect");
      const socket = this.#socket;
      this.#leave();
      if (socket === null) return;
      socket.close(1000);
      this.#emit("disconnected", { code: 1000, reason: "disconnect() was called" });
    }

    // --- the socket ----------------------------------------------------------------------------------------------------

    #open() {
      const token = this.#credential();
      const socket = new WebSocket(this.#urls.socket, token ? ["sensor-bridge", `bearer.${token}`] : []);
      const isCurrent = () => socket === this.#socket;
      this.#socket = socket;
      this.#wasOpen = false;
      this.#after("connect", CONNECT_MS, () => socket.close());
      socket.onopen = () => isCurrent() && this.#opened();
      socket.onmessage = ({ data }) => isCurrent() && this.#received(data);
      socket.onclose = (event) => isCurrent() && this.#closed(event);
    }

    #opened() {
      this.#clear("connect");
      this.#attempts = 0;
      this.#wasOpen = true;
      const topics = this.subscriptions.filter((topic) => topic !== ALL);
      if (topics.length) this.#send({ type: "subscribe", topics });
      if (!this.#topics.has(ALL)) this.#send({ type: "unsubscribe", topics: [ALL] }); // a new connection has all topics
      this.#ping();
      this.#stopPolling();
      if (this.#cursor > 0 && this.#pollMs > 0) {
        this.#catchUp = new AbortController();
        this.#poll(this.#catchUp); // what was stored since the last message
      }
      this.#emit("connected", { url: this.#urls.socket });
    }

    #received(data) {
      this.#clear("pong");
      let message;
      try {
        message = JSON.parse(data);
      } catch {
        return this.#emit("error", { message: "the bridge sent a message that is not JSON" });
      }
      if (message.type === "auth_expiring" && typeof this.#token === "function") {
        this.#send({ type: "auth", token: this.#credential() });
      }
      if (message.type === "error") this.#emit("error", { message: message.error });
      else this.#deliver(message);
    }

    #closed({ code, reason }) {
      this.#leave();
      if (this.#wasOpen) this.#emit("disconnected", { code, reason });
      if (REFUSED.includes(code)) {
        this.disconnect();
        return this.#emit("error", { code, message: reason || "access is refused: log in, or set a token" });
      }
      if (this.#attempts === 0) this.#emit("error", { code, message: reason || "no connection to the bridge" });
      if (!this.#wanted || this.#socket !== null) return; // a handler may have called disconnect() or connect()
      const delay = Math.min(FIRST_RECONNECT_MS * 2 ** this.#attempts++, LAST_RECONNECT_MS);
      this.#after("reconnect", delay * (0.75 + Math.random() / 4), () => this.#open());
      this.#startPolling();
    }

    #leave() {
      for (const timer of ["connect", "ping", "pong"]) this.#clear(timer);
      this.#catchUp?.abort();
      this.#socket = null;
    }

    /** A dead connection is noticed within PING_MS and PONG_MS. */
    #ping() {
      this.#after("ping", PING_MS, () => {
        const socket = this.#socket;
        this.#send({ type: "ping" });
        this.#after("pong", PONG_MS, () => {
          if (socket !== this.#socket) return;
          this.#closed({ code: 1006, reason: "the bridge does not answer" });
          socket.close();
        });
        this.#ping();
      });
    }

    #send(message) {
      if (this.isConnected) this.#socket.send(JSON.stringify(message));
    }

    #change(type, topics, change) {
      const list = [topics].flat();
      const wrong = list.filter((topic) => !TOPICS.includes(topic));
      if (wrong.length) throw new RangeError(`topics: ${wrong.join(", ")}: must be of ${TOPICS.join(", ")}`);
      list.forEach(change);
      this.#send({ type, topics: list });
    }

    #credential() {
      return typeof this.#token === "function" ? this.#token() : this.#token;
    }

    // --- polling -------------------------------------------------------------------------------------------------------

    #startPolling() {
      if (this.#polling !== null || !this.#pollMs) return;
      const polling = new AbortController();
      this.#polling = polling;
      this.#emit("polling", { seconds: this.#pollMs / 1000 });
      const next = async () => {
        await this.#poll(polling);
        if (this.#polling === polling) this.#after("poll", this.#pollMs, next);
      };
      next();
    }

    #stopPolling() {
      this.#clear("poll");
      this.#polling?.abort();
      this.#polling = null;
    }

    /** Deliver the measurements that are newer than those delivered. An unavailable bridge is the reason for polling: no error. */
    async #poll(polling) {
      if (!this.#topics.has(ALL) && !this.#topics.has("measurements")) return;
      const token = this.#credential();
      const url = new URL(this.#urls.latest);
      if (this.#cursor) url.searchParams.set("since", this.#cursor);
      try {
        const signal = AbortSignal.any([polling.signal, AbortSignal.timeout(POLL_TIMEOUT_MS)]);
        const response = await fetch(url, { signal, headers: token ? { Authorization: `Bearer ${token}` } : {} });
        if (response.status === 401 || response.status === 403) {
          this.#emit("error", { code: response.status, message: "access is refused: log in, or set a token" });
        }
        if (!response.ok) return;
        const { measurements } = await response.json();
        if (!polling.signal.aborted) measurements.forEach((message) => this.#deliver(message));
      } catch {
        // unavailable, or aborted
      }
    }

    // --- messages ------------------------------------------------------------------------------------------------------

    #deliver(message) {
      const { type, sensor_id: device, cursor } = message;
      if (type === "measurement" && cursor) {
        if (cursor <= (this.#cursors.get(device) ?? 0)) return;
        if (this.#cursors.size >= DEVICES_LIMIT && !this.#cursors.has(device)) this.#cursors.clear();
        this.#cursors.set(device, cursor);
        this.#cursor = Math.max(this.#cursor, cursor);
      }
      this.#emit(type, message);
      if (ANSWERS.includes(type)) return;
      if (type in TOPIC_OF) this.#emit(TOPIC_OF[type], message);
      this.#emit(ALL, message);
    }

    #emit(name, detail) {
      for (const handler of [...(this.#handlers.get(name) ?? [])]) {
        try {
          handler(detail);
        } catch (error) {
          console.error(`bridge-client: a handler of ${name} failed:`, error);
        }
      }
    }

    #after(name, ms, action) {
      this.#clear(name);
      this.#timers[name] = setTimeout(() => {
        delete this.#timers[name];
        action();
      }, ms);
    }

    #clear(name) {
      clearTimeout(this.#timers[name]);
      delete this.#timers[name];
    }
  }

  /** The addresses of the socket and of the newest measurements. */
  function urlsOf(url) {
    if (!url && !SCRIPT && !globalThis.location) throw new TypeError("url: name the bridge, such as http://bridge:3000/");
    const base = new URL(url ?? SCRIPT ?? "/", globalThis.location?.href);
    const isSocket = base.protocol.startsWith("ws");
    const socket = isSocket ? base : new URL("ws", url ? withSlash(base) : base);
    const folder = isSocket ? new URL(".", base) : socket;
    return {
      socket: String(socket).replace(/^http/, "ws"),
      latest: String(new URL("ws/latest", folder)).replace(/^ws/, "http"),
    };
  }

  function withSlash(url) {
    return url.pathname.endsWith("/") ? url : new URL(`${url.pathname}/`, url);
  }

  globalThis.BridgeClient = BridgeClient;
})();
