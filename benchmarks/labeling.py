"""Measure how long a person waits between a key and the next image, with 100,000 rows in the queue.

    python benchmarks/labeling.py [--rows 100000] [--decisions 300]

The server is `distal label` in a process of its own; this one speaks HTTP as the page does: it tells a decision, which
is then on the disk, and gets the next image. Last, the server is killed and started again, and the time is taken
until it shows the first image.
"""

import argparse
import http.client
import io
import json
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from distal.driver.preparation import Preparation
from distal.label.guard import cookie_of
from distal.resolve import make_config
from distal.run.directory import RunDirectory
from distal.run.ledger import Ledger, Query

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def begin(folder: Path, rows: int) -> RunDirectory:
    """Write a pool of grey noise, and a run that asks for `rows` of it at once."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 64), dtype=np.uint8)
    encoded = []
    for pixels in noise:
        png = io.BytesIO()
        Image.fromarray(pixels).save(png, format="PNG")
        encoded.append(png.getvalue())
    images = [{"bytes": encoded[i % 64], "path": f"{i}.png"} for i in range(rows + rows // 4 + 20_000)]
    pq.write_table(pa.table({"image": pa.array(images, IMAGE)}), folder / "pool.parquet", row_group_size=1000)
    tree = {
        "name": "r",
        "storage": str(folder),
        "rounds": 1,
        "query": {"batch": rows},
        "oracle": {"kind": "page"},
        "pool": {"path": str(folder / "pool.parquet"), "classes": ["cat", "dog"], "label_column": None},
    }
    run = RunDirectory.open(str(folder), "r")
    opened = Preparation(make_config(tree), run)
    opened.write(run)
    asked = np.random.default_rng(1).permutation(len(images))[:rows].astype(np.int64)
    Ledger(run).write_query(Query(1, asked, np.zeros(rows, np.float32), "random"))
    return run


class Client:
    """Speak with a page's server as a browser does, on one connection."""

    def __init__(self, link: str) -> None:
        host, port, token = re.findall(r"//(.+):(\d+)/\?token=(.+)", link)[0]
        self._connection = http.client.HTTPConnection(host, int(port))
        self._headers = {"cookie": f"{cookie_of(token)}={token}", "content-type": "application/json"}

    def speak(self, method: str, path: str, fields: dict[str, object] | None = None) -> bytes:
        body = None if fields is None else json.dumps({"page": "p", "person": "ann", **fields})
        self._connection.request(method, path, body, self._headers)
        reply = self._connection.getresponse()
        data = reply.read()
        assert reply.status == 200, data
        return data


def serve(run: RunDirectory) -> tuple[subprocess.Popen[str], Client, float]:
    """Start `distal label`; return it, a client, and the seconds until it has shown its first image."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "distal", "label", run.uri, "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    client = Client(process.stdout.readline().split()[-1])
    first = json.loads(client.speak("GET", "/api/next?page=p&person=ann&count=8"))["items"][0]
    client.speak("GET", f"/image/{first['row_id']}")
    return process, client, time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--decisions", type=int, default=300)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run = begin(Path(folder), given.rows)
        process, client, started = serve(run)
        waits = []
        items = json.loads(client.speak("GET", "/api/next?page=p&person=ann&count=8"))["items"]
        for number in range(given.decisions):
            time.sleep(0.2)  # a person looks; meanwhile images are read ahead
            began = time.perf_counter()
            ruling = {"row_ids": [items[0]["row_id"]], "label": number % 2, "token": f"t{number}", "count": 8}
            items = json.loads(client.speak("POST", "/api/decide", ruling))["items"]
            client.speak("GET", f"/image/{items[0]['row_id']}")
            waits.append(1000.0 * (time.perf_counter() - began))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process, client, again = serve(run)
        progress = json.loads(client.speak("GET", "/api/next?page=p&person=ann&count=8"))["progress"]
        process.kill()
        process.wait()
    print(f"{given.rows:,} rows queued, {given.decisions} decisions")
    print(f"key to next image: median {np.median(waits):.1f} ms, p95 {np.percentile(waits, 95):.1f} ms")
    print(f"start to first image {started:.1f} s; after kill -9 {again:.1f} s, {progress['answered']} answers there")


if __name__ == "__main__":
    main()
