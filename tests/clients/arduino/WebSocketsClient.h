#pragma once
#include "Arduino.h"

enum WStype_t { WStype_ERROR, WStype_DISCONNECTED, WStype_CONNECTED, WStype_TEXT, WStype_BIN };

class WebSocketsClient {
 public:
  void begin(const char* host, uint16_t port, const char* url = "/", const char* protocol = "arduino");
  void onEvent(void (*event)(WStype_t type, uint8_t* payload, size_t length));
  bool sendTXT(const char* payload);
  bool sendTXT(String& payload);
  bool isConnected();
  void loop();
};
