import asyncio
import json
import random

import websockets

SERVER = "ws://localhost:8765"
TOKEN = "abc123"


async def device(device_id):
    async with websockets.connect(SERVER) as websocket:
        await websocket.send(json.dumps({"type": "AUTH", "payload": {"token": TOKEN}}))
        answer = json.loads(await websocket.recv())
        if answer["type"] != "AUTH_OK":
            print(device_id, answer["payload"]["error"], flush=True)
            return
        print(device_id, "authenticated", flush=True)
        while True:
            await websocket.send(
                json.dumps(
                    {
                        "type": "TELEMETRY",
                        "payload": {
                            "device_id": device_id,
                            "temperature": round(random.uniform(18, 28), 1),
                            "humidity": round(random.uniform(30, 60), 1),
                            "battery": random.randint(50, 100),
                        },
                    }
                )
            )
            await asyncio.sleep(1)


async def main():
    await asyncio.gather(*(device(f"device00{n}") for n in (1, 2, 3)))


if __name__ == "__main__":
    asyncio.run(main())
