"""Words that every part of the rendering shares."""

from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from celadon.domain.names import Address

Json = dict[str, Any]

API = "type.googleapis.com/envoy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Paths:
    """Where one Envoy finds its files. number: which of several that share `xds`; the first is 0."""

    xds: PurePath
    access_log: PurePath
    admin_socket: PurePath
    number: int = 0

    @property
    def listeners_file(self) -> str:
        """Of its own, since listeners name the log that an Envoy writes alone: two would tear each other's lines."""
        return f"listeners.{self.number}.json" if self.number else "listeners.json"


def routes_file(table: str) -> str:
    return f"routes.{_plain(table)}.json"


def endpoints_file(cluster: str) -> str:
    return f"endpoints.{_plain(cluster)}.json"


def _plain(name: str) -> str:
    return name.replace("/", ".").replace(":", "_").replace("[", "").replace("]", "")


def from_file(path: PurePath) -> Json:
    return {"path_config_source": {"path": str(path)}, "resource_api_version": "V3"}


def address_of(address: Address) -> Json:
    return {"socket_address": {"address": address.host, "port_value": address.port}}


def seconds(value: float) -> str:
    return f"{value:.9f}".rstrip("0").rstrip(".") + "s"
