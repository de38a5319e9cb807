"""Names of peers as an operator or installer types them in: AE title, address, port.

Rules of this file:

* Scenarios name peers; where they really are is known once their hosts are up.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.products.model import AE_TITLES
from bench.runner.actors import Host


def endpoints(hosts: Mapping[str, Host]) -> dict[str, Mapping[str, Any]]:
    """Return where every simulator is, by its name."""
    return {name: endpoint for host in hosts.values() for name, endpoint in host.endpoints.items()}


def settings(args: Mapping[str, Any], found: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return what ``operator.configure`` says with names of peers turned into what an operator types in.

    Args:
        args: of the step; ``storage`` and ``worklist`` name peers, ``peer_titles`` says how they are called.
        found: where the simulators are.

    Raises:
        LookupError: a peer is not there.
    """
    out = {key: value for key, value in args.items() if key != "peer_titles"}
    titles = dict(args.get("peer_titles") or {})

    def peer(name: str) -> dict[str, Any]:
        if name not in found:
            raise LookupError(f"this bench has no {name}")
        where = found[name]
        title = titles.get(name, where.get("ae_title", AE_TITLES[name]))
        return {"ae_title": title, "host": where["host"], "port": where["port"]}

    if "storage" in args:
        out["storage"] = [{"name": name, **peer(name)} for name in args["storage"]]
    elif archives := [name for name in ("pacs", "pacs2") if name in titles]:
        out["storage"] = [{"name": name, **peer(name)} for name in archives]
    if "worklist" in args or "ris" in titles:
        out["worklist"] = peer(str(args.get("worklist", "ris")))
    return out
