"""What TLS adds to a run: certificates, who trusts them, and an agent known by its metadata document."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from demo import development_ca
from demo.development_ca import Certificates
from demo.parts import AGENT, AUTHSERVER, HOST_NAMES, MODULES, Addresses, common_variables

PARTS: Final = (*MODULES, AGENT)
"""Those that get a certificate."""
MODULE: Final = "demo.client_metadata"


@dataclass(frozen=True, slots=True)
class TlsOptions:
    """How to run it over TLS."""

    host_names: bool = False
    """Whether agents and browsers know the parts by the names of the tutorial."""
    ca: Path | None = None
    """Where certificates are kept for the next run; else they are made anew, and go with this one."""

    @property
    def names(self) -> Mapping[str, str]:
        """The host names of parts."""
        return HOST_NAMES if self.host_names else {}

    def certificates(self, directory: Path) -> Certificates:
        """Return the certificates of a run with this private directory.

        Raises:
            CertificatesError: what is kept cannot be used.
        """
        if self.ca is not None:
            return development_ca.kept(self.ca, PARTS)
        return development_ca.create(directory / "tls", PARTS)


def over_tls(
    told: Mapping[str, Mapping[str, str]], addresses: Addresses, certificates: Certificates, *, log_level: str
) -> dict[str, dict[str, str]]:
    """Return what the parts are told, with TLS between all of them, and with the agent's own part."""
    agent = common_variables(AGENT, addresses.ports[AGENT], log_level)
    every = {**told, AGENT: agent | {"AGENT_CLIENT_ID": addresses.agent_metadata or ""}}
    return {part: {**variables, **_variables(part, certificates)} for part, variables in every.items()}


def _variables(part: str, certificates: Certificates) -> dict[str, str]:
    prefix = part.upper() + "_"
    variables = {
        prefix + "TLS_CERTIFICATE_FILE": str(certificates.certificate(part)),
        prefix + "TLS_KEY_FILE": str(certificates.key(part)),
        prefix + "CA_FILE": str(certificates.authority),
    }
    if part == AUTHSERVER:
        # The agent's document is on this machine, where no stranger's would be asked for.
        variables |= {
            "AUTHSERVER_CIMD_ALLOW_LOOPBACK": json.dumps(True),
            "AUTHSERVER_CIMD_CA_FILE": str(certificates.authority),
        }
    return variables
