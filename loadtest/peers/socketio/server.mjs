// A Socket.IO server with the Redis adapter. A client proves who it is by a JWT, whose claim "rooms" holds the patterns of
// rooms that it may join, and joins with the event "join", which is acknowledged. ../README.md says why it is set up as it is.
//
//   node server.mjs config.json
//
// where the file holds {"address": "127.0.0.1:3000", "redis": "redis://127.0.0.1:6379", "secret": "…"}.
import { createSecretKey } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createAdapter } from "@socket.io/redis-adapter";
import jwt from "jsonwebtoken";
import { createClient } from "redis";
import { Server } from "socket.io";

const config = JSON.parse(readFileSync(process.argv[2]));
const secret = createSecretKey(Buffer.from(config.secret));

const publisher = createClient({ url: config.redis });
const subscriber = publisher.duplicate();
for (const client of [publisher, subscriber]) {
  client.on("error", (error) => console.error(`redis: ${error.message}`));
}
await Promise.all([publisher.connect(), subscriber.connect()]);

const http = createServer((request, response) => {
  if (request.url === "/collect") {
    globalThis.gc?.(); // node --expose-gc: the benchmark compares memory
  }
  response.end();
});
const io = new Server(http, {
  adapter: createAdapter(publisher, subscriber),
  transports: ["websocket"],
  serveClient: false,
});

// The first request of a connection is not needed any more, and holds memory.
io.engine.on("connection", (connection) => {
  connection.request = null;
});

io.use((socket, next) => {
  try {
    const claims = jwt.verify(socket.handshake.auth.token, secret, { algorithms: ["HS256"] });
    socket.data.rooms = claims.rooms;
    next();
  } catch {
    next(new Error("unauthorized"));
  }
});

io.on("connection", (socket) => {
  socket.on("join", (room, answer) => {
    if (!allowed(socket.data.rooms, room)) {
      answer("forbidden");
      return;
    }
    socket.join(room);
    answer("joined");
  });
  socket.on("leave", (room) => {
    socket.leave(room);
  });
});

// allowed compares with patterns "kind:id" and "kind:*".
function allowed(patterns, room) {
  return (
    typeof room === "string" &&
    Array.isArray(patterns) &&
    patterns.some((pattern) => pattern === room || (pattern.endsWith(":*") && room.startsWith(pattern.slice(0, -1))))
  );
}

const [host, port] = config.address.split(":");
http.listen({ host, port: Number(port), backlog: 4096 });
