"""The compiled engine: the meaning of `lhsim.models` as state machines in machine code.

============ ==========================================================================
`state`      what is in memory: records of agents, messages, stations, and their phases
`queue`      which event is next
`lists`      what waits in line, or may leave it
`log`        the events that the store keeps
`ledger`     messages: how they come and how they end
`store`      writes, alone or in batches, and what has expired in the store
`stations`   delays and services: how a phase begins, and how a service ends
`senders`    the sending side of the agents
`replies`    what clients wait for, and how their patience ends
`clients`    senders that try again
`cycles`     what a cycle of a request for messages does
`impatient`  pollers that give a request up, and what becomes of it
`incidents`  faults that cut connections
`polling`    what a message and an agent of the polling server do next
`push`       what a message and an agent of the push server do next
`kernel`     the loop over the events: the code that is compiled
`building`   compiles kernels in processes of their own
`setup`      what a system is in these terms
`engine`     runs a kernel, and reads the results out of the state
============ ==========================================================================

A SimPy process becomes an *entity*, a number with a *phase*: what it waits for. When that is over,
its protocol says which phase comes next. Only what takes time is an event, as with SimPy, and the
events come in the same order: by time, and then in the order in which they were scheduled.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
