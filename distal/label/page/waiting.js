// Say why nothing is to be labeled just now, and look again until something is.

import { element, say } from "./page.js";

const POLL_MS = 250;
const WHY = {
  begins: "The run is getting ready. Its first images come by themselves.",
  works: "The run is learning from the answers. The next batch comes by itself.",
  left: "All is answered. The run goes on with: distal resume",
  ended: "The run has ended. Thank you!",
  asks: "What is left is shown to others just now.",
};
let timer = 0;

function why({ round, run }) {
  return run === "works" && !round ? "begins" : run;
}

/** Show in a place why one waits, and show the view again after a while, if it is still the one that is open. */
export function wait(root, progress, name, show) {
  goOn();
  const reason = why(progress);
  const shown = root.querySelector(".waiting");
  if (shown?.dataset.why !== reason) {
    const turning = reason === "works" || reason === "begins" ? element("span", { class: "turning" }) : "";
    const text = element("p", { class: "wait" }, WHY[reason]);
    root.replaceChildren(element("div", { class: "waiting", "data-why": reason }, turning, text));
    say(WHY[reason]);
  }
  timer = setTimeout(() => document.body.dataset.view === name && show(null), POLL_MS);
}

/** Look no more: something else shows. */
export function goOn() {
  clearTimeout(timer);
}
