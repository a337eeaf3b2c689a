const io = require('socket.io-client');

const socket = io('http://localhost:3000');

socket.on('connect', () => {
  console.log('Connected to WebSocket server');
});

socket.on('connectionInfo', (info) => {
  console.log('Client ID:', info.clientId);
  console.log('Total clients:', info.totalClients);
});

socket.on('sensorData', (data) => {
  console.log('New sensor data:', data);
  // Handle real-time sensor data
});

socket.on('disconnect', () => {
  console.log('Disconnected from WebSocket server');
});
