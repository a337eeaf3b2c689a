#pragma once
#include "WiFi.h"

class PubSubClient {
 public:
  PubSubClient(const char* host, uint16_t port, Client& client);
  PubSubClient& setCallback(void (*callback)(char* topic, uint8_t* payload, unsigned int length));
  bool connect(const char* id, const char* willTopic, uint8_t willQos, bool willRetain, const char* willMessage);
  bool connected();
  bool publish(const char* topic, const char* payload);
  bool publish(const char* topic, const char* payload, bool retained);
  bool subscribe(const char* topic, uint8_t qos);
  bool loop();
};
