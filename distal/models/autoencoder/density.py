"""Fit the density of latents once what encodes them is trained (Ghosh et al. 2020, section 4: ex-post density).

Of a class with n labeled rows it is a kernel estimate: a normal distribution at each row, equally likely. How wide they
are is derived, along the principal axes of how all rows, labeled or not, lie within the classes they are taken for:

* s^2, the variance within the class, is learned from few rows, so it is pulled to that within all classes, and that to
  the variance of all rows: (nu s0^2 + (n - 1) s_n^2) / (nu + n - 1), the scale of the posterior under a scaled inverse
  chi-squared prior (Gelman et al. 2013, section 2.6). Of a class of one row it is that of the others.
* h = n^(-1 / (d + 4)) deviations is the width that Scott's rule gives normal rows in d dimensions (Scott 1992, 6.43).
* A kernel estimate is wider than its rows, by 1 + h^2 in variance, which in many dimensions is two. So rows and kernels
  are drawn together by one factor a (Silverman 1986, section 6.4.1), until the variance is (1 + 1 / n) s^2, that of the
  next row as a normal distribution foretells it from n: a^2 ((n - 1) / n + h^2) = 1 + 1 / n.

So one labeled row is no copy machine, it has the spread of other classes' rows and more, for its place is known as
badly; and with many rows the shape of the class is theirs. A class without one is drawn as all rows are.
"""

import torch
from torch import Tensor

from distal.nets.codes import CodeMixture

PRIOR = 5.0
"""nu, in rows: the fewest degrees of freedom, whole, with which what is believed of a variance has one itself."""


def fit_density(latents: Tensor, labels: Tensor, every: Tensor, believed: Tensor, spread: float = 1.0) -> CodeMixture:
    """Return the mixture of every class, float32, on the CPU.

    Args:
        latents, labels: of labeled rows, [M, z] and int64 [M], in the order of the classes; M may be 0.
        every, believed: latents [R, z] of rows drawn from all, R at least 1, and their class probabilities [R, K].
        spread: what the width is multiplied by.
    """
    labels = labels.cpu()
    latents, every, believed = (said.double().cpu() for said in (latents, every, believed))
    classes, dimensions = believed.shape[1], every.shape[1]
    axes, within, total = variances(every, believed)
    count, turned = torch.bincount(labels, minlength=classes), latents @ axes
    sums = torch.zeros(classes, dimensions, dtype=torch.float64)
    center = sums.index_add(0, labels, turned) / count.clamp_min(1)[:, None]
    apart = turned - center[labels]
    squares, freedom = sums.index_add(0, labels, apart.square()), (count - 1).clamp_min(0)
    own = (PRIOR * within + squares) / (PRIOR + freedom)[:, None]
    together, width = kernels(count, dimensions)
    mean = center[labels] + together[labels, None] * apart
    deviation = spread * width[labels, None] * own[labels].sqrt()
    unknown = torch.nonzero(count == 0)[:, 0]
    order = torch.argsort(torch.cat([labels, unknown]), stable=True)
    mean = torch.cat([mean, (every.mean(0) @ axes).expand(len(unknown), -1)])[order] @ axes.T
    deviation = torch.cat([deviation, total.sqrt().expand(len(unknown), -1)])[order]
    return CodeMixture(mean.float(), deviation.float(), count.clamp_min(1), axes.T.float().contiguous())


def variances(every: Tensor, believed: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the principal axes within classes, as columns [z, z], and variances [z] along them: within, and of all.

    Rows [R, z] belong to classes as far as is believed, [R, K].
    """
    weight = believed.sum(0).clamp_min(1e-12)
    inner = every - believed @ (believed.T @ every / weight[:, None])
    # Rows less the trace of what takes them to the means of their classes, K where classes are certain.
    freedom = len(every) - (believed.square().sum(0) / weight).sum()
    axes = torch.linalg.eigh(inner.T @ inner)[1]
    total = ((every - every.mean(0)) @ axes).square().sum(0) / max(len(every) - 1, 1)
    return axes, (PRIOR * total + (inner @ axes).square().sum(0)) / (PRIOR + freedom), total


def kernels(count: Tensor, dimensions: int) -> tuple[Tensor, Tensor]:
    """Return the factor a of a row's distance from its class's mean, and the width a h of its kernel in deviations.

    count: rows of each class, int64 [K]. Both are float64 [K].
    """
    n = count.double().clamp_min(1)
    h = n ** (-1 / (dimensions + 4))
    a = ((1 + 1 / n) / ((n - 1) / n + h.square())).sqrt()
    return a, a * h
