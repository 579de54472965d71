"""Settings, states and events of a FIX session."""

from dataclasses import dataclass
from enum import Enum

import msgspec

from fix.codec import MAX_LENGTH, Message


class Role(Enum):
    """Who connects and sends the first Logon."""

    INITIATOR = "initiator"
    ACCEPTOR = "acceptor"


class SessionState(Enum):
    """Where a session stands.

    ::

        DISCONNECTED -> LOGON_SENT (initiator) | AWAITING_LOGON (acceptor)
                     -> ACTIVE <-> RECOVERING   (incoming messages are missing and asked for)
                     -> LOGOUT_SENT | AWAITING_CLOSE (Logout answered) -> ENDED -> DISCONNECTED
    """

    DISCONNECTED = "disconnected"
    AWAITING_LOGON = "awaiting logon"
    LOGON_SENT = "logon sent"
    ACTIVE = "active"
    RECOVERING = "recovering"
    LOGOUT_SENT = "logout sent"
    AWAITING_CLOSE = "awaiting close"
    ENDED = "ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionConfig:
    """What the two sides agreed on.

    Attributes
    ----------
    sender, target : str
        Our CompID and theirs.
    heartbeat_secs : int
        HeartBtInt of our Logon; an acceptor takes the initiator's. 0: no heartbeats.
    reset_on_logon : bool
        Initiator: ask for ResetSeqNumFlag=Y. An acceptor follows the initiator's wish only when it
        is set as well.
    sending_time_secs : int
        Largest accepted difference between SendingTime and our clock; 0 switches the check off.
    logon_secs, logout_secs, resend_secs : float
        How long to wait for an answer before the connection is given up.
    """

    sender: str
    target: str
    role: Role
    heartbeat_secs: int = 10
    reset_on_logon: bool = False
    sending_time_secs: int = 120
    logon_secs: float = 10.0
    logout_secs: float = 2.0
    resend_secs: float = 30.0
    max_length: int = MAX_LENGTH
    max_queue: int = 10_000


class LoggedOn(msgspec.Struct, frozen=True):
    """Both Logons are through; `recovering` when the peer's earlier messages are still awaited."""

    recovering: bool


class Recovered(msgspec.Struct, frozen=True):
    """All messages that were missing have come."""


class AppMessage(msgspec.Struct, frozen=True):
    """An application message, in sequence. `replayed` is PossDupFlag: its first copy got lost."""

    message: Message
    replayed: bool = False


class PeerReject(msgspec.Struct, frozen=True):
    """The peer refused a message of ours (35=3): its number, the tag and the reason in words."""

    ref_seq: int
    tag: int
    text: str


class LoggedOut(msgspec.Struct, frozen=True):
    """The peer sent Logout, with its text."""

    text: str


class Disconnect(msgspec.Struct, frozen=True):
    """The session is over: send what is outgoing, then close the connection."""

    reason: str


Event = LoggedOn | Recovered | AppMessage | PeerReject | LoggedOut | Disconnect
