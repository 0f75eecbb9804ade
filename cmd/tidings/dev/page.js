// The page of serve --dev: what the client hears and what the visitor does, as elements. Text only ever becomes
// textContent; the page's policy refuses markup from scripts.

import { Client } from "./client.js";

const MAX_ROWS = 300;
const MAX_FRAMES = 200;
const MAX_NOTICES = 4;
const MAX_TEXT = 2000; // characters of one frame or of one event's data that are shown

const $ = (id) => document.getElementById(id);

// make builds an element: make("td", { class: "number" }, "42", otherElement).
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children.filter((child) => child !== undefined));
  return element;
}

// readable is a JSON value on one line with spaces, where it can wrap.
const readable = (value) =>
  JSON.stringify(value, null, 1)
    .replace(/([[{])\n\s*|\n\s*([\]}])/g, "$1$2")
    .replace(/\n\s*/g, " ");
const short = (text) => (text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text);
const events = (n) => (n === 1 ? "1 event" : `${n} events`);
const clock = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });
const clockTime = (date) => `${clock.format(date)}.${String(date.getMilliseconds()).padStart(3, "0")}`;

let user = "alice";
let client = null;
let expires = null;

// ---- Requests to the server ----

async function request(path, options) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Error("the server does not answer");
  }
  const body = await answer.json().catch(() => ({ error: `the server answered ${answer.status}` }));
  if (!answer.ok) throw Object.assign(new Error(body.error), { field: body.field });
  return body;
}

const publish = (room, type, data) =>
  request("/dev/publish", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ room, type, data }),
  });

// ---- Who ----

function become(name) {
  const rooms = [...(client?.rooms.keys() ?? [])];
  client?.close();
  user = name;
  for (const id of ["rooms", "notices", "rows"]) $(id).replaceChildren(); // what one saw is not for the other
  $("empty").hidden = false;
  client = new Client({
    url: `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`,
    session: () => request(`/dev/session?user=${encodeURIComponent(name)}`),
    onSession: showSession,
    onWelcome: showWelcome,
    onState: showState,
    onRoom: showRoom,
    onEvent: showEvent,
    onNotice: showNotice,
    onFrame: showFrame,
  });
  for (const room of rooms) client.join(room); // as somebody else: without the other's positions
  client.start();
}

function showSession(session) {
  expires = new Date(session.expires);
  const patterns = (list) => list.flatMap((pattern, i) => [i ? " " : "", make("code", {}, pattern)]);
  $("grants").replaceChildren("may see ", ...patterns(session.rooms));
  if (session.public.length > 0) $("grants").append(", and like everyone ", ...patterns(session.public));
  showExpiry();
}

function showExpiry() {
  if (!expires) return;
  const minutes = Math.max(0, Math.round((expires - Date.now()) / 60_000));
  const rest = minutes < 120 ? `${minutes} min` : `${Math.round(minutes / 60)} h`;
  const time = make("time", { datetime: expires.toISOString(), title: expires.toLocaleString() }, `in ${rest}`);
  $("expires").replaceChildren(time);
}

// ---- The connection ----

function showState(state, detail) {
  const words = {
    connecting: "Connecting",
    open: "Connected",
    away: "Away",
    waiting: `Lost, again in ${detail.seconds} s`,
    refused: "Refused",
  };
  const pill = $("state");
  pill.dataset.state = state;
  pill.textContent = words[state];

  const here = state === "open" || state === "connecting";
  const focused = [$("cut"), $("reconnect"), $("away-publish")].includes(document.activeElement);
  $("cut").hidden = state === "away" || state === "refused";
  $("reconnect").hidden = here;
  $("away-publish").hidden = state !== "away";
  // The button that was pressed is gone: the keyboard goes to the one that took its place.
  if (focused && document.activeElement === document.body) (here ? $("cut") : $("reconnect")).focus();

  if (state !== "open") for (const id of ["edge", "session"]) $(id).textContent = "–";
  if (state === "away") {
    $("notices").replaceChildren();
    notice("", "You are away. What is published now waits for you: publish something, then reconnect.");
    mark("connection cut by you");
  } else if (state === "refused") {
    notice("bad", `The server ended the connection for good: ${detail.reason || "no reason given"} (${detail.code}).`);
  } else if (state === "waiting" && $("notices").childElementCount === 0) {
    notice("bad", detail.reason || "The connection was lost or refused. If serve runs with --origin, this page's origin has to be in the list.");
    mark("connection lost");
  }
}

function showWelcome(frame) {
  $("edge").textContent = frame.edge;
  $("session").textContent = frame.session;
  $("notices").replaceChildren();
}

// ---- Rooms ----

function showRoom(room) {
  showContinuity();
  let item = document.querySelector(`#rooms > [data-room="${CSS.escape(room.name)}"]`);
  if (!client?.rooms.has(room.name)) {
    item?.remove();
    return;
  }
  if (!item) {
    const leave = make("button", { type: "button", class: "quiet", "aria-label": `Leave ${room.name}` }, "Leave");
    leave.addEventListener("click", () => {
      const next = item.nextElementSibling ?? item.previousElementSibling;
      client.leave(room.name);
      item.remove();
      (next?.querySelector("button") ?? $("room")).focus();
      mark(`left ${room.name}`);
      showContinuity();
    });
    item = make("li", { "data-room": room.name }, make("strong", {}, room.name), make("span", { class: "where" }), leave);
    $("rooms").append(item);
  }
  item.dataset.state = room.state;
  const where = {
    joining: "joining",
    joined: `at ${room.position?.seq ?? room.last}`,
    away: room.position ? `left off at ${room.position.seq}` : "when connected",
    denied: "denied",
  };
  item.querySelector(".where").textContent = where[room.state];
}

function showContinuity() {
  let [heard, gaps, duplicates] = [0, 0, 0];
  for (const room of client?.rooms.values() ?? []) {
    heard += room.events;
    gaps += room.gaps;
    duplicates += room.duplicates;
  }
  const element = $("continuity");
  element.dataset.gaps = gaps;
  element.dataset.duplicates = duplicates;
  element.textContent = `${events(heard)}, ${gaps} ${gaps === 1 ? "gap" : "gaps"}, ${duplicates} ${duplicates === 1 ? "duplicate" : "duplicates"}`;
}

// showNotice tells what the frame of the given kind means for somebody who looks on.
function showNotice(room, kind, frame) {
  switch (kind) {
    case "denied":
      notice("bad", `${room.name}: ${frame.message}.`, `denied code:${frame.code}`, { room: room.name, kind });
      mark(`${user} was denied ${room.name}`);
      return;
    case "gap":
      notice("bad", `${room.name}: ${frame.seq} follows ${frame.prev}, but the last one here was ${room.last}. Asking for what is missing.`, "", { kind });
      return;
    case "lag":
      notice("", `${room.name}: this page fell behind; the edge goes on from its log.`, "lag", { kind });
      return;
  }
  if (frame.recovered === undefined) {
    mark(`${user} joined ${room.name} at ${frame.position.seq}: live from here on`);
  } else if (frame.recovered) {
    const missed = frame.replay === 0 ? "nothing was missed" : `${events(frame.replay)} missed, all of them replayed, nothing lost`;
    notice("good", `${room.name}: ${missed}.`, `joined recovered:true replay:${frame.replay}`, { room: room.name, kind, replay: frame.replay });
    mark(`back in ${room.name}: ${frame.replay === 0 ? "nothing was missed" : `${events(frame.replay)} replayed`}`);
  } else {
    notice(
      "bad",
      `${room.name}: nobody can prove that nothing was missed. An application now fetches the state of the room, at a random moment within ${frame.spread / 1000} s.`,
      `joined recovered:false reason:${frame.reason}`,
      { room: room.name, kind },
    );
    mark(`back in ${room.name}: continuity not proved (${frame.reason})`);
  }
}

function notice(mood, text, code = "", data = {}) {
  const element = make("p", { class: `notice ${mood}` }, ...(code ? [make("code", {}, code), " "] : []), text);
  Object.assign(element.dataset, data);
  $("notices").append(element);
  while ($("notices").childElementCount > MAX_NOTICES) $("notices").firstElementChild.remove();
}

// ---- Events ----

function showEvent(frame) {
  const { event } = frame;
  const came = frame.replayed ? "replayed" : "live";
  const time = new Date(event.time);
  const data = event.data === undefined ? (event.data_base64 ?? "") : readable(event.data);
  const cell = (label, attributes, ...children) => make("td", { role: "cell", "data-label": label, ...attributes }, ...children);
  addRow(
    make(
      "tr",
      { role: "row", class: "event", "data-seq": frame.seq, "data-prev": frame.prev, "data-room": frame.room, "data-came": came },
      cell("Sequence", { class: "number seq" }, String(frame.seq)),
      cell("Prev", { class: "number prev" }, String(frame.prev)),
      cell("Came", { class: "came" }, make("span", { class: `badge ${came}` }, came)),
      cell("Room", { class: "in" }, frame.room),
      cell("Type", { class: "type" }, event.type),
      cell("Time", { class: "time" }, make("time", { datetime: event.time, title: event.time }, clockTime(time))),
      cell("Data", { class: "data" }, make("code", {}, short(data))),
    ),
  );
  announce(frame);
}

// mark puts a line between the events: something happened to the connection or to a room.
function mark(text) {
  addRow(make("tr", { role: "row", class: "mark" }, make("td", { role: "cell", colspan: 7 }, make("span", {}, text))));
}

function addRow(row) {
  $("empty").hidden = true;
  const rows = $("rows");
  rows.prepend(row);
  while (rows.childElementCount > MAX_ROWS) rows.lastElementChild.remove();
}

// announce tells a screen reader about events, but not one by one when many come.
let unheard = 0;
function announce(frame) {
  if (unheard++ > 0) return;
  setTimeout(() => {
    $("heard").textContent = unheard === 1 ? `${frame.event.type} in ${frame.room}, sequence ${frame.seq}` : `${unheard} events arrived`;
    unheard = 0;
  }, 700);
}

// ---- Frames ----

let frames = 0;
function showFrame(direction, text) {
  $("frame-count").textContent = String(++frames);
  const arrow = make("span", { class: "arrow", "aria-label": direction === "in" ? "received" : "sent", role: "img" }, direction === "in" ? "←" : "→");
  $("frame-list").prepend(make("li", { class: direction }, make("time", {}, clockTime(new Date())), arrow, make("code", {}, short(text))));
  while ($("frame-list").childElementCount > MAX_FRAMES) $("frame-list").lastElementChild.remove();
}

// ---- Publishing ----

const examples = new Map(); // type → text

async function loadCatalogue() {
  for (const { type, example } of await request("/dev/catalogue")) {
    examples.set(type, example === undefined ? "{}" : JSON.stringify(example, null, 2));
    $("type").append(make("option", {}, type));
  }
  showExample();
}

function showExample() {
  const type = $("type").value;
  $("data").value = examples.get(type) ?? "";
  $("schema").href = `/schemas/${encodeURIComponent(type)}.json`;
  problem(null);
}

const fields = { room: "publish-room", type: "type", data: "data" };

function problem(error) {
  for (const id of Object.values(fields)) {
    $(id).removeAttribute("aria-invalid");
    $(id).removeAttribute("aria-describedby");
  }
  $("publish-error").hidden = error === null;
  $("publish-error").textContent = error?.message ?? "";
  if (!error) return;
  $("published").textContent = "";
  const field = $(fields[error.field]);
  field?.setAttribute("aria-invalid", "true");
  field?.setAttribute("aria-describedby", "publish-error");
  field?.focus();
}

// publishForm publishes what the form says and counts the version up, so that the next event is another one.
async function publishForm(room) {
  const { seq } = await publish(room, $("type").value, $("data").value);
  $("data").value = $("data").value.replace(/("version"\s*:\s*)(\d{1,15})/, (_, key, n) => key + (Number(n) + 1));
  return seq;
}

async function publishMany(n, room) {
  problem(null);
  const stored = [];
  try {
    while (stored.length < n) stored.push(await publishForm(room));
  } catch (error) {
    problem(error);
    return;
  }
  $("published").textContent = n === 1 ? `stored in ${room} as ${stored[0]}` : `${n} stored in ${room}, ${stored[0]} to ${stored.at(-1)}`;
}

// busy keeps a button from being pressed again while act runs, without taking the keyboard's place from it.
async function busy(button, act) {
  if (button.getAttribute("aria-disabled") === "true") return;
  button.setAttribute("aria-disabled", "true");
  try {
    await act();
  } finally {
    button.removeAttribute("aria-disabled");
  }
}

// ---- What the visitor does ----

$("who").addEventListener("change", (e) => become(e.target.value));
$("who").addEventListener("submit", (e) => e.preventDefault());

$("join").addEventListener("submit", (e) => {
  e.preventDefault();
  const name = $("room").value.trim();
  if (!name) return;
  for (const old of document.querySelectorAll(`#notices > [data-room="${CSS.escape(name)}"]`)) old.remove();
  client.join(name);
  $("publish-room").value = name;
});

$("publish").addEventListener("submit", (e) => {
  e.preventDefault();
  busy(e.submitter ?? $("publish"), () => publishMany(1, $("publish-room").value.trim()));
});
$("type").addEventListener("change", showExample);

$("cut").addEventListener("click", () => client.cut());
$("reconnect").addEventListener("click", () => client.start());
$("away-publish").addEventListener("click", (e) =>
  busy(e.currentTarget, () => {
    // To a room that will be resumed, if there is one.
    const chosen = $("publish-room").value.trim();
    const joined = [...client.rooms.values()].filter((room) => room.position).map((room) => room.name);
    return publishMany(5, joined.length === 0 || joined.includes(chosen) ? chosen : joined[0]);
  }),
);

setInterval(showExpiry, 30_000);
loadCatalogue().catch(problem);
become(new FormData($("who")).get("user")); // a browser may have kept the choice through a reload
