"""Watching in somebody else's loop: a file a framework, each an extra of the same name.

`ntkscope.watch.adapters.lightning.NTKWatch`, `….transformers.NTKWatch`, `….avalanche.NTKWatch`.
Only these files import their framework, and they only say when a step was made and a task began:
all else is `ntkscope.Watch`, which each has as `watch`. Nothing is imported here.
"""
