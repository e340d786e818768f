"""
A language model: dict inputs, parts, logits
============================================

Models of Hugging Face take a mapping and return an object. This one is as small as they come, so
that the page needs no download; a ``transformers`` model is handed over in the same way.
"""

from types import SimpleNamespace

import matplotlib.pyplot as plt
import torch
from torch import nn

import ntkscope


class Classifier(nn.Module):
    """Embedding, one block of attention, and a head over the mean of the tokens."""

    def __init__(self, words=50, size=32, classes=3):
        super().__init__()
        self.embedding = nn.Embedding(words, size)
        self.attention = nn.MultiheadAttention(size, 4, batch_first=True)
        self.classifier = nn.Linear(size, classes)

    def forward(self, input_ids, attention_mask):
        """An object with ``logits`` (N, classes), of token numbers and mask (N, T)."""
        tokens = self.embedding(input_ids)
        mask = attention_mask.bool()
        mixed, _ = self.attention(
            tokens, tokens, tokens, key_padding_mask=~mask, need_weights=False
        )
        weights = mask[..., None].float()
        mean = ((tokens + mixed) * weights).sum(1) / weights.sum(1)
        return SimpleNamespace(logits=self.classifier(mean))


torch.manual_seed(0)
model = Classifier().eval()
lengths = torch.arange(5, 17)
inputs = {
    "input_ids": torch.randint(0, 50, (12, 16)),
    "attention_mask": (torch.arange(16) < lengths[:, None]).long(),
}

# %%
# ``output`` names where the outputs [N, K] are in what the model returns; ``parameters`` the part
# whose kernel is wanted: names of modules or of parameters.
whole = ntkscope.empirical_ntk(model, inputs, output="logits")
head = ntkscope.empirical_ntk(model, inputs, output="logits", parameters="classifier")
print(whole.shape, f"{float(head.trace() / whole.trace()):.2f} of the trace is the head's")

# %%
# By module. Padding must not matter, and does not: other words behind the mask, the same kernel.
parts = ntkscope.empirical_ntk(model, inputs, output="logits", by_layer=True)
other = dict(inputs)
other["input_ids"] = torch.where(inputs["attention_mask"].bool(), inputs["input_ids"], 7)
padded = ntkscope.empirical_ntk(model, other, output="logits")
print(f"largest difference: {float((padded - whole).abs().max() / whole.abs().max()):.1e}")
figure, axes = plt.subplots(1, len(parts), figsize=(3 * len(parts), 3))
for axis, (name, kernel) in zip(axes, parts.items(), strict=True):
    axis.imshow(kernel)
    axis.set(title=name, xlabel="sentence", ylabel="sentence")
figure.tight_layout()
