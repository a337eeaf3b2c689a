// As much of the Arduino core for the ESP32 as the sketches of the examples use: declarations, to check their types by.
#pragma once
#include <cstddef>
#include <cstdint>

using byte = uint8_t;

class String {
 public:
  String(const char* text = "");
  explicit String(float value, unsigned int places = 2);
  const char* c_str() const;
};
String operator+(const String& left, const String& right);
String operator+(const char* left, const String& right);

struct HardwareSerial {
  void begin(unsigned long baud);
  size_t println(int value);
  size_t println(double value);
  size_t println(const char* text);
};
extern HardwareSerial Serial;

void delay(uint32_t ms);
unsigned long millis();
float temperatureRead();
void analogWrite(uint8_t pin, int value);
void setup();
void loop();
