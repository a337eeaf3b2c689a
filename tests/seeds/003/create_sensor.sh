#!/bin/sh
# Crear un sensor (genera evento)
curl -sS -X POST "http://${1:-localhost:8000}/api/v1/sensors" \
     -H "Content-Type: application/json" \
     -d '{
       "tipo": "temperatura",
       "modelo": "DHT22"
     }'
