// The labeling page: its views, its keys, the classes, and how far all is.

import { ask, element, page, person, say, tell, tellAgain, token } from "./page.js";
import { one } from "./one.js";
import { grid } from "./grid.js";
import { review } from "./review.js";

const byId = (id) => document.querySelector(`#${id}`);
const KEYS = "123456789abcdefghijklmnopqrstuvwxyz";
const OTHERS = [
  { key: "0", name: "None of these", act: () => decide(null, "none") },
  { key: ".", name: "Cannot tell", act: () => decide(null, "unclear") },
  { key: " ", shown: "␣", name: "Later", act: () => view.later?.() },
  { key: "Backspace", shown: "⌫", name: "Undo", act: undo },
  { key: "?", name: "What does the model say?", act: () => view.suggest?.() },
];

let start;
let view;
let busy = false;
let round = 0;

/** What a view may use. */
const desk = {
  root: byId("view"),
  get classes() {
    return start.classes;
  },
  className(label, why) {
    return label === null ? (why === "unclear" ? "Cannot tell" : "None of these") : start.classes[label];
  },
  progress: showProgress,
};

const views = { one: one(desk), grid: grid(desk), review: review(desk) };

async function decide(label, why = "") {
  await doing(async () => {
    const ruling = view.ruling();
    if (!ruling) return;
    const began = performance.now();
    const reply = await tell("/api/decide", { ...ruling, label, why, token: token(), count: view.count });
    showProgress(reply.progress);
    await view.show(reply);
    performance.measure("key to image", { start: began, end: performance.now() });
    say(`${desk.className(label, why)}. ${view.told()}`);
  });
}

async function undo() {
  await doing(async () => {
    const reply = await tell("/api/undo", { token: token(), count: view.count });
    showProgress(reply.progress);
    await view.show(reply);
    say(reply.undone.length ? `Taken back. ${view.told()}` : "Nothing to take back.");
  });
}

/** One thing at a time: a key that comes before the next image shows would be about an image that nobody has seen. */
async function doing(action) {
  if (busy) return;
  busy = true;
  try {
    await action();
  } catch (error) {
    say(error.message);
  } finally {
    busy = false;
  }
}

async function choose(name) {
  for (const button of document.querySelectorAll("[data-view]")) {
    button.setAttribute("aria-pressed", String(button.dataset.view === name));
  }
  document.body.dataset.view = name;
  await tell("/api/leave", {});
  view = views[name];
  for (const [key, can] of [[" ", view.later], ["?", view.suggest]]) {
    document.querySelector(`[data-key="${key}"]`).disabled = !can;
  }
  await view.show(null);
}

function showClasses() {
  const shown = start.classes.map((name, label) =>
    element(
      "button",
      { type: "button", class: "answer", "data-label": label },
      element("kbd", {}, KEYS[label] ?? ""),
      element("span", { class: "name" }, name),
      element("span", { class: "times" }),
    ),
  );
  byId("classes").replaceChildren(...shown);
  const others = OTHERS.map(({ key, shown: text, name }) =>
    element("button", { type: "button", class: "answer", "data-key": key }, element("kbd", {}, text ?? key), name),
  );
  byId("others").replaceChildren(...others);
}

function showProgress(progress) {
  round = progress.round;
  const { done, total } = progress;
  byId("batch-text").textContent = round ? `Round ${round} · ${done.toLocaleString()} of ${total.toLocaleString()}` : "";
  byId("batch-bar").max = Math.max(total, 1);
  byId("batch-bar").value = done;
  const most = Math.max(1, ...progress.classes);
  for (const button of document.querySelectorAll("[data-label]")) {
    const times = progress.classes[button.dataset.label];
    button.querySelector(".times").textContent = times ? times.toLocaleString() : "";
    button.style.setProperty("--share", times / most);
  }
  const facts = [
    ["This run", `${progress.answered.toLocaleString()} of ${start.budget.toLocaleString()} images`],
    ["Cost so far", progress.cost.toLocaleString()],
    ["No class", progress.declined.toLocaleString()],
  ];
  const { you } = progress;
  if (you.decisions) {
    facts.push(["Your pace", `${you.seconds.toFixed(1)} s a decision`]);
    facts.push(["Your decisions", `${you.decisions.toLocaleString()} for ${you.images.toLocaleString()} images`]);
  }
  for (const found of progress.recall ?? []) {
    facts.push([`Found of ${found.class}`, `${found.found.toLocaleString()} of about ${found.total.toLocaleString()}`]);
  }
  byId("facts").replaceChildren(...facts.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]));
}

document.addEventListener("keydown", (event) => {
  if (!view || event.ctrlKey || event.metaKey || event.altKey || byId("keys").open) return;
  if (event.target instanceof HTMLInputElement) {
    if (event.key === "Enter" || event.key === "Escape") event.target.blur();
    return;
  }
  if (event.key === "F1") {
    byId("keys").showModal();
  } else if (view.key?.(event)) {
    // the view has done it
  } else if (KEYS.includes(event.key.toLowerCase()) && KEYS.indexOf(event.key.toLowerCase()) < start.classes.length) {
    decide(KEYS.indexOf(event.key.toLowerCase()));
  } else {
    // Space and Enter press the button that has the focus, as everywhere.
    const onButton = document.activeElement instanceof HTMLButtonElement && event.key === " ";
    const other = onButton ? null : OTHERS.find(({ key }) => key === event.key);
    if (!other) return;
    other.act();
  }
  event.preventDefault();
});

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button || !view) return;
  if (button.dataset.label) decide(Number(button.dataset.label));
  else if (button.dataset.key) OTHERS.find(({ key }) => key === button.dataset.key).act();
  else if (button.dataset.view) choose(button.dataset.view);
  else if (button.id === "open-keys") byId("keys").showModal();
  else return;
  if (event.detail) button.blur(); // clicked by a pointer: the next space means "later" again
});

byId("person").addEventListener("change", ({ target }) => {
  person.name = target.value.trim() || start.person;
  target.value = person.name;
  choose(document.body.dataset.view);
});

window.addEventListener("pagehide", () => {
  const body = JSON.stringify({ page, person: person.name });
  fetch("/api/leave", { method: "POST", body, keepalive: true, headers: { "content-type": "application/json" } });
});

start = await ask("/api/start");
document.title = `Label ${start.run}`;
byId("run").textContent = start.run;
person.name ||= start.person;
byId("person").value = person.name;
showClasses();
await tellAgain();
await choose("one");
