#pragma once
#include "Arduino.h"

struct JsonVariant {
  JsonVariant operator[](const char* name) const;
  JsonVariant operator[](int index) const;
  template <typename T> T as() const;
  bool operator==(const char* text) const;
  bool operator!=(const char* text) const;
};

struct JsonDocument {
  JsonVariant operator[](const char* name) const;
  JsonVariant operator[](int index) const;
};

struct DeserializationError {
  explicit operator bool() const;
};
DeserializationError deserializeJson(JsonDocument& document, const uint8_t* text, size_t length);
