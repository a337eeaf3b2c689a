BEGIN TRANSACTION;
CREATE TABLE audit (
    id BLOB PRIMARY KEY, at INTEGER NOT NULL, act TEXT NOT NULL, by TEXT NOT NULL, about TEXT NOT NULL, document TEXT NOT NULL
);
CREATE TABLE commands (
    id TEXT PRIMARY KEY, device_id TEXT NOT NULL, created_at INTEGER NOT NULL, state TEXT NOT NULL, document TEXT NOT NULL
);
CREATE TABLE devices (id TEXT PRIMARY KEY, status TEXT, status_at INTEGER, "document");
INSERT INTO "devices" VALUES('hall',NULL,NULL,'{"name": "Hall", "type": null, "site": null, "room": null, "expectedInterval": null, "interval": null, "intervals": 0, "attributes": {"floor": 1}, "state": {}, "status": null, "statusAt": null, "connection": null, "lastSeen": null, "createdAt": 1767000000000}');
CREATE TABLE keys (id TEXT PRIMARY KEY, document TEXT NOT NULL);
CREATE TABLE readings (
    id BLOB NOT NULL UNIQUE, seq INTEGER NOT NULL, device_id TEXT NOT NULL, timestamp INTEGER NOT NULL,
    received_at INTEGER NOT NULL, quality TEXT, device_timestamp TEXT, retained INTEGER
, "temperature", "humidity", "aqi", "aqiScale", "eco2", "tvoc", "coPpm", "ch4Ppm", "lpgPpm", "co2", "alcohol", "toluene", "acetone", "flameDetected", "flameIntensity", "pm1", "pm25", "pm10", "no2", "o3", "so2", "pressure", "battery");
INSERT INTO "readings" VALUES(X'695247C08257DD2B0041EAE2',1767000000000000,'hall',1767000000000,1767000000007,NULL,NULL,NULL,20.5,NULL,2,'uba',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,90);
INSERT INTO "readings" VALUES(X'695247FCDD7B3894B335F967',1767000000000001,'hall',1767000060000,1767000060007,'{"eco2": "not a number"}',NULL,NULL,21.5,NULL,2,'uba',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,89);
INSERT INTO "readings" VALUES(X'69524838A9656852D57C1828',1767000000000002,'hall',1767000120000,1767000120007,NULL,NULL,NULL,22.5,NULL,2,'uba',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,88);
CREATE TABLE rejected (
    id BLOB PRIMARY KEY, received_at INTEGER NOT NULL, source TEXT NOT NULL, topic TEXT NOT NULL, payload BLOB NOT NULL,
    code TEXT NOT NULL, reason TEXT NOT NULL, field TEXT
, "retained");
CREATE TABLE revocations (
    id TEXT PRIMARY KEY, at INTEGER NOT NULL, expires_at INTEGER NOT NULL, document TEXT NOT NULL
);
CREATE TABLE rolled (
    device_id TEXT PRIMARY KEY, first INTEGER, until INTEGER NOT NULL, again INTEGER NOT NULL, fields TEXT NOT NULL
);
INSERT INTO "rolled" VALUES('hall',1766998800000,1795906800000,1795820400000,'aqi battery flameDetected temperature');
CREATE TABLE rollups (
    device_id TEXT NOT NULL, width INTEGER NOT NULL, start INTEGER NOT NULL, count INTEGER NOT NULL, "temperature_min", "temperature_max", "temperature_sum", "temperature_count", "humidity_min", "humidity_max", "humidity_sum", "humidity_count", "aqi_min", "aqi_max", "aqi_sum", "aqi_count", "eco2_min", "eco2_max", "eco2_sum", "eco2_count", "tvoc_min", "tvoc_max", "tvoc_sum", "tvoc_count", "coPpm_min", "coPpm_max", "coPpm_sum", "coPpm_count", "ch4Ppm_min", "ch4Ppm_max", "ch4Ppm_sum", "ch4Ppm_count", "lpgPpm_min", "lpgPpm_max", "lpgPpm_sum", "lpgPpm_count", "co2_min", "co2_max", "co2_sum", "co2_count", "alcohol_min", "alcohol_max", "alcohol_sum", "alcohol_count", "toluene_min", "toluene_max", "toluene_sum", "toluene_count", "acetone_min", "acetone_max", "acetone_sum", "acetone_count", "flameDetected_min", "flameDetected_max", "flameDetected_sum", "flameDetected_count", "flameIntensity_min", "flameIntensity_max", "flameIntensity_sum", "flameIntensity_count", "pm1_min", "pm1_max", "pm1_sum", "pm1_count", "pm25_min", "pm25_max", "pm25_sum", "pm25_count", "pm10_min", "pm10_max", "pm10_sum", "pm10_count", "no2_min", "no2_max", "no2_sum", "no2_count", "o3_min", "o3_max", "o3_sum", "o3_count", "so2_min", "so2_max", "so2_sum", "so2_count", "pressure_min", "pressure_max", "pressure_sum", "pressure_count", "battery_min", "battery_max", "battery_sum", "battery_count",
    PRIMARY KEY (device_id, width, start)
) WITHOUT ROWID;
INSERT INTO "rollups" VALUES('hall',300,1767000000000,3,20.5,22.5,64.5,3,NULL,NULL,NULL,NULL,2,2,6.0,3,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,0,0.0,3,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,88,90,267.0,3);
INSERT INTO "rollups" VALUES('hall',1800,1766998800000,3,20.5,22.5,64.5,3,NULL,NULL,NULL,NULL,2,2,6.0,3,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,0,0.0,3,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,88,90,267.0,3);
INSERT INTO "rollups" VALUES('hall',10800,1766998800000,3,20.5,22.5,64.5,3,NULL,NULL,NULL,NULL,2,2,6.0,3,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,0,0.0,3,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,88,90,267.0,3);
CREATE TABLE sessions (
    id TEXT PRIMARY KEY, user TEXT NOT NULL, turn TEXT NOT NULL, expires_at INTEGER NOT NULL, document TEXT NOT NULL
);
CREATE TABLE state (key TEXT PRIMARY KEY, value TEXT NOT NULL);
INSERT INTO "state" VALUES('rollups','{"owner": "0416ef0840b942bb969f9f48cc27cac5", "expires": 1795907743310, "seq": 1767000000000002}');
CREATE TABLE users (id TEXT PRIMARY KEY, document TEXT NOT NULL);
CREATE INDEX readings_seq ON readings (seq);
CREATE INDEX readings_device_timestamp ON readings (device_id, timestamp);
CREATE INDEX rejected_received_at ON rejected (received_at);
CREATE INDEX commands_created_at ON commands (created_at);
CREATE INDEX sessions_user ON sessions (user);
CREATE INDEX audit_at ON audit (at);
CREATE INDEX audit_refusals ON audit (id) WHERE act IN ('refused', 'command refused', 'login delayed', 'login refused');
COMMIT;