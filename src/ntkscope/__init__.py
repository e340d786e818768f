"""ntkscope: watch a network's neural tangent kernel while the network learns.

One package a stage, each importing only those before it: `data`, `training`, `kernels`, `metrics`,
`fits`, `figures`; and the ground they share: `config`, `models`, `stores`. Importing this package
imports none of them.
"""
