"""A network that a package could add: one linear layer a side."""

from torch import nn

from distal.nets import Network

linear = Network(
    body=lambda net, inputs, size, channels: nn.Sequential(
        nn.Linear(inputs, channels * size**2), nn.Unflatten(1, (channels, size, size))
    ),
    trunk=lambda net, size, channels: nn.Sequential(
        nn.Flatten(), nn.Linear(channels * size**2, net.features), nn.LeakyReLU(0.2)
    ),
    convolutional=False,
)
