#!/bin/sh
# Endpoints de prueba HTTP
host="${1:-localhost:8000}"
set -e
curl -sS -f -X POST "http://$host/api/v1/ws/test-event?channel=general&message=Prueba"
echo
curl -sS -f "http://$host/api/v1/ws/stats"
echo
curl -sS -f "http://$host/api/v1/ws/stats/sensors"
echo
