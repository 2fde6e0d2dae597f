from distal.metrics import Score


def test_a_score_survives_json() -> None:
    score = Score("fid_class", None, "inception", "ab", 10, 20, "seven", "too few")
    assert score.to_json()["class"] == "seven"
    assert Score.from_json(score.to_json()) == score
