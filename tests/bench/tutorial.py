"""A stack built as in its tutorials: one `insert_one` and one `emit` per message.

Arguments: the broker's port, the MongoDB URL, the port to listen on.
"""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import UTC, datetime
from typing import Any

import aiomqtt
import socketio
from aiohttp import web
from motor.motor_asyncio import AsyncIOMotorClient


async def main(mqtt_port: int, mongo_url: str, port: int) -> None:
    sio = socketio.AsyncServer(async_mode="aiohttp", cors_allowed_origins="*")
    app = web.Application()
    sio.attach(app)
    runner = web.AppRunner(app)
    await runner.setup()
    collection: Any = AsyncIOMotorClient(mongo_url).get_default_database()["readings"]
    async with aiomqtt.Client("127.0.0.1", mqtt_port) as client:
        await client.subscribe("sensors/+/data", qos=1)
        await web.TCPSite(runner, "127.0.0.1", port).start()
        async for message in client.messages:
            data = json.loads(message.payload)
            data["timestamp"] = datetime.now(UTC)
            await collection.insert_one(data)
            data["_id"] = str(data["_id"])
            data["timestamp"] = data["timestamp"].isoformat()
            await sio.emit("sensorData", {"timestamp": datetime.now(UTC).isoformat(), "data": data})


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
