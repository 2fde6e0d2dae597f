"""The notebook's widget in a real browser: keys and buttons answer, the next image shows at once, names stay text."""

import base64
import json
import re
from pathlib import Path

import numpy as np
from browser import IN_A_BROWSER, browse
from small_pools import png

import distal.notebook

pytestmark = IN_A_BROWSER

WIDGET = Path(distal.notebook.__file__).parent
CLASSES = ["good", "<img src=x onerror=document.body.dataset.attacked=1>", *(f"class {n}" for n in range(8))]

PAGE = """<!doctype html><meta charset="utf-8"><style>CSS</style><body><div id="cell"></div><script type="module">
WIDGET
const heard = {}, state = STATE;
const sent = [];
const model = {
  get: (name) => state[name],
  on: (name, call) => (heard[name] ??= []).push(call),
  send: (message) => sent.push(message),
};
function set(changes) {
  Object.assign(state, changes);
  for (const name in changes) (heard[`change:${name}`] || []).forEach((call) => call());
}
const el = document.getElementById("cell");
widget.render({ model, el });
const root = el.firstElementChild;
const press = (key) => root.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
const seen = () => el.querySelector("img").hidden ? null : el.querySelector("img").alt;
PROBE
</script></body>"""

PROBE = """
const story = [seen()];
press("2"); story.push(seen());              // shown before the kernel has said anything
press("x"); story.push(seen());              // no class's key
press("0"); story.push(seen());
el.querySelectorAll("button")[9].click(); story.push(seen());
set({ problem: "row 8 is refused" }); story.push(seen(), el.querySelector(".problem").textContent);
set({ problem: "", items: state.items.slice(3), left: 1 });
press("A"); story.push(seen());
set({ items: [], left: 0 });
story.push(el.querySelector(".caption").textContent, el.querySelector(".count").textContent);
const focused = document.activeElement === root;
document.body.dataset.story = JSON.stringify({ story, sent, focused, keys: el.querySelectorAll("kbd").length });
"""


def page(tmp_path: Path, probe: str, count: int = 4) -> Path:
    shades = [png(np.add.outer(np.arange(40), np.arange(60)).astype(np.uint8) * (row + 2)) for row in range(count)]
    items = [
        {
            "row_id": 7 + row,
            "path": f"scans/{row}.png",
            "image": f"data:image/png;base64,{base64.b64encode(data).decode()}",
        }
        for row, data in enumerate(shades)
    ]
    state = {
        "classes": CLASSES,
        "items": items,
        "left": count,
        "total": count,
        "problem": "",
        "end": "All are answered.",
    }
    script = (WIDGET / "widget.js").read_text().replace("export default { render };", "const widget = { render };")
    text = PAGE.replace("CSS", (WIDGET / "widget.css").read_text()).replace("WIDGET", script)
    text = text.replace("STATE", json.dumps(state).replace("</", "<\\/")).replace("PROBE", probe)
    place = tmp_path / "widget.html"
    place.write_text(text)
    return place


def test_images_are_answered_by_keys_and_buttons_and_a_refused_one_comes_back(tmp_path: Path) -> None:
    place = page(tmp_path, PROBE)
    dom = browse(tmp_path, "--virtual-time-budget=3000", "--dump-dom", place.as_uri())
    (told,) = re.findall(r'data-story="([^"]+)"', dom)
    said = json.loads(told.replace("&quot;", '"').replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
    assert said["sent"] == [
        {"row_id": 7, "label": 1},
        {"row_id": 8, "label": None},
        {"row_id": 9, "label": 9},
        {"row_id": 10, "label": 9},
    ]
    row = [f"row {n}" for n in (7, 8, 8, 9, 10)]
    assert said["story"] == [*row, "row 7", "row 8 is refused", None, "All are answered.", "4 of 4 answered"]
    assert (said["focused"], said["keys"]) == (True, 11)
    assert "data-attacked" not in dom
