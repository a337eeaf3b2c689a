"""The templates of reasons by key. The page has them in each language (`web/src/standards/reasons.*.ts`; a test compares).

The first that a text follows is its own, so special ones come before general ones. `{reason}` and `{type}` are reasons
themselves, where they follow a template. Keys are a wire contract: they stay, also when their text changes.
"""

from collections.abc import Mapping

from bridge.core.readings.identity import DEVICE_ID_RULE

REASONS: Mapping[str, str] = {
    # payloads
    "payload.empty": "not JSON: the payload is empty",
    "payload.encoded": "not JSON: it looks like {encoding}: use format {format}",
    "payload.notJson": "not JSON: {reason}",
    "payload.notGzip": "not gzip: the end is missing",
    "payload.tooLargeUnpacked": "more than {limit} bytes uncompressed",
    "payload.notObject": "not a JSON object but {type}",
    "payload.notObjectOrList": "not a JSON object or list but {type}",
    "payload.notValue": "not one value but {type}",
    "payload.tooLarge": "{bytes} bytes, more than the {limit} allowed",
    "payload.tooManyObjects": "{count} objects in one message, more than the {limit} allowed",
    "payload.tooDeep": "nested deeper than {limit} levels",
    "payload.notLineProtocol": "not line protocol: {detail}",
    "payload.notSenml": "not SenML: {detail}",
    "payload.notSparkplug": "not Sparkplug B: {detail}",
    "payload.notForm": "not a form: no key=value",
    "payload.some": "{count} of {all} readings: {reason}",
    "type.object": "an object",
    "type.list": "a list",
    "type.emptyList": "an empty list",
    "type.text": "a text",
    "type.number": "a number",
    "type.boolean": "true or false",
    "type.null": "null",
    # messages without a measurement, a device or a subscription
    "measurement.none": "no measurement: the object contains none",
    "measurement.unknownKey": "no measurement: unknown key {names}",
    "measurement.unknownKeys": "no measurement: unknown keys {names}",
    "measurement.missing": "no measurement: no value at {names}",
    "measurement.empty": "no measurement: the payload is empty",
    "measurement.null": "no measurement: the payload is null",
    "measurement.noCodec": "no measurement: no object: set a codec in the device profile in ChirpStack",
    "measurement.noFormatter": (
        "no measurement: no decoded_payload: set an uplink payload formatter for the device in The Things Stack"
    ),
    "measurement.invalid": "no valid measurement: {faults}",
    "topic.none": "no subscription matches the topic {topic}",
    "topic.ignored": "messages of its topic are ignored",
    "topic.announcement": "an announcement of Home Assistant discovery",
    "topic.zigbee2mqtt": "about the Zigbee2MQTT bridge itself",
    "topic.noReading": "not a reading",
    "topic.deviceWithout": "a device without measurements",
    "topic.stateWithout": "a state without measurements",
    "device.idInvalid": f"no valid device id: {{detail}}; allowed are {DEVICE_ID_RULE}",
    "device.notRegistered": "device {device} is not registered, and devices.registration is required",
    "device.unknown": "no device {device} is known",
    "device.exists": "device {device} is already registered: use PATCH to change it",
    "device.limit": "the limit of {limit} devices is reached (devices.limit)",
    "status.invalid": "no valid status: {status}; allowed are 'online', 'offline' or a JSON object with a text 'status'",
    "acknowledgement.invalid": "not a command acknowledgement: {detail}",
    # keys that are not taken
    "key.unknown": "unknown key",
    "key.taken": "{field} is already taken from another key",
    "key.notMapped": "not in the mapping",
    "key.unit": "in unit {unit}, not one of {units}",
    "key.tooMany": "beyond the {limit} keys of a message",
    "key.chip": "the temperature of the chip itself",
    "key.seaLevel": "reduced to sea level",
    "key.notConnected": "the code of a sensor that is not connected",
    "key.same": "the same value as {key}",
    # attributes of devices
    "attribute.setByBridge": "is set by the bridge",
    "attribute.text": "must be a text of 1 to {limit} characters, or null",
    "attribute.control": "must not have control characters, such as line breaks",
    "attribute.seconds": "must be a number of seconds from {low} to {high}, or null",
    "attribute.zone": "must be an IANA time zone such as Europe/Paris, an offset such as +02:00, or null",
    "attribute.fixed": "cannot be changed",
    "attribute.ofLocation": "is that of the location {location}: change it there, or leave it out",
    "attribute.ofDevice": "belongs to the device of this part: set it for {device}",
    "password.length": "must have {shortest} to {longest} characters",
    # commands
    "command.offline": "device offline",
    "command.idUsed": "id {id} belongs to another command to this device",
    "command.tooMany": "the limit of {count} commands that wait for this device is reached (devices.queue_limit)",
    "command.tooManyInAll": "the limit of {count} commands that wait for all devices is reached",
    "command.notSent": "not sent within {seconds} s",
    "command.refused": "the device refused it",
    "command.socketClosed": "the device's socket is closed, or the device does not read",
    "command.noTopic": "the device has no topic for commands: one that begins with $ is the broker's own",
    # alarms and sensor faults
    "alarm.unknown": "no alarm {id} is known",
    "alarm.notStanding": "does not stand, or is outside your scope",
    "alarm.notAcknowledgeable": "alarm {id} is {state}: only an unacknowledged one can be acknowledged",
    "alarm.notResettable": "alarm {id} is {state}: only a latched one can be reset, once acknowledged",
    "alarm.notShelved": "the alarm is not shelved: only a shelved one can be unshelved",
    "alarm.outOfService": "the alarm is out of service already",
    "alarm.inService": "the alarm is in service: only one that is out of service can be returned to it",
    "alarm.normal": "there is no alarm: the state is normal",
    "alarm.catchingUp": "alarms are being brought up to date: try again in a few seconds",
    "alarm.notStored": "the action is done and waits to be stored: the store is unavailable",
    "fault.off": "analysis.anomalies is off: anomalies cannot be marked",
    "fault.tooOld": "too old: of each device, the last {count} that have ended can be marked as wrong",
    "fault.notStored": "the mark was not stored: try again in a few seconds",
    # subscriptions and other requests
    "subscription.inFile": "{pattern} matches the same topics and is in the settings file",
    "subscription.stored": "{pattern} matches the same topics and is stored",
    "subscription.own": "{pattern} has only topics of the bridge's own messages ({setting})",
    "subscription.limit": "the limit of {limit} stored subscriptions is reached: remove one",
    "survey.running": "a survey is running already: wait until it has finished",
    "quarantine.busy": "the quarantine is being retried or cleared: wait until that has finished",
    "push.otherUser": "this browser is subscribed for another user: unsubscribe it there first",
    "request.tooMany": "too many attempts: try again in {seconds} s",
    "request.parameters": "wrong parameters: {names}",
    "request.failed": "internal error; the log of the bridge has the details",
    # events of the bridge
    "event.started": "the bridge has started",
    "event.brokerFound": "broker found",
    "event.brokerLost": "broker lost: no readings arrive by MQTT until it is found",
    "event.storeFound": "store found",
    "event.storeLost": "store lost: readings wait at the broker until it is found",
    "event.quarantineFull": "quarantine full: {count} oldest messages removed",
    # components
    "bridge.starting": "starting",
    "bridge.stopping": "stopping",
    "bridge.stops": "the bridge is stopping",
    "store.unavailable": "the store is unavailable: {reason}",
    "store.tryAgain": "store unavailable, try again: {reason}",
    "store.silent": "the store has not answered since the bridge started",
    "store.mongo": "MongoDB: {detail}",
    "store.notPrimary": "MongoDB answers, but is not a primary that accepts writes",
    "store.sqlite": "SQLite, {path}: {detail}",
    "broker.at": "{address}: {reason}",
    "broker.unavailable": "the broker is unavailable",
    "broker.refused": (
        "connection refused: no program listens on port {port} of {host}: "
        "start the broker, or correct host and port in {setting}"
    ),
    "broker.unknownHost": "the host {host} cannot be looked up ({detail}): correct {setting}, or check DNS",
    "broker.noRoute": "no route to {host} ({detail}): check the network, or correct {setting}",
    "broker.lost": "the connection was lost: see whether the broker runs, and its log",
    "broker.password": (
        "the broker does not authorize this user or password: "
        "correct mqtt.username and mqtt.password, or those in mqtt.url, or permit it at the broker"
    ),
    "broker.noUser": (
        "the broker does not authorize a client without a user: "
        "correct mqtt.username and mqtt.password, or those in mqtt.url, or permit it at the broker"
    ),
    "broker.silent": (
        "no answer from port {port} of {host} within {seconds} s: correct {setting}, or check the network and its firewalls"
    ),
    "broker.notSubscribed": (
        "the broker refuses to subscribe to {topics}: permit it for this user, or change mqtt.subscriptions"
    ),
    "broker.dropped": ("the broker dropped {count} messages: its queues are too short, or a subscriber is too slow"),
}
