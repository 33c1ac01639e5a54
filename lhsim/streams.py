"""Random numbers by address.

A draw is a pure function of (seed, purpose, entity, index): "the cost of query 17 of agent 3".
Nothing is consumed, so neither the engine, the order of events, the number of workers nor an added
feature changes anyone else's draws, and two systems under one seed see the same message times and
the same demands: common random numbers by construction.

The generator is Philox4x32-10, a bijection of a 128-bit counter under a 64-bit key (Salmon, Moraes,
Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011). Key: the seed. Counter: the
index (64 bits), the entity (32 bits) and the purpose (32 bits).
"""

from __future__ import annotations

from enum import IntEnum
from typing import TypeAlias

import numpy as np

from lhsim._jit import jit
from lhsim.errors import InputError

MAX_SEED = 2**63 - 1

_LOW = np.uint64(0xFFFFFFFF)
_32 = np.uint64(32)
_11 = np.uint64(11)
_MULTIPLIER_0 = np.uint64(0xD2511F53)
_MULTIPLIER_1 = np.uint64(0xCD9E8D57)
_WEYL_0 = np.uint64(0x9E3779B9)
_WEYL_1 = np.uint64(0xBB67AE85)
_TO_UNIT = 2.0**-53

Word: TypeAlias = int | np.uint64
Block: TypeAlias = tuple[np.uint64, np.uint64, np.uint64, np.uint64]


class Purpose(IntEnum):
    """What a draw is for: a closed list. The numbers are part of every result and never change.

    The comment says which entity and index address a draw.
    """

    REPLICATION = 0  # 0, replication
    START = 1  # agent, 0
    MESSAGE_GAP = 2  # sender, message number
    TARGET = 3  # sender, message number
    PAUSE = 4  # sender, message number: closed loop, from delivery to the next message
    THINK = 5  # agent, wait request that brought messages
    MESSAGE_UP = 6  # sender, message number: network delay to the server
    REQUEST_UP = 7  # agent, wait request or connection attempt
    ANSWER_DOWN = 8  # agent, wait request or connection attempt
    PUSH_DOWN = 9  # sender, message number
    PARSE_MESSAGE = 10  # sender, message number
    PARSE_REQUEST = 11  # agent, wait request; push: poll of an agent that was refused, numbered
    # together with its connection attempts, and so QUERY_CPU, QUERY and RESPOND
    VALIDATE = 12  # sender, message number
    WRITE_CPU = 13  # sender, message number
    WRITE = 14  # sender, message number
    QUERY_CPU = 15  # agent, cycle
    QUERY = 16  # agent, cycle
    RESPOND = 17  # agent, wait request
    ACKNOWLEDGE = 18  # sender, message number
    CONNECT = 19  # agent, connection attempt
    SEND = 20  # sender, message number
    RELAY = 21  # sender, message number
    SESSION = 22  # agent, connection attempt
    RECONNECT = 23  # agent, connection attempt
    STALL_GAP = 24  # host, stall
    STALL_LENGTH = 25  # host, stall
    COLLECTION = 26  # loop, garbage collection
    SLOW = 27  # agent, 0
    LOSS_MESSAGE_UP = 28  # sender, message number
    LOSS_REQUEST_UP = 29  # agent, wait request or connection attempt
    LOSS_ANSWER_DOWN = 30  # agent, wait request or connection attempt
    LOSS_PUSH_DOWN = 31  # sender, message number
    NODE_OF_MESSAGE = 32  # sender, message number: the choice of a balancer
    NODE_OF_REQUEST = 33  # agent, wait request, connection attempt or poll: likewise
    NODE_OF_ANSWER = 34  # sender, message number: likewise, of the answer to an elicitation
    # agent, cycle: the jitter of the sleep after it; of a short poll: agent, wait request
    SLEEP = 35
    LOOK_UP = 36  # agent, cycle
    PRIORITY = 37  # sender, message number
    LINK = 38  # sender, message number: network delay between nodes
    # Of a request by which a consumer deletes what it has done. Its other steps are those of a
    # request: REQUEST_UP, PARSE_REQUEST and ANSWER_DOWN at 2**32 + wait request.
    DELETE_CPU = 41  # agent, wait request that brought the messages
    DELETE = 42  # agent, wait request that brought the messages
    HEARTBEAT = 43  # agent, connection attempt * 2**32 + heartbeat of its connection
    ANSWER = 44  # sender, message number: whether and how its target answers
    ANSWER_THINK = 45  # sender, message number
    ANSWER_UP = 46  # sender, message number
    PARSE_ANSWER = 47  # sender, message number
    VALIDATE_ANSWER = 48  # sender, message number
    LOSS_ANSWER_UP = 49  # sender, message number
    SLOWDOWN_GAP = 50  # host, slowdown
    SLOWDOWN_LENGTH = 51  # host, slowdown
    POST_FAILURE = 52  # sender, post * 2**48 + message number; so all steps of a post
    PAYLOAD = 55  # sender, message number: its size; of a broadcast, one for all
    ANSWER_PAYLOAD = 56  # client, request: the size of its answer
    RECORD = 57  # sender, 0: where in what was recorded it begins
    # Below, and above where a message is sent again, attempt * 2**32 stands in the message number.
    RETRY = 60  # sender, message number: the jitter of the back-off before an attempt
    REPLY_DOWN = 61  # sender, message number
    LOSS_REPLY_DOWN = 62  # sender, message number
    DISCONNECT = 63  # agent, fault that cuts connections


@jit
def philox(c0: Word, c1: Word, c2: Word, c3: Word, k0: Word, k1: Word) -> Block:
    """Return one block of Philox4x32-10: four 32-bit words (as uint64) for a counter and a key."""
    x0, x1, x2, x3 = np.uint64(c0), np.uint64(c1), np.uint64(c2), np.uint64(c3)
    key0, key1 = np.uint64(k0), np.uint64(k1)
    for _ in range(10):
        product0 = _MULTIPLIER_0 * x0
        product1 = _MULTIPLIER_1 * x2
        x0 = (product1 >> _32) ^ x1 ^ key0
        x1 = product1 & _LOW
        x2 = (product0 >> _32) ^ x3 ^ key1
        x3 = product0 & _LOW
        key0 = (key0 + _WEYL_0) & _LOW
        key1 = (key1 + _WEYL_1) & _LOW
    return x0, x1, x2, x3


@jit
def bits(seed: int, purpose: int, entity: int, index: int) -> np.uint64:
    """Return 64 random bits (as uint64) for an address."""
    key, at = np.uint64(seed), np.uint64(index)
    x0, x1, _, _ = philox(at & _LOW, at >> _32, entity, purpose, key & _LOW, key >> _32)
    return (x0 << _32) | x1


@jit
def uniform(seed: int, purpose: int, entity: int, index: int) -> float:
    """Return the draw in [0, 1), a multiple of 2**-53, for an address."""
    return float(bits(seed, purpose, entity, index) >> _11) * _TO_UNIT


def replication_seed(seed: int, replication: int) -> int:
    """Return the seed of one replication; a run repeats with it alone.

    Replications of neighbouring seeds share nothing, as ``seed + replication`` would.
    """
    return int(bits(check_seed(seed), Purpose.REPLICATION, 0, replication)) >> 11


def check_seed(seed: int) -> int:
    """Return `seed` when it is a whole number from 0 to 2**63 - 1, else raise InputError."""
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= MAX_SEED:
        allowed = f"a whole number from 0 to {MAX_SEED}"
        raise InputError(f"{seed!r} is out of range", key="seed", allowed=allowed)
    return seed
