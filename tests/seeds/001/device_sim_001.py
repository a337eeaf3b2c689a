"""Устройство: подключается к серверу по WebSocket, отправляет телеметрию и выполняет команды.

Запуск: python device_sim_001.py ИМЯ ПАРОЛЬ
"""

import asyncio
import json
import sys

import websockets

SERVER = "ws://localhost:8765"

state = {"status": "работает", "servo1": 90, "servo2": 90, "button1": "released", "button2": "pressed"}


async def send_telemetry(websocket):
    while True:
        await websocket.send(json.dumps({"type": "telemetry", **state}))
        await asyncio.sleep(1)


async def execute_commands(websocket):
    async for message in websocket:
        data = json.loads(message)
        if "error" in data:
            print("ошибка:", data["error"])
            return
        command, value = data["command"], data.get("value")
        print("команда:", command, repr(value))
        if command.startswith("servo"):
            state[command] = int(value)
        elif command == "alarm":
            state["status"] = "авария"
        elif command == "reset":
            state["status"] = "работает"


async def main(name, password):
    async with websockets.connect(SERVER) as websocket:
        await websocket.send(json.dumps({"type": "auth", "name": name, "password": password}))
        print("подключено")
        sending = asyncio.create_task(send_telemetry(websocket))
        try:
            await execute_commands(websocket)
        except websockets.ConnectionClosed:
            pass
        finally:
            sending.cancel()
    print("отключено")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
