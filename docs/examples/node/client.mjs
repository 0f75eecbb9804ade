// A client without a library: hello, then print what comes.
//
//   TIDINGS_TOKEN=… node client.mjs ws://localhost:8080/ws campaign:42
//
// Browsers use their own WebSocket in the same way.
import WebSocket from "ws";

const [url = "ws://localhost:8080/ws", ...rooms] = process.argv.slice(2);
const socket = new WebSocket(url, "tidings.v1");

socket.on("open", () =>
  socket.send(
    JSON.stringify({
      op: "hello",
      token: process.env.TIDINGS_TOKEN,
      rooms: rooms.map((room) => ({ room })),
    }),
  ),
);
socket.on("message", (message) => {
  const frame = JSON.parse(message);
  console.log(JSON.stringify(frame));
  if (frame.op === "ping") socket.send('{"op":"pong"}');
});
socket.on("close", (code, reason) => console.error(`closed: ${code} ${reason}`));
socket.on("error", (error) => console.error(String(error)));
