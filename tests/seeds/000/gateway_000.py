import asyncio
import json

import websockets

SERVER = "ws://localhost:8765"
TOKEN = "abc123"


async def main():
    async with websockets.connect(SERVER) as websocket:
        await websocket.send(json.dumps({"type": "AUTH", "payload": {"token": TOKEN}}))
        print((await websocket.recv()), flush=True)
        for device_id, temperature in (("device001", 21.5), ("device002", 22.5), ("device003", 23.5)):
            payload = {"device_id": device_id, "temperature": temperature, "humidity": 45.0, "battery": 98}
            await websocket.send(json.dumps({"type": "TELEMETRY", "payload": payload}))
        await asyncio.sleep(1)


asyncio.run(main())
