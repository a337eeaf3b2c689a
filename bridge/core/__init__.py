"""What is true of readings, whoever sends, stores or shows them: no sockets, no clock, no logging."""
