from distal.metrics import Score


def test_a_score_is_written_with_its_class() -> None:
    entry = Score("fid_class", None, "inception", "ab", 10, 20, "seven", "too few").to_json()
    assert (entry["name"], entry["value"], entry["class"], entry["note"]) == ("fid_class", None, "seven", "too few")
    assert (entry["hash"], entry["samples"], entry["reference_samples"]) == ("ab", 10, 20)
