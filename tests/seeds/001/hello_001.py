"""Проверка протокола: отправляет одно сообщение и печатает ответ сервера и закрытие соединения.

Запуск: python hello_001.py СООБЩЕНИЕ
"""

import asyncio
import sys

import websockets

SERVER = "ws://localhost:8765"


async def main(message):
    async with websockets.connect(SERVER) as websocket:
        await websocket.send(message)
        try:
            while True:
                print(await websocket.recv())
        except websockets.ConnectionClosed:
            pass
    print("закрыто")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
