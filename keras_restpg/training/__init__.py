"""Reward-weighted training as Keras has it: model, loss, optimizer, batches."""
