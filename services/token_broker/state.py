"""The broker's parts, as its endpoints find them."""

from dataclasses import dataclass
from typing import TypedDict, cast

from fastapi import Request

from authcore.clock import Clock
from token_broker.client_auth import ClientAuthentication
from token_broker.delegation_list import DelegationList
from token_broker.exchange import Exchange
from token_broker.introspection import Introspection
from token_broker.revocation import PushedEvents, Revocation


@dataclass(frozen=True, slots=True)
class Broker:
    """The parts that endpoints use."""

    clients: ClientAuthentication
    introspection: Introspection
    exchange: Exchange
    revocation: Revocation
    pushed_events: PushedEvents
    delegations: DelegationList
    now: Clock


class State(TypedDict):
    """What the application's lifespan gives every request."""

    broker: Broker


def broker_of(request: Request) -> Broker:
    """Return the broker that serves this request."""
    return cast(Broker, request.state.broker)
