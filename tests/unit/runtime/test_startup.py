import gc

import pytest

from ntkscope.runtime.startup import lasting_imports


@pytest.fixture(autouse=True)
def thaw():
    yield
    gc.unfreeze()
    gc.enable()


def test_objects_made_within_are_kept_from_the_collector():
    before = gc.get_freeze_count()
    with lasting_imports():
        kept = [[] for _ in range(100)]
        assert not gc.isenabled()
    assert gc.isenabled()
    assert gc.get_freeze_count() >= before + len(kept)


def test_after_a_failed_import_the_collector_is_on_again():
    with pytest.raises(ImportError), lasting_imports():
        raise ImportError("no such module")
    assert gc.isenabled()


def test_a_collector_that_was_off_stays_off():
    gc.disable()
    with lasting_imports():
        pass
    assert not gc.isenabled()
