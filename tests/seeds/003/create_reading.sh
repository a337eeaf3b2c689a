#!/bin/sh
# Crear una lectura (genera evento)
curl -sS -X POST "http://${1:-localhost:8000}/api/v1/readings" \
     -H "Content-Type: application/json" \
     -d '{
       "sensor_id": 1,
       "temperatura": 23.5,
       "humedad": 65.2,
       "timestamp": "2025-07-20T10:30:00Z"
     }'
