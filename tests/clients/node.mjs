// A Node client as anyone would write it from the wire contract. Arguments: URL, how many readings, transport.
// Prints "connected" and, at the end, one JSON object.
import { createRequire } from "node:module";

const { io } = createRequire(new URL("../../web/package.json", import.meta.url))("socket.io-client");
const [url, count, transport] = process.argv.slice(2);
const socket = io(url, { transports: [transport] });
const result = { info: [], ids: [], temperatures: [], cursors: [], early: [], transport: null };
let checks = Promise.resolve();

socket.on("connectionInfo", (info) => {
  result.info.push({ ...info, own: socket.id });
  console.log("connected");
});
socket.on("sensorData", ({ timestamp, data, cursor }) => {
  result.ids.push(data._id);
  result.temperatures.push(data.temperature);
  result.cursors.push(cursor);
  checks = checks.then(async () => {
    const answer = await fetch(`${url}/api/v1/readings?since=${cursor - 1}&limit=1`);
    const { readings } = await answer.json();
    if (readings[0]?._id !== data._id || Number.isNaN(Date.parse(timestamp))) result.early.push(data._id);
  });
  if (result.ids.length === Number(count)) {
    result.transport = socket.io.engine.transport.name;
    checks.then(() => {
      console.log(JSON.stringify(result));
      socket.close();
    });
  }
});
socket.on("connect_error", (error) => console.error(error.message));
