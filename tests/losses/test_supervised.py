import torch
import torch.nn.functional as F

from distal.losses.supervised import cross_entropy, negative_log_likelihood, one_hot, pseudo_label, sample_classes

LOGITS = torch.tensor([[2.0, 0.0, -1.0], [0.1, 0.2, 0.3]])


def test_cross_entropy_of_one_hot_rows_is_torchs() -> None:
    labels = torch.tensor([0, 2])
    torch.testing.assert_close(
        cross_entropy(LOGITS, one_hot(labels, 3)), F.cross_entropy(LOGITS, labels, reduction="none")
    )


def test_the_likelihood_of_labels_is_the_sum_of_the_cross_entropies_of_their_one_hot_rows() -> None:
    logits, labels = torch.randn(6, 4, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 3, 1, 1, 2, 0])
    expected = cross_entropy(logits, one_hot(labels, 4)).sum()
    torch.testing.assert_close(negative_log_likelihood(logits, labels), expected)
    assert negative_log_likelihood(logits[:0], labels[:0]) == 0


def test_pseudo_labels_count_only_where_the_plain_view_is_confident() -> None:
    plain = torch.tensor([[0.97, 0.02, 0.01], [0.5, 0.3, 0.2]])
    loss = pseudo_label(LOGITS, plain, threshold=0.95)
    torch.testing.assert_close(loss[0], F.cross_entropy(LOGITS[:1], torch.tensor([0])))
    assert loss[1] == 0


def test_classes_are_drawn_by_the_inverse_of_the_distribution_function() -> None:
    probs = torch.tensor([[0.25, 0.5, 0.25]]).expand(4, 3)
    assert sample_classes(probs, torch.tensor([0.1, 0.3, 0.7, 0.9999999])).tolist() == [0, 1, 1, 2]


def test_a_distribution_that_sums_to_less_than_the_uniform_still_gives_a_class() -> None:
    assert sample_classes(torch.tensor([[0.5, 0.4999]]), torch.tensor([0.99995])).item() == 1
