#!/bin/sh
# Вход и команда с помощью curl: sh command.sh ЛОГИН ПАРОЛЬ УСТРОЙСТВО КОМАНДА [ЗНАЧЕНИЕ]
server=http://localhost:5000
cookies=$(mktemp)
curl -s -c "$cookies" -o /dev/null -w 'login %{http_code}\n' -d "username=$1" -d "password=$2" "$server/login"
if [ -n "$5" ]; then
    curl -s -b "$cookies" -w '\nsend_command %{http_code}\n' -d "device_name=$3" -d "command=$4" -d "value=$5" "$server/send_command"
else
    curl -s -b "$cookies" -w '\nsend_command %{http_code}\n' -d "device_name=$3" -d "command=$4" "$server/send_command"
fi
curl -s -b "$cookies" -w '\n' "$server/get_telemetry?device=$3"
curl -s -b "$cookies" -c "$cookies" -o /dev/null -w 'logout %{http_code}\n' "$server/logout"
rm -f "$cookies"
