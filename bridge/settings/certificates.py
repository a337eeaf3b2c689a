"""The certificate files that the settings name."""

import ssl
from collections.abc import Callable
from pathlib import Path

from bridge.core.errors import SettingsError
from bridge.settings import Settings


def check_certificates(settings: Settings) -> None:
    """Read the files for the HTTP port and the broker. Raises `SettingsError` with a line for each that cannot be used.

    Not part of loading the settings: commands that neither listen nor connect to the broker need no right to read them.
    """
    http, mqtt = settings.http.tls, settings.mqtt.tls
    checks: list[tuple[str, list[Path | None], Callable[[], ssl.SSLContext | None]]] = [
        ("http.tls", [http.cert_file, http.key_file], lambda: settings.http.tls.context),
        ("mqtt.tls", [mqtt.ca_file, mqtt.cert_file, mqtt.key_file], lambda: settings.mqtt.tls_context),
    ]
    mistakes = []
    for name, files, load in checks:
        try:
            load()
        except OSError as error:
            mistakes.append(f"{name}: {', '.join(str(file) for file in files if file)}: {error}")
    if mistakes:
        raise SettingsError("\n".join(mistakes))
