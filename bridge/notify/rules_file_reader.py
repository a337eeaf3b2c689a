"""The rules file of a running bridge: read at the start, and again on request. A bad file leaves the old rules."""

import logging
from pathlib import Path

from bridge.alarms.rules_file import AlarmsFile
from bridge.alarms.rules_file.reading import read_rules
from bridge.alarms.service import AlarmService
from bridge.core.errors import RuleFileError
from bridge.notify.notifier import Notifier

log = logging.getLogger(__name__)


class RulesFileReader:
    """`error` says why the file was not followed when it was read last; empty if it was."""

    def __init__(self, path: Path | None, followed: AlarmsFile, alarms: AlarmService, notifier: Notifier) -> None:
        self.path = path
        self.followed = followed
        self.error = ""
        self._alarms = alarms
        self._notifier = notifier

    def reload(self) -> AlarmsFile:
        """Read the file again and follow it. Raises `RuleFileError`; the old rules stay."""
        try:
            found = read_rules(self.path)
        except RuleFileError as error:
            self.error = str(error)
            log.warning("alarms: the old rules stay: %s", error)
            raise
        self._alarms.use_rules(found.rules)
        self._notifier.use(found.notify, found.watchdog)
        self.followed, self.error = found, ""
        log.info("alarms: %d rules in force, %d targets are told", len(found.rules), len(found.notify))
        return found
