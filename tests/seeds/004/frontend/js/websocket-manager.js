// Client WebSocket d'IAQverse : connexion unique persistante, reconnexion automatique.
class WebSocketManager {
  constructor() {
    this.url = (location.protocol === "https:" ? "wss://" : "ws://") + location.host + "/ws";
    this.ws = null;
    this.isConnected = false;
    this.subscriptions = new Set(["all"]);
    this.listeners = {};
    this.shouldReconnect = true;
    this.pingTimer = null;
  }

  connect() {
    this.shouldReconnect = true;
    this.ws = new WebSocket(this.url);

    this.ws.onopen = () => {
      console.log("✅ WebSocket connecté");
      this.isConnected = true;
      this.subscribe([...this.subscriptions].filter((topic) => topic !== "all"));
      this.pingTimer = setInterval(() => this.send({ type: "ping" }), 30000);
      this.emit("connected");
    };

    this.ws.onmessage = (event) => {
      const data = JSON.parse(event.data);
      this.emit("message", data);
      if (data.type === "pong") console.log("🏓 Pong reçu");
      if (data.type === "measurement") this.emit("measurements", data);
      if (data.type === "prediction") this.emit("predictions", data);
      if (data.type === "action") this.emit("actions", data);
      if (data.type === "alert") this.emit("alerts", data);
      if (data.type === "module") this.emit("modules", data);
    };

    this.ws.onerror = (error) => this.emit("error", error);

    this.ws.onclose = () => {
      console.log("❌ WebSocket déconnecté");
      this.isConnected = false;
      clearInterval(this.pingTimer);
      this.emit("disconnected");
      if (this.shouldReconnect) setTimeout(() => this.connect(), 1000);
    };
  }

  disconnect() {
    this.shouldReconnect = false;
    if (this.ws) this.ws.close();
  }

  isConnectionActive() {
    return this.ws !== null && this.ws.readyState === WebSocket.OPEN;
  }

  send(message) {
    if (this.isConnectionActive()) this.ws.send(JSON.stringify(message));
  }

  subscribe(topics) {
    topics.forEach((topic) => this.subscriptions.add(topic));
    if (topics.length) this.send({ type: "subscribe", topics });
  }

  unsubscribe(topics) {
    topics.forEach((topic) => this.subscriptions.delete(topic));
    this.send({ type: "unsubscribe", topics });
  }

  on(event, callback) {
    (this.listeners[event] = this.listeners[event] || []).push(callback);
  }

  emit(event, data) {
    (this.listeners[event] || []).forEach((callback) => callback(data));
  }
}

window.wsManager = new WebSocketManager();
