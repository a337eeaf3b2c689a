import asyncio
import json
import sys

import websockets


async def listen_to_events(uri):
    async with websockets.connect(uri) as websocket:
        print("Conectado al WebSocket", flush=True)

        async for message in websocket:
            data = json.loads(message)
            print(f"Evento recibido: {json.dumps(data)}", flush=True)

            if data["type"] == "entity_event":
                print(f"Entidad {data['entity_type']} {data['event_type']}: ID {data['entity_id']}", flush=True)


# Ejecutar
uri = sys.argv[1] if len(sys.argv) > 1 else "ws://localhost:8000/api/v1/ws?channel=sensors"
asyncio.run(listen_to_events(uri))
