import gc

import pytest

from ntkscope.runtime.startup import uncollected_imports


@pytest.fixture(autouse=True)
def thaw():
    yield
    gc.unfreeze()
    gc.enable()


def test_objects_made_within_are_kept_from_the_collector():
    before = gc.get_freeze_count()
    with uncollected_imports():
        kept = [[] for _ in range(100)]
        assert not gc.isenabled()
    assert gc.isenabled()
    assert gc.get_freeze_count() >= before + len(kept)


def test_after_a_failed_import_the_collector_is_on_again():
    with pytest.raises(ImportError), uncollected_imports():
        raise ImportError("no such module")
    assert gc.isenabled()


def test_a_collector_that_was_off_stays_off():
    gc.disable()
    with uncollected_imports():
        pass
    assert not gc.isenabled()
