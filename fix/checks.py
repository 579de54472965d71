"""What makes a message unacceptable to a session, apart from its place in the sequence."""

from core.errors import FixFieldError
from fix import tags
from fix.codec import Message
from fix.events import SessionConfig, SessionState

_NS = 1_000_000_000


def identity_fault(message: Message, config: SessionConfig, now_ns: int) -> FixFieldError | None:
    """Return what is wrong with the CompIDs or the SendingTime of a message, if anything."""
    for tag, name in ((tags.SENDER, config.target), (tags.TARGET, config.sender)):
        if message.get(tag) != name.encode("latin-1"):
            return FixFieldError(tag, tags.COMP_ID_PROBLEM, "CompID problem")
    try:
        sent = message.time_ns(tags.SENDING_TIME)
    except FixFieldError as error:
        return error
    limit = config.sending_time_secs * _NS
    if limit and abs(now_ns - sent) > limit:
        text = "SendingTime accuracy problem"
        return FixFieldError(tags.SENDING_TIME, tags.SENDING_TIME_ACCURACY, text)
    return None


def logon_problem(message: Message, config: SessionConfig) -> str:
    """Return what is wrong with the fields of a Logon; empty when nothing is."""
    interval = message.get(tags.HEART_BT_INT)
    if message.fault is not None:
        return str(message.fault)
    if message.get(tags.ENCRYPT_METHOD) != b"0":
        return "EncryptMethod must be 0"
    if not interval.isdigit() or len(interval) > 4:
        return "HeartBtInt must be a number of seconds"
    if message.flag(tags.RESET_SEQ_NUM) != config.reset_on_logon:
        return "ResetSeqNumFlag is not as agreed"
    if config.reset_on_logon and message.integer(tags.MSG_SEQ_NUM) != 1:
        return "ResetSeqNumFlag needs MsgSeqNum 1"
    return ""


def check_origin(message: Message) -> None:
    """Check that a possible duplicate tells when it was first sent, and not after this copy."""
    if message.time_ns(tags.ORIG_SENDING_TIME) > message.time_ns(tags.SENDING_TIME):
        text = "OrigSendingTime after SendingTime"
        raise FixFieldError(tags.ORIG_SENDING_TIME, tags.SENDING_TIME_ACCURACY, text)


def new_number(message: Message, least: int) -> int:
    """NewSeqNo of a SequenceReset; raises FixFieldError when it is below `least`."""
    following = message.integer(tags.NEW_SEQ_NO)
    if following < least:
        raise FixFieldError(tags.NEW_SEQ_NO, tags.VALUE_INCORRECT, "must not go back")
    return following


def patience_secs(state: SessionState, config: SessionConfig) -> float:
    """How long `state` may last; 0 is for ever."""
    return {
        SessionState.AWAITING_LOGON: config.logon_secs,
        SessionState.LOGON_SENT: config.logon_secs,
        SessionState.RECOVERING: config.resend_secs,
        SessionState.LOGOUT_SENT: config.logout_secs,
        SessionState.AWAITING_CLOSE: config.logout_secs,
    }.get(state, 0.0)
