// Mode WebSocket: si true, utilise WebSocket temps réel au lieu du polling HTTP
const USE_WEBSOCKET = true;

const POLL_URL = "/api/v1/readings/latest";
const POLL_INTERVAL = 3000;
const FIELDS = ["co2", "pm25", "tvoc", "temperature", "humidity"];
let pollTimer = null;

function drawMeasurement(data) {
  document.getElementById("sensor").textContent = `${data.enseigne} / ${data.salle} (${data.sensor_id})`;
  for (const field of FIELDS) document.getElementById(field).textContent = data[field];
  const score = document.getElementById("score");
  score.textContent = data.global_score;
  score.className = data.global_score >= 80 ? "bon" : data.global_score >= 50 ? "moyen" : "mauvais";
  const item = document.createElement("li");
  item.textContent = `${data.timestamp} CO2 ${data.values.CO2} TVOC ${data.values.TVOC}`;
  document.getElementById("historique").prepend(item);
}

async function pollOnce() {
  const response = await fetch(POLL_URL);
  const { readings } = await response.json();
  if (readings.length) document.getElementById("co2").textContent = readings[0].co2;
}

function startPolling() {
  if (pollTimer) return;
  console.warn("⚠️ WebSocket erreur, fallback sur polling HTTP");
  pollOnce();
  pollTimer = setInterval(pollOnce, POLL_INTERVAL);
}

function stopPolling() {
  clearInterval(pollTimer);
  pollTimer = null;
}

if (USE_WEBSOCKET) {
  window.wsManager.on("measurements", drawMeasurement);
  window.wsManager.on("error", startPolling);
  window.wsManager.on("connected", stopPolling);
  window.wsManager.subscribe(["measurements"]);
  window.wsManager.connect();
} else {
  startPolling();
}
