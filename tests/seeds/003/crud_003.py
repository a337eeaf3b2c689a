"""Crea, actualiza y elimina entidades con la API REST; cada cambio genera un evento."""

import json
import sys

import requests

api = f"http://{sys.argv[1]}/api/v1"


def call(method, path, body=None):
    response = requests.request(method, f"{api}{path}", json=body, timeout=10)
    response.raise_for_status()
    return response.json() if response.content else None


location = call("POST", "/locations", {"name": "Invernadero", "site": "Finca", "room": "Norte", "altura_m": 2.5})
sensor = call("POST", "/sensors", {"tipo": "temperatura", "modelo": "DHT22", "location_id": location["id"]})
print(json.dumps({"location": location, "sensor": sensor}), flush=True)

assert call("GET", f"/sensors/{sensor['id']}")["modelo"] == "DHT22"
assert call("PUT", f"/sensors/{sensor['id']}", {"modelo": "DHT11"})["modelo"] == "DHT11"
assert sensor["id"] in [one["id"] for one in call("GET", "/sensors")["devices"]]

reading = call("POST", "/readings", {"sensor_id": sensor["id"], "temperatura": 23.5, "humedad": 65.2})["ids"][0]
assert call("GET", f"/readings/{reading}")["temperature"] == 23.5
assert call("PUT", f"/readings/{reading}", {"temperatura": 24.5})["temperature"] == 24.5
found = call("GET", f"/readings?sensor_id={sensor['id']}")["readings"]
assert [one["temperature"] for one in found] == [24.5]
call("DELETE", f"/readings/{reading}")
assert requests.get(f"{api}/readings/{reading}", timeout=10).status_code == 404

assert call("PUT", f"/locations/{location['id']}", {"room": "Sur"})["room"] == "Sur"
assert call("GET", f"/sensors/{sensor['id']}")["room"] == "Sur"
call("DELETE", f"/sensors/{sensor['id']}")
assert requests.get(f"{api}/sensors/{sensor['id']}", timeout=10).status_code == 404
call("DELETE", f"/locations/{location['id']}")
assert call("GET", "/locations")["locations"] == []
print("OK")
