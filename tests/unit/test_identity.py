"""Digests: equal for equal meaning, different for different code."""

from ntkscope.identity import STAGES, digest, sources_digest, stage_digest


def test_digest_sees_values_not_order():
    assert digest({"a": 1, "b": [0.1]}) == digest({"b": [0.1], "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})
    assert len(digest({})) == 12


def test_every_stage_has_its_own_digest():
    assert len({stage_digest(stage) for stage in STAGES}) == len(STAGES)


def test_sources_digest_is_blind_to_words_and_sees_code(tmp_path):
    file = tmp_path / "stage" / "a.py"
    file.parent.mkdir()

    def of(text):
        file.write_text(text)
        return sources_digest([file.parent])

    plain = of("def f(x):\n    return x + 1\n")
    assert of('"""Module."""\n\n\ndef f(x):\n    """Doc."""\n    return x + 1  # why\n') == plain
    assert of("def f(x):\n    return x + 2\n") != plain
