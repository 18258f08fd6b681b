"""Autoencoders: encoders, decoders and losses in PyTorch.

In: the message graph, features, pairs. Out: embeddings, logits, losses. Nothing here trains; `models.training` does.
"""
