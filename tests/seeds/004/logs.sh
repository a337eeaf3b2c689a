#!/bin/sh
# Voir les logs WebSocket (entrée : docker logs -f iaqverse-backend)
grep WebSocket
