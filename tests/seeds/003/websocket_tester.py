"""Tester interactivo del sistema de WebSocket."""

import asyncio
import json
import time

import requests
import websockets

HOST = input("Servidor [localhost:8000]: ").strip() or "localhost:8000"


async def single_test(channel="general"):
    async with websockets.connect(f"ws://{HOST}/api/v1/ws?channel={channel}&user_id=tester") as websocket:
        hello = json.loads(await asyncio.wait_for(websocket.recv(), 10))
        assert hello["type"] == "connection", hello
        assert hello["status"] == "connected", hello
        assert hello["channel"] == channel, hello
        assert hello["timestamp"], hello
        await asyncio.to_thread(
            requests.post,
            f"http://{HOST}/api/v1/ws/test-event",
            params={"channel": channel, "message": "Prueba"},
            timeout=10,
        )
        while True:
            event = json.loads(await asyncio.wait_for(websocket.recv(), 10))
            if event["type"] == "system_event" and event["message"] == "Prueba":
                return event


async def continuous(seconds, pause):
    ended, count = time.monotonic() + seconds, 0
    while time.monotonic() < ended:
        await single_test()
        count += 1
        await asyncio.sleep(pause)
    return count


print("1. Prueba única")
print("2. Pruebas continuas (5 minutos)")
print("3. Pruebas continuas personalizadas")
print("4. Enviar evento de prueba")
print("5. Ver estadísticas")
choice = input("Opción: ").strip()
if choice == "1":
    print("OK", asyncio.run(single_test())["level"])
elif choice == "2":
    print("OK", asyncio.run(continuous(300, 5)))
elif choice == "3":
    seconds = float(input("Segundos: "))
    print("OK", asyncio.run(continuous(seconds, 0.1)))
elif choice == "4":
    response = requests.post(
        f"http://{HOST}/api/v1/ws/test-event", params={"channel": "general", "message": "Prueba"}, timeout=10
    )
    response.raise_for_status()
    print("OK", response.json())
elif choice == "5":
    print("OK", json.dumps(requests.get(f"http://{HOST}/api/v1/ws/stats", timeout=10).json()))
