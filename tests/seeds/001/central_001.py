"""Центральный сервер: входит, получает телеметрию, принимает решения и передаёт команды.

Запуск: python central_001.py ЛОГИН ПАРОЛЬ УСТРОЙСТВО
"""

import sys
import time

import requests

SERVER = "http://localhost:5000"


def main(username, password, device):
    session = requests.Session()

    answer = session.get(f"{SERVER}/")
    print("страница входа:", answer.status_code)

    answer = session.post(f"{SERVER}/login", data={"username": username, "password": password}, allow_redirects=False)
    print("вход:", answer.status_code, answer.headers["Location"].lstrip("."))
    answer = session.get(f"{SERVER}/")
    print("главная:", answer.status_code)

    telemetry = wait(session, device, lambda found: "status" in found)
    print("телеметрия:", telemetry["type"], telemetry["status"], telemetry["servo1"], telemetry["button2"])

    answer = session.post(f"{SERVER}/send_command", data={"device_name": device, "command": "servo1", "value": "45"})
    print("команда servo1:", answer.ok)
    print("servo1:", wait(session, device, lambda found: found["servo1"] == 45)["servo1"])

    answer = session.post(f"{SERVER}/send_command", data={"device_name": device, "command": "alarm"})
    print("команда alarm:", answer.ok)
    print("status:", wait(session, device, lambda found: found["status"] == "авария")["status"])

    print("нет данных:", session.get(f"{SERVER}/get_telemetry", params={"device": "нет такого"}).json())

    answer = session.get(f"{SERVER}/logout", allow_redirects=False)
    print("выход:", answer.status_code, answer.headers["Location"].lstrip("."))
    answer = session.get(f"{SERVER}/get_telemetry", params={"device": device}, allow_redirects=False)
    print("после выхода:", "servo1" in answer.text)


def wait(session, device, condition):
    for _ in range(200):
        found = session.get(f"{SERVER}/get_telemetry", params={"device": device}).json()
        if "error" not in found and condition(found):
            return found
        time.sleep(0.2)
    raise SystemExit(f"не дождались: {found}")


if __name__ == "__main__":
    main(*sys.argv[1:])
