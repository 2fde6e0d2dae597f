"""Train a classifier on the labeled images of a run and on generated ones, which this command writes.

distal generate RUN --out more.parquet --balance --filter --labeled labeled.parquet

Labeled images are half of what each class weighs, however many generated ones stand beside them.
"""

import io
from collections import Counter

import numpy as np
import pyarrow.parquet as pq
from PIL import Image
from sklearn.linear_model import LogisticRegression

rows = [(row, name) for name in ("labeled.parquet", "more.parquet") for row in pq.read_table(name).to_pylist()]
images = [Image.open(io.BytesIO(row["image"]["bytes"])).convert("L").resize((32, 32)) for row, _ in rows]
x, y = np.stack([np.asarray(image, np.float32).ravel() / 255 for image in images]), [row["label"] for row, _ in rows]
counts = Counter((row["label"], name) for row, name in rows)
weights = [len(rows) / len(counts) / counts[row["label"], name] for row, name in rows]
classifier = LogisticRegression(max_iter=1000).fit(x, y, sample_weight=weights)
print(f"{len(y)} images, {len(set(y))} classes, accuracy on them {classifier.score(x, y):.3f}")
