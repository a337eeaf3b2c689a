import { Api } from "./api";
import { connect } from "./connection";
import { formatCount } from "./format";
import { Model } from "./model";
import { Refresher } from "./refresher";
import { View } from "./view";
import { parseSensorData } from "./wire";

const TICK_MS = 1000;
const CLIENTS_EVERY_MS = 15_000;

const model = new Model();
const view = new View(document);
const api = new Api((time) => model.observeBridgeClock(time, Date.now()));

const bridgeNow = (): number => model.bridgeTime(Date.now());

let frameAsked = false;

/** However many events come, one paint per animation frame. */
function paint(): void {
  if (frameAsked) return;
  frameAsked = true;
  requestAnimationFrame(() => {
    frameAsked = false;
    model.expireNotice(bridgeNow());
    view.render(model, model.takeChanges(), bridgeNow());
  });
}

/** Wraps an event: it changes the model, the next frame shows it. */
function painting<Args extends unknown[]>(change: (...args: Args) => void): (...args: Args) => void {
  return (...args) => {
    change(...args);
    paint();
  };
}

const refresher = new Refresher(async () => {
  if (model.table.length === 0) model.setTable(await api.measurements());
  model.addLatest(await api.latest(model.table));
  paint();
});

async function countClients(): Promise<void> {
  if (document.hidden || model.connection !== "connected") return;
  const count = await api.clients().catch(() => null);
  if (count !== null && model.connection === "connected") model.setClients(count);
  paint();
}

connect({
  state: painting((state) => {
    model.setConnection(state);
    if (state === "connected") refresher.ask();
  }),
  clients: painting((count) => model.setClients(count)),
  sensorData: painting((body) => {
    const reading = parseSensorData(body, model.table);
    if (reading) model.addReading(reading);
  }),
  deviceStatus: painting((deviceId, status) => model.setStatus(deviceId, status)),
  systemEvent: painting((level, message) => model.setNotice({ level, message, at: bridgeNow() })),
  gap: painting((missed) => {
    const readings = missed === null ? "Some readings" : formatCount(missed, "reading");
    const message = `${readings} could not be shown live: this page fell behind.`;
    model.setNotice({ level: "warning", message, at: bridgeNow() });
    refresher.ask();
  }),
});

refresher.ask();
setInterval(paint, TICK_MS);
setInterval(() => void countClients(), CLIENTS_EVERY_MS);
