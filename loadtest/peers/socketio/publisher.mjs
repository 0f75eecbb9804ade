// An application that publishes through @socket.io/redis-emitter: node publisher.mjs redis://127.0.0.1:6379. It reads one line per call from its input:
//
//   {"id": 7, "room": "campaign:42", "event": "loadtest", "data": [{…}, {…}]}
//
// emits each of data to the room, in this order, and prints {"id": 7, "sent": 2} when Redis has taken them all, or
// {"id": 7, "sent": 1, "error": "…"} with the number of those it has certainly taken. It prints "ready" first and ends with its input.
import { createInterface } from "node:readline";
import { Emitter } from "@socket.io/redis-emitter";
import { createClient } from "redis";

const redis = createClient({ url: process.argv[2], disableOfflineQueue: true });
redis.on("error", (error) => console.error(`redis: ${error.message}`));
await redis.connect();

// The emitter drops the promise of its PUBLISH; this one keeps it, so that a line is answered when Redis has answered.
let taken;
const emitter = new Emitter({
  publish(channel, message) {
    taken = redis.publish(channel, message);
    return taken;
  },
});

console.log("ready");
for await (const line of createInterface({ input: process.stdin })) {
  const { id, room, event, data } = JSON.parse(line);
  const answers = data.map((item) => {
    emitter.to(room).emit(event, item);
    return taken;
  });
  Promise.allSettled(answers).then((results) => {
    const failed = results.findIndex((result) => result.status === "rejected");
    const answer = failed < 0 ? { id, sent: results.length } : { id, sent: failed, error: results[failed].reason.message };
    process.stdout.write(`${JSON.stringify(answer)}\n`);
  });
}
await redis.close();
