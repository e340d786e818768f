"""Training the networks of a learning curve: one for each seed and number of training samples.

Networks with equal batches train as one stack, and leave it when they have stopped. What a network
learns depends on its seed and its n alone: on a CPU with MKL it has the same bits in any company,
elsewhere the same numbers to rounding. It may import what training may.
"""

from ntkscope.training.learning_curve.train import train_networks

__all__ = ["train_networks"]
