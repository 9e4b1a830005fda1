"""One Envoy for all services of a machine, steered by files and believed only through its admin interface."""

from celadon.traffic.envoy.router import EnvoyRouter

__all__ = ["EnvoyRouter"]
