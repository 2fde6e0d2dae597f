// One image at a time: large, one key, and the next one shows.

import { ask, element, keep, load, say, tell } from "./page.js";
import { viewer } from "./viewer.js";
import { goOn, wait } from "./waiting.js";

const path = (item) => `/image/${item.row_id}`;

export function one(desk) {
  const stage = viewer();
  const about = element("p", { class: "about" });
  const hint = element("ol", { class: "hint", "aria-label": "What the model says" });
  let items = [];
  let since = 0;
  let suggested = false;

  async function show(reply) {
    goOn();
    reply ??= await ask("/api/next", { count: 8 });
    desk.progress(reply.progress);
    items = reply.items;
    if (!items.length) {
      keep([]);
      wait(desk.root, reply.progress, "one", show);
      return;
    }
    const showing = load(path(items[0]));
    try {
      const { image, about: from } = await showing;
      stage.show(image, `Image to label${from ? `: ${from}` : ""}`);
      about.textContent = (items[0].again ? "Asked a second time · " : "") + (from || `row ${items[0].row_id}`);
    } catch (error) {
      stage.empty(`This image cannot be shown: ${error.message}`);
    }
    if (stage.root.parentNode !== desk.root) desk.root.replaceChildren(stage.root, hint, about);
    hint.replaceChildren();
    since = performance.now();
    suggested = false;
    keep(items.map(path));
    for (const item of items) load(path(item)).catch(() => {});
  }

  return {
    count: 8,
    show,
    ruling() {
      if (!items.length) return null;
      return { row_ids: [items[0].row_id], seconds: (performance.now() - since) / 1000, suggested };
    },
    told() {
      return items.length ? about.textContent : "";
    },
    async later() {
      if (!items.length) return;
      const reply = await tell("/api/skip", { row_ids: [items[0].row_id], count: 8 });
      await show(reply);
      say(`Later. ${about.textContent}`);
    },
    async suggest() {
      if (!items.length) return;
      const { said } = await ask("/api/suggestion", { row_id: items[0].row_id });
      suggested = true;
      const lines = said.map(([label, share]) => element("li", {}, `${desk.classes[label]} ${Math.round(100 * share)}%`));
      hint.replaceChildren(...(lines.length ? lines : [element("li", { class: "none" }, "The model had seen no label when it asked this.")]));
      say(hint.textContent);
    },
    key(event) {
      if (event.shiftKey && event.key.startsWith("Arrow")) return stage.move(event.key);
      if (event.key === "ArrowRight") this.later();
      else if (event.key === "ArrowLeft") document.querySelector('[data-key="Backspace"]').click();
      else return stage.key(event.key);
      return true;
    },
  };
}
