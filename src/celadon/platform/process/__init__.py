"""Replicas as processes of this machine: they outlive the daemon, which finds them again."""

from celadon.platform.process.leases import Again as Again
from celadon.platform.process.leases import ProcessLeases as ProcessLeases
from celadon.platform.process.leases import ourselves as ourselves
from celadon.platform.process.platform import ProcessPlatform as ProcessPlatform
from celadon.platform.process.platform import RunningCommand as RunningCommand
from celadon.platform.process.secret import secret_digest as secret_digest
