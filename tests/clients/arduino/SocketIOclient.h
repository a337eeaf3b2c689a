#pragma once
#include "WebSocketsClient.h"

enum socketIOmessageType_t { sIOtype_CONNECT = '0', sIOtype_DISCONNECT = '1', sIOtype_EVENT = '2', sIOtype_ACK = '3' };

class SocketIOclient : protected WebSocketsClient {
 public:
  void begin(const char* host, uint16_t port, const char* url = "/socket.io/?EIO=3", const char* protocol = "arduino");
  void onEvent(void (*event)(socketIOmessageType_t type, uint8_t* payload, size_t length));
  bool send(socketIOmessageType_t type, const char* payload, size_t length = 0, bool headerToPayload = false);
  void loop();
};
