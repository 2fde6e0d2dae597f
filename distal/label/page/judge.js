// The judging page: two images, which is the real one? One image, is it of its class? It never says who was right.

import { ask, element, keep, load, person, say, tell, tellAgain, token } from "./page.js";

const byId = (id) => document.querySelector(`#${id}`);
const path = (trial, side) => `/image/${kind}/${trial}/${side}?${new URLSearchParams({ person: person.name })}`;
let kind = "real";
let trial = null;
let since = 0;
let busy = false;

function figures(tally) {
  const { judged, rate, low, high } = tally;
  if (!judged) return "Nothing is judged yet";
  const percent = (share) => `${Math.round(100 * share)}%`;
  const what = kind === "real" ? "taken for real" : "not taken for their class";
  return `${judged.toLocaleString()} judged by all · ${percent(rate)} of the generated ${what} (${percent(low)} to ${percent(high)})`;
}

function side(image, number, key, name) {
  const picture = element("span", { class: "picture" });
  image.alt = "";
  picture.append(image);
  return element("button", { type: "button", class: "side", "data-choice": number }, picture,
    element("span", { class: "caption" }, element("kbd", {}, key), name));
}

async function show(reply) {
  trial = reply.trial;
  byId("batch-text").textContent = figures(reply.tally);
  const question = element("h1", { class: "question" });
  if (kind === "real") {
    question.textContent = reply.class_name ? `Which of these is a real ${reply.class_name}?` : "Which of these is real?";
    const [left, right] = await Promise.all([0, 1].map((number) => load(path(trial, number))));
    const pair = element("div", { class: "pair" }, side(left.image, 0, "←", "this one"), side(right.image, 1, "→", "this one"));
    byId("view").replaceChildren(question, pair);
  } else {
    question.textContent = `Is this: ${reply.class_name}?`;
    const { image } = await load(path(trial, 0));
    image.alt = "";
    const picture = element("div", { class: "pair alone" }, element("span", { class: "picture" }, image));
    const answers = [["y", "Yes", 1], ["n", "No", 0]].map(([key, name, number]) =>
      element("button", { type: "button", class: "answer", "data-choice": number }, element("kbd", {}, key), name));
    byId("view").replaceChildren(question, picture, element("div", { class: "answers" }, ...answers));
  }
  say(question.textContent);
  since = performance.now();
  const sides = kind === "real" ? [0, 1] : [0];
  const ahead = [1, 2, 3].flatMap((more) => sides.map((number) => path(trial + more, number)));
  keep([...sides.map((number) => path(trial, number)), ...ahead]);
  ahead.forEach((each) => load(each).catch(() => {}));
}

async function judge(choice) {
  if (busy || trial === null) return;
  busy = true;
  try {
    const seconds = (performance.now() - since) / 1000;
    await show(await tell("/api/judge", { kind, trial, choice, seconds, token: token() }));
  } catch (error) {
    say(error.message);
  } finally {
    busy = false;
  }
}

async function choose(chosen) {
  kind = chosen;
  for (const button of document.querySelectorAll("[data-kind]")) {
    button.setAttribute("aria-pressed", String(button.dataset.kind === kind));
  }
  await show(await ask("/api/trial", { kind }));
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target instanceof HTMLInputElement) {
    if (event.key === "Enter" || event.key === "Escape") event.target.blur();
    return;
  }
  const keys = kind === "real" ? { ArrowLeft: 0, ArrowRight: 1, 1: 0, 2: 1 } : { y: 1, n: 0, 1: 1, 0: 0 };
  if (!(event.key in keys)) return;
  judge(keys[event.key]);
  event.preventDefault();
});

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button?.dataset.choice) judge(Number(button.dataset.choice));
  else if (button?.dataset.kind) choose(button.dataset.kind);
});

byId("person").addEventListener("change", ({ target }) => {
  person.name = target.value.trim() || start.person;
  target.value = person.name;
  choose(kind);
});

const start = await ask("/api/start");
document.title = `Judge ${start.run}`;
byId("run").textContent = `${start.run}, round ${start.round}`;
person.name ||= start.person;
byId("person").value = person.name;
await tellAgain();
await choose("real");
