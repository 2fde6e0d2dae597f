// Show one image at a time and send its class to the kernel, which keeps it. Names and paths are shown as text only.

const KEYS = "123456789abcdefghijklmnopqrstuvwxyz";
const DECLINE = "0";

function made(parent, tag, name, text) {
  const element = document.createElement(tag);
  if (name) element.className = name;
  if (text) element.textContent = text;
  parent.append(element);
  return element;
}

function render({ model, el }) {
  const root = made(el, "div", "distal-label");
  root.tabIndex = 0;
  root.setAttribute("role", "group");
  root.setAttribute("aria-label", "Label images: press a class's key");
  const image = made(root, "img");
  const caption = made(root, "div", "caption");
  const choices = made(root, "div", "choices");
  const problem = made(root, "div", "problem");
  problem.setAttribute("role", "alert");
  const progress = made(root, "progress");
  const count = made(root, "div", "count");
  count.setAttribute("aria-live", "polite");
  const sent = new Set(); // answered here; the kernel takes them off the list when they are kept

  const names = model.get("classes");
  const answers = names.map((name, label) => ({ key: KEYS[label], name, label }));
  answers.push({ key: DECLINE, name: "none of these", label: null });
  for (const answer of answers) {
    const button = made(choices, "button", "");
    made(button, "kbd", "", answer.key || "");
    made(button, "span", "", answer.name);
    button.addEventListener("click", () => tell(answer.label));
  }

  const current = () => model.get("items").find((item) => !sent.has(item.row_id));

  function tell(label) {
    const item = current();
    if (!item) return;
    sent.add(item.row_id);
    model.send({ row_id: item.row_id, label });
    draw();
  }

  function draw() {
    const item = current();
    const done = model.get("total") - model.get("left");
    image.hidden = choices.hidden = !item;
    image.src = item ? item.image : "";
    image.alt = item ? `row ${item.row_id}` : "";
    caption.textContent = item ? item.path || `row ${item.row_id}` : model.get("left") ? "" : model.get("end");
    problem.textContent = model.get("problem");
    progress.max = Math.max(1, model.get("total"));
    progress.value = done;
    count.textContent = model.get("total") ? `${done} of ${model.get("total")} answered` : "";
  }

  function onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const answer = answers.find((each) => each.key === event.key.toLowerCase());
    if (!answer) return;
    event.preventDefault();
    event.stopPropagation(); // or the notebook takes it for a command of its own
    tell(answer.label);
  }

  function onProblem() {
    if (model.get("problem")) sent.clear();
    draw();
  }

  root.addEventListener("keydown", onKey);
  model.on("change:items", draw);
  model.on("change:left", draw);
  model.on("change:problem", onProblem);
  draw();
  root.focus({ preventScroll: true });
}

export default { render };
