// Images that look alike, all at once: leave out the odd ones, and one key labels the rest.

import { ask, element, keep, load, say, tell } from "./page.js";
import { goOn, wait } from "./waiting.js";

const small = (item) => `/image/${item.row_id}?as=small`;

export function grid(desk) {
  const title = element("h1", {});
  const how = element("p", { class: "summary" }, "Leave out what is not like the others: a click, or arrows and space. A class key labels the rest.");
  const tiles = element("div", { class: "tiles", role: "group", "aria-label": "Images that look alike" });
  let items = [];
  let since = 0;

  function chosen() {
    return [...tiles.children].filter((tile) => tile.getAttribute("aria-pressed") === "true");
  }

  function count() {
    const n = chosen().length;
    const all = items.length === 1 ? "1 image" : `${n} images that look alike`;
    title.textContent = n === items.length ? all : `${n} of ${items.length} images`;
  }

  function tile(item, place) {
    const made = element("button", { type: "button", class: "tile", "aria-pressed": "true", "data-row": item.row_id });
    made.setAttribute("aria-label", `Image ${place + 1}`);
    load(small(item)).then(({ image, about }) => {
      image.alt = "";
      made.replaceChildren(image);
      if (about) made.title = about;
    }, (error) => made.replaceChildren(error.message));
    made.addEventListener("click", () => {
      made.setAttribute("aria-pressed", String(made.getAttribute("aria-pressed") !== "true"));
      count();
    });
    return made;
  }

  async function show(reply) {
    goOn();
    let progress = reply?.progress;
    const rest = reply ? items.filter((item) => !done.has(item.row_id)) : [];
    if (reply?.undone?.length) {
      items = reply.undone.map((row_id) => ({ row_id }));
    } else if (!rest.length) {
      const next = await ask("/api/groups");
      progress = next.progress;
      desk.progress(progress);
      items = next.group;
    } else {
      items = rest; // those that were left out of the group come next, by themselves
    }
    done.clear();
    keep(items.map(small));
    tiles.replaceChildren(...items.map(tile));
    if (!items.length) {
      wait(desk.root, progress, "grid", show);
      return;
    }
    count();
    desk.root.replaceChildren(title, how, tiles);
    since = performance.now();
    tiles.firstElementChild.focus();
  }

  const done = new Set();

  return {
    count: 0,
    show,
    ruling() {
      const rows = chosen().map((made) => Number(made.dataset.row));
      if (!rows.length) {
        say("No image is chosen.");
        return null;
      }
      rows.forEach((row) => done.add(row));
      return { row_ids: rows, seconds: (performance.now() - since) / 1000 };
    },
    told: () => (items.length ? title.textContent : ""),
    async later() {
      await tell("/api/skip", { row_ids: items.map((item) => item.row_id), count: 0 });
      items = [];
      await show(null);
    },
    key(event) {
      const all = [...tiles.children];
      const at = all.indexOf(document.activeElement);
      const across = Math.max(1, getComputedStyle(tiles).gridTemplateColumns.split(" ").length);
      const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -across, ArrowDown: across }[event.key];
      if (step === undefined || !all.length) return false;
      all[Math.min(Math.max(at + step, 0), all.length - 1)].focus();
      return true;
    },
  };
}
