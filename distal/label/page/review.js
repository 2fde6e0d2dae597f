// Answers that are worth a second look: people differ, the model doubts them, or they are one's own last ones.

import { ask, element, keep, load } from "./page.js";

const small = (item) => `/image/${item.row_id}?as=small`;
const KINDS = [
  ["disputed", "People differ"],
  ["doubted", "The model doubts"],
  ["mine", "My last answers"],
];

export function review(desk) {
  let kind = "disputed";
  let items = [];
  let current = null;
  const cards = element("div", { class: "cards" });
  cards.addEventListener("focusin", ({ target }) => (current = target.closest(".card")));

  function agreed(found) {
    if (!found) return "Nobody has answered what another person has: no agreement is known yet.";
    const kappa = found.kappa === null ? "undefined" : found.kappa.toFixed(2);
    const interval = found.low === null ? "" : ` (95%: ${found.low.toFixed(2)} to ${found.high.toFixed(2)})`;
    const rows = `${found.rows} ${found.rows === 1 ? "image" : "images"} that ${found.people.join(", ")} answered`;
    return `${found.statistic} ${kappa}${interval}, ${Math.round(100 * found.agreed)}% the same, on ${rows}.`;
  }

  function card(item, place) {
    const made = element("button", { type: "button", class: "card", "data-row": item.row_id });
    const picture = element("span", { class: "picture" });
    load(small(item)).then(({ image }) => {
      image.alt = "";
      picture.replaceChildren(image);
    }, (error) => picture.append(error.message));
    const lines = item.answers.map(({ person, label, why }) =>
      element("span", { class: label === item.label ? "line counts" : "line" }, `${person}: ${desk.className(label, why)}`),
    );
    made.setAttribute("aria-label", `Image ${place + 1}: ${lines.map((line) => line.textContent).join("; ")}`);
    made.append(picture, ...lines);
    return made;
  }

  async function show() {
    const at = Math.max(0, [...cards.children].indexOf(current));
    const reply = await ask("/api/review", { kind });
    desk.progress(reply.progress);
    items = reply.items;
    keep(items.map(small));
    const choice = KINDS.map(([name, text]) => {
      const button = element("button", { type: "button", "aria-pressed": String(name === kind) }, text);
      button.addEventListener("click", () => {
        kind = name;
        show();
      });
      return button;
    });
    cards.replaceChildren(...items.map(card));
    const summary = element("p", { class: "summary" }, agreed(reply.agreement));
    const how = element("p", { class: "summary" }, items.length ? "Choose an image; a class key settles it." : "");
    const none = element("p", { class: "wait" }, "Nothing here.");
    desk.root.replaceChildren(element("div", { class: "choice" }, ...choice), summary, how, items.length ? cards : none);
    (cards.children[at] ?? cards.lastElementChild)?.focus();
  }

  return {
    count: 0,
    show,
    ruling() {
      const row = current?.isConnected ? current.dataset.row : null;
      return row ? { row_ids: [Number(row)], settles: true } : null;
    },
    told: () => `${items.length} left`,
    key(event) {
      const all = [...cards.children];
      const step = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
      if (step === undefined || !all.length) return false;
      all[Math.min(Math.max(all.indexOf(document.activeElement) + step, 0), all.length - 1)].focus();
      return true;
    },
  };
}
