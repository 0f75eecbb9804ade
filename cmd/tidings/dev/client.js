// A client of the protocol tidings.v1, as small as one can be that loses nothing: it keeps a position for each room,
// proves continuity by sequence and predecessor, and asks for what it missed. docs/protocol.md describes the frames.
// It knows nothing of the page; whoever makes one gets told through the callbacks.

// Close codes after which trying again cannot help: a protocol error, a refused token, an operator's wish, too large.
const FINAL_CODES = new Set([4400, 4401, 4403, 4413]);
const DRAINING = 4503;
const LIMITED = 4429;

const FIRST_WAIT = 500; // milliseconds before the first new attempt, doubling
const LONGEST_WAIT = 15_000;
const HANDSHAKE_PATIENCE = 10_000; // milliseconds until welcome
const REFRESH_BEFORE = 60; // seconds before the token ends
const LONGEST_TIMER = 2 ** 31 - 1; // what setTimeout can wait, in milliseconds

export class Client {
  // options:
  //   url            the WebSocket address
  //   session()      resolves to {token, …}; called for every connection and every renewal
  //   onState(state) "connecting" | "open" | "away" | "waiting" | "refused", with {seconds} or {code, reason}
  //   onWelcome(frame), onSession(session), onRoom(room), onEvent(event), onNotice(room, kind, frame), onFrame(direction, text)
  constructor(options) {
    this.options = options;
    this.rooms = new Map(); // name → {name, state, position, last, left, events, gaps, duplicates, denied}
    this.socket = null;
    this.attempt = 0;
    this.timers = new Map();
    this.state = "away";
  }

  // start connects and stays connected until cut.
  start() {
    if (this.state === "open" || this.state === "connecting") return;
    this.drop(); // a timer may be running that would try again
    this.attempt = 0;
    this.connect();
  }

  // cut drops the connection without leaving a room and stays away until start. The positions are kept: they are all
  // that a client needs to come back, to this server or to another.
  cut() {
    this.drop();
    this.enter("away");
  }

  // close is cut for good.
  close() {
    this.options = { ...this.options, onState() {}, onRoom() {}, onSession() {} };
    this.cut();
    this.rooms.clear();
  }

  join(name) {
    const room = this.rooms.get(name) ?? { name, position: null, last: 0, left: 0, events: 0, gaps: 0, duplicates: 0 };
    room.state = this.socket?.readyState === WebSocket.OPEN ? "joining" : "away";
    room.denied = undefined;
    this.rooms.set(name, room);
    this.send({ op: "join", rooms: [reference(room)] });
    this.options.onRoom(room);
  }

  leave(name) {
    if (!this.rooms.delete(name)) return;
    this.send({ op: "leave", rooms: [name] });
  }

  // renew shows a new token on the open connection.
  async renew() {
    const socket = this.socket;
    try {
      const session = await this.options.session();
      if (socket !== this.socket) return;
      this.options.onSession(session);
      this.send({ op: "token", token: session.token });
    } catch {
      this.later("renew", 10_000, () => this.renew());
    }
  }

  async connect() {
    const attempt = (this.connecting = {}); // which of several calls this is
    this.enter("connecting");
    let session;
    try {
      session = await this.options.session();
    } catch (problem) {
      if (attempt === this.connecting) this.retry(problem.message);
      return;
    }
    if (attempt !== this.connecting) return;
    this.options.onSession(session);

    const socket = new WebSocket(this.options.url, "tidings.v1");
    this.socket = socket;
    socket.onopen = () => {
      const rooms = [...this.rooms.values()];
      for (const room of rooms) room.state = "joining";
      this.send({ op: "hello", token: session.token, rooms: rooms.map(reference) });
    };
    socket.onmessage = (message) => this.receive(message.data);
    socket.onclose = (close) => {
      this.drop();
      this.lost(close.code, close.reason);
    };
    this.later("welcome", HANDSHAKE_PATIENCE, () => {
      this.drop();
      this.retry("no answer");
    });
  }

  // lost decides what the end of a connection asks for.
  lost(code, reason) {
    if (FINAL_CODES.has(code)) {
      this.enter("refused", { code, reason });
      return;
    }
    const seconds = code === LIMITED ? Number(/retry_after=(\d+)/.exec(reason)?.[1] ?? 0) : 0;
    this.retry(reason, 1000 * seconds);
  }

  // retry connects again after a wait that grows and is never the same for all clients.
  retry(reason, least = 0) {
    const wait = Math.max(least, Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** this.attempt) * (0.5 + Math.random() / 2));
    this.attempt++;
    this.enter("waiting", { seconds: Math.ceil(wait / 1000), reason });
    this.later("retry", wait, () => this.connect());
  }

  // drop gives up the socket and every timer. Nothing more is heard from it.
  drop() {
    for (const timer of this.timers.values()) clearTimeout(timer);
    this.timers.clear();
    this.connecting = null;
    const socket = this.socket;
    this.socket = null;
    for (const room of this.rooms.values()) {
      if (room.state !== "denied") room.state = "away";
      room.left = 0;
      room.after = undefined;
    }
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    // A browser complains about a socket that is closed before it is open.
    if (socket.readyState === WebSocket.CONNECTING) socket.onopen = () => socket.close();
    else socket.close();
  }

  later(name, wait, act) {
    clearTimeout(this.timers.get(name));
    this.timers.set(name, setTimeout(act, Math.min(wait, LONGEST_TIMER)));
  }

  enter(state, detail = {}) {
    this.state = state;
    this.options.onState(state, detail);
    for (const room of this.rooms.values()) this.options.onRoom(room);
  }

  send(frame) {
    if (this.socket?.readyState !== WebSocket.OPEN) return;
    const text = JSON.stringify(frame);
    this.socket.send(text);
    this.options.onFrame("out", frame.token ? text.replace(frame.token, `${frame.token.slice(0, 6)}…`) : text);
  }

  receive(text) {
    this.options.onFrame("in", text);
    const frame = JSON.parse(text);
    switch (frame.op) {
      case "welcome":
        clearTimeout(this.timers.get("welcome"));
        this.attempt = 0;
        this.options.onWelcome(frame);
        this.enter("open");
        this.renewIn(frame.ttl);
        return;
      case "token_ok":
        for (const name of frame.dropped) this.denied({ room: name, code: "forbidden", message: "the new token does not grant this room" });
        this.renewIn(frame.ttl);
        return;
      case "ping":
        this.send({ op: "pong" });
        this.freshen(frame.ts);
        return;
      case "drain":
        // The server is going, and this page has no other one to move to.
        this.drop();
        this.lost(DRAINING, "the server is stopping");
        return;
      case "joined":
        return this.joined(frame);
      case "event":
        return this.event(frame);
      case "denied":
        return this.denied(frame);
      case "lag":
        return this.tell(this.rooms.get(frame.room), "lag", frame);
    }
  }

  renewIn(ttl) {
    this.later("renew", 1000 * Math.max(ttl - REFRESH_BEFORE, 5), () => this.renew());
  }

  // freshen: who has no gap knows at a ping that its positions are still the newest. A quiet room then outlives the
  // stream's retention.
  freshen(ts) {
    for (const room of this.rooms.values()) {
      if (ts && room.state === "joined" && room.left === 0) room.position = { ...room.position, ts };
    }
  }

  joined(frame) {
    const room = this.rooms.get(frame.room);
    if (!room) return; // left meanwhile
    room.state = "joined";
    room.left = frame.recovered ? frame.replay : 0;
    room.after = frame.position; // holds once the replayed events have come
    if (!frame.recovered) room.last = frame.position.seq;
    this.settle(room);
    this.tell(room, "joined", frame);
  }

  // settle takes the position that was promised, when nothing of the replay is left.
  settle(room) {
    if (room.left > 0 || !room.after) return;
    room.position = room.after;
    room.last = Math.max(room.last, room.after.seq);
    room.after = undefined;
  }

  event(frame) {
    const room = this.rooms.get(frame.room);
    if (!room || room.state !== "joined") return;
    const replayed = room.left > 0;
    if (frame.seq <= room.last) {
      room.duplicates++;
      this.options.onRoom(room);
      return;
    }
    if (!replayed && frame.prev > room.last) {
      room.gaps++;
      this.tell(room, "gap", frame);
      this.join(room.name); // from the position, so that nothing stays lost
      return;
    }
    room.last = frame.seq;
    room.position = { epoch: room.position?.epoch ?? room.after.epoch, seq: frame.seq, id: frame.event.id, ts: frame.ts };
    room.events++;
    if (replayed) {
      room.left--;
      this.settle(room);
    }
    this.options.onEvent({ ...frame, replayed });
    this.options.onRoom(room);
  }

  denied(frame) {
    const room = this.rooms.get(frame.room);
    if (!room) return;
    room.state = "denied";
    room.denied = { code: frame.code, message: frame.message };
    this.tell(room, "denied", frame);
  }

  tell(room, kind, frame) {
    if (!room) return;
    this.options.onNotice(room, kind, frame);
    this.options.onRoom(room);
  }
}

// reference names a room as hello and join do, with the position to go on from when there is one.
function reference(room) {
  return room.position ? { room: room.name, since: room.position } : { room: room.name };
}
