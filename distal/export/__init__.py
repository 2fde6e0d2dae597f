"""A generator outside distal: its files in two formats, what makes them smaller, and what that costs.

formats      ONNX and torch.export, written and read back
smaller      magnitude pruning and int8 weights
distill      a smaller network that learns from the generator's own images
table        size, latency, distance and how many pixels differ, before and after
"""
