// What all views share: talk with the server so that no answer is lost, load images ahead, say who one is.

const banner = document.querySelector("#banner");
const said = document.querySelector("#said");
const UNSENT = "distal-unsent";

/** A random name; crypto.randomUUID is missing where the page comes over http from another machine. */
export function token() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("");
}

export const page = sessionStorage.getItem("distal-page") ?? token();
sessionStorage.setItem("distal-page", page);

export const person = {
  get name() {
    return localStorage.getItem("distal-person") ?? "";
  },
  set name(name) {
    localStorage.setItem("distal-person", name);
  },
};

/** An element with attributes and children; text is text, never HTML. */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}

/** Have a screen reader say something. */
export function say(text) {
  said.textContent = text;
}

export function warn(text) {
  banner.textContent = text ?? "";
  banner.hidden = !text;
}

function who() {
  return { page, person: person.name };
}

/** Ask; until the server answers, try again. */
export async function ask(path, fields = {}) {
  return until(() => fetch(`${path}?${new URLSearchParams({ ...who(), ...fields })}`));
}

/** Tell, and return the answer once what was told is on the server's disk; until then it is kept here as well. */
export async function tell(path, fields) {
  const body = JSON.stringify({ ...who(), ...fields });
  if (fields.token) localStorage.setItem(UNSENT, JSON.stringify({ path, body }));
  const reply = await sent(path, body);
  localStorage.removeItem(UNSENT);
  return reply;
}

/** Send what an earlier page could not; the server knows by its token whether it has it already. */
export async function tellAgain() {
  const kept = localStorage.getItem(UNSENT);
  if (!kept) return;
  const { path, body } = JSON.parse(kept);
  try {
    await sent(path, body);
  } catch (error) {
    warn(error.message);
  }
  localStorage.removeItem(UNSENT);
}

function sent(path, body) {
  return until(() => fetch(path, { method: "POST", body, headers: { "content-type": "application/json" } }));
}

async function until(request) {
  for (let wait = 100; ; wait = Math.min(2 * wait, 2000)) {
    let reply;
    try {
      reply = await request();
    } catch {
      warn("Not saved yet: the server does not answer. It is tried again; nothing is lost.");
      await new Promise((resolve) => setTimeout(resolve, wait));
      continue;
    }
    const content = await reply.json();
    if (!reply.ok) {
      warn(content.error);
      throw new Error(content.error);
    }
    warn(null);
    return content;
  }
}

const loaded = new Map();

/** Load an image, once: a promise of {image, about}, decoded, so that it shows at once. */
export function load(path) {
  if (!loaded.has(path)) loaded.set(path, fetched(path));
  return loaded.get(path);
}

/** Keep these images and let the others go. */
export function keep(paths) {
  for (const [path, promise] of loaded) {
    if (paths.includes(path)) continue;
    loaded.delete(path);
    promise.then(({ image }) => URL.revokeObjectURL(image.src), () => {});
  }
}

async function fetched(path) {
  let reply = await fetch(path);
  if (!reply.ok) throw new Error((await reply.json()).error);
  const about = decodeURIComponent(reply.headers.get("x-about") ?? "");
  const image = new Image();
  image.src = URL.createObjectURL(await reply.blob());
  try {
    await image.decode();
  } catch {
    reply = await fetch(`${path.split("?")[0]}?as=plain`);
    image.src = URL.createObjectURL(await reply.blob());
    await image.decode();
  }
  image.classList.toggle("small", Math.max(image.naturalWidth, image.naturalHeight) <= 160);
  return { image, about };
}

/** Leave no secret in the address bar, the history, or a screenshot. */
history.replaceState(null, "", location.pathname);
