"""Obtiene un token JWT de /auth/login y escucha un canal por el endpoint seguro."""

import asyncio
import json
import sys

import requests
import websockets

host, username, password, channel, how = sys.argv[1:6]

credentials = {"username": username, "password": password}
if how == "form":
    answer = requests.post(f"http://{host}/auth/login", data=credentials, timeout=10)
else:
    answer = requests.post(f"http://{host}/auth/login", json=credentials, timeout=10)
answer.raise_for_status()
token = answer.json()["access_token"]


async def main():
    uri = f"ws://{host}/api/v1/ws/secure?channel={channel}&token={token}"
    async with websockets.connect(uri) as websocket:
        async for message in websocket:
            print(json.dumps(json.loads(message)), flush=True)


asyncio.run(main())
