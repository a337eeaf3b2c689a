#!/bin/sh
# Statistiques des connexions WebSocket actives
curl -s http://localhost:8080/ws/stats
