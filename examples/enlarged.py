"""Train a classifier on the labeled images of a run and on generated ones, which this command writes.

distal generate RUN --out more.parquet --balance --filter --labeled labeled.parquet
"""

import io

import numpy as np
import pyarrow.parquet as pq
from PIL import Image
from sklearn.linear_model import LogisticRegression

rows = [row for name in ("labeled.parquet", "more.parquet") for row in pq.read_table(name).to_pylist()]
images = [Image.open(io.BytesIO(row["image"]["bytes"])).convert("L").resize((32, 32)) for row in rows]
x, y = np.stack([np.asarray(image, np.float32).ravel() / 255 for image in images]), [row["label"] for row in rows]
classifier = LogisticRegression(max_iter=1000).fit(x, y)
print(f"{len(y)} images, {len(set(y))} classes, accuracy on them {classifier.score(x, y):.3f}")
