import asyncio
import json
import sys

import websockets

SERVER = "ws://localhost:8765"
TOKEN = "abc123"


async def main(devices):
    async with websockets.connect(SERVER) as websocket:
        await websocket.send(json.dumps({"type": "AUTH", "payload": {"token": TOKEN}}))
        answer = json.loads(await websocket.recv())
        print(json.dumps(answer), flush=True)
        if answer["type"] == "AUTH_ERROR":
            return
        for device_id in devices:
            await websocket.send(json.dumps({"type": "SUBSCRIBE", "payload": {"device_id": device_id}}))
        async for text in websocket:
            message = json.loads(text)
            if message["type"] == "TELEMETRY":
                print(json.dumps(message["payload"]), flush=True)


asyncio.run(main(sys.argv[1:]))
