"""Capteur IoT simulé : envoie une mesure à l'API d'ingestion."""

import http.client
import json
import sys

SERVER = "localhost:8080"

measurement = {
    "sensor_id": "bureau1",
    "enseigne": "Maison",
    "salle": "Bureau",
    "timestamp": "2025-11-19T10:05:00Z",
    "values": {"CO2": 645, "PM25": 12, "TVOC": 0.2, "Temperature": 22.3, "Humidity": 45},
}
if len(sys.argv) > 1:
    measurement["timestamp"] = sys.argv[1]

connection = http.client.HTTPConnection(SERVER)
connection.request("POST", "/api/ingest", json.dumps(measurement), {"Content-Type": "application/json"})
print(connection.getresponse().status)
