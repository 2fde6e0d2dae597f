// Look at one image closely: larger, in its original size, with more contrast.

import { element } from "./page.js";

const STEP = 1.25;

export function viewer() {
  const root = element("figure", { class: "stage" });
  const look = { zoom: 1, contrast: 1, x: 0, y: 0 };
  let image = null;

  function apply() {
    if (!image) return;
    image.style.transform = `translate(${look.x}px, ${look.y}px) scale(${look.zoom})`;
    image.style.filter = look.contrast === 1 ? "" : `contrast(${look.contrast})`;
  }

  function zoom(factor) {
    look.zoom = Math.min(Math.max(look.zoom * factor, 0.1), 32);
    if (Math.abs(look.zoom - 1) < 0.01) Object.assign(look, { zoom: 1, x: 0, y: 0 });
    apply();
  }

  /** The scale at which one pixel of the image is one of the screen; from there, back to what fits. */
  function original() {
    const fitted = Math.min(root.clientWidth / image.naturalWidth, root.clientHeight / image.naturalHeight);
    const scale = 1 / fitted / window.devicePixelRatio;
    Object.assign(look, { x: 0, y: 0, zoom: Math.abs(look.zoom - scale) < 0.01 ? 1 : scale });
    apply();
  }

  root.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoom(event.deltaY < 0 ? STEP : 1 / STEP);
  }, { passive: false });
  root.addEventListener("pointermove", (event) => {
    if (!event.buttons) return;
    look.x += event.movementX;
    look.y += event.movementY;
    apply();
  });
  root.addEventListener("dragstart", (event) => event.preventDefault());

  return {
    root,
    /** Show an image as it fits; contrast stays, for who needs it for one needs it for all. */
    show(next, alt) {
      image = next;
      image.alt = alt;
      Object.assign(look, { zoom: 1, x: 0, y: 0 });
      apply();
      root.replaceChildren(image);
    },
    empty(text) {
      image = null;
      root.replaceChildren(element("p", { class: "wait" }, text));
    },
    move(key) {
      const [x, y] = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] }[key];
      look.x += x;
      look.y += y;
      apply();
      return true;
    },
    key(key) {
      if (!image) return false;
      if (key === "+" || key === "=") zoom(STEP);
      else if (key === "-") zoom(1 / STEP);
      else if (key === "*") original();
      else if (key === "[") look.contrast = Math.max(look.contrast / STEP, 0.2);
      else if (key === "]") look.contrast = Math.min(look.contrast * STEP, 8);
      else return false;
      apply();
      return true;
    },
  };
}
