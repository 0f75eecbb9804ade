// A worker needs nothing but a NATS client: one message to the room's subject is one event.
//
//   node worker.mjs nats://127.0.0.1:4222 room.campaign.42
//
// It publishes one event in each CloudEvents mode and prints the stream's ack for each. A request
// instead of a plain publish is all it takes to get that ack.
import { connect, headers } from "@nats-io/transport-node";

const [server = "nats://127.0.0.1:4222", subject = "room.campaign.42"] = process.argv.slice(2);
const nc = await connect({ servers: server });

// Structured: the message is the event. Only `type` is required.
const structured = {
  specversion: "1.0",
  id: crypto.randomUUID(),
  source: "/workers/rules-engine",
  type: "settlement_updated",
  data: { id: "s-1", changes: { population: 1200 } },
};

// Binary: attributes are headers, the message is the data.
const attributes = headers();
attributes.set("ce-id", crypto.randomUUID());
attributes.set("ce-source", "/workers/scheduler");
attributes.set("ce-type", "world_time_changed");
attributes.set("content-type", "application/json");
const data = { worldTime: "1482-03-01T06:00:00Z", rate: 60 };

// The message id lets the stream recognise a repeated publish.
const messageId = headers();
messageId.set("Nats-Msg-Id", structured.id);
attributes.set("Nats-Msg-Id", attributes.get("ce-id"));

for (const [payload, options] of [
  [JSON.stringify(structured), { headers: messageId }],
  [JSON.stringify(data), { headers: attributes }],
]) {
  const ack = await nc.request(subject, payload, { ...options, timeout: 5000 });
  console.log(ack.string());
}
await nc.drain();
