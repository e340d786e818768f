"""Training the networks of a learning curve: one for each seed and number of training samples.

Networks with equal batches train as one stack, and leave it when they have stopped. What a network
learns depends on its seed and its n alone: its company shows in the last bits of its numbers only.
"""

from ntkscope.training.learning_curve.train import train_networks

__all__ = ["train_networks"]
