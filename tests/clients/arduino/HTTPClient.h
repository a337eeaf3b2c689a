#pragma once
#include "Arduino.h"

class HTTPClient {
 public:
  bool begin(String url);
  void addHeader(const String& name, const String& value);
  int POST(String payload);
  void end();
};
