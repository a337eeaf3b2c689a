#!/bin/sh
# Check WebSocket status
curl http://localhost:3000/websocket/status
