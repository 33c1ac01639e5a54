"""Errors in the balancer, and in what its nodes hold and send to each other."""

import numpy as np
from planting import around, instead_of, planted

from lhsim import rules
from lhsim.models import balancer, incidents
from lhsim.models.balancer import Balancer
from lhsim.models.bridge import Bridge
from lhsim.models.polling_processes import Polling
from lhsim.models.push_processes import Push
from lhsim.models.replies import Failed
from lhsim.models.request_processes import Answering
from lhsim.streams import Purpose

# The rules


@around(balancer, "choose_node", system="nodes, pushed by hash")
def a_client_is_hashed_by_the_next_number(original, rule, client, *rest):
    return original(rule, client + 1, *rest)


@around(balancer, "choose_node", system="nodes, pushed")
def of_equal_nodes_the_lowest_number_is_chosen(original, rule, client, _turn, *rest):
    return original(rule, client, 0, *rest)


def _with_draw(patch, wrong):
    def choose(rule, client, turn, loads, up, alive, seed, *address):
        if rule != rules.TWO_CHOICES or alive < len(loads):
            return rules.choose_node(rule, client, turn, loads, up, alive, seed, *address)
        return wrong(rules.uniform(seed, *address), loads)

    patch.setattr(balancer, "choose_node", choose)


@planted(system="nodes, asked by two choices")
def of_two_equal_nodes_the_second_is_chosen(patch):
    def wrong(u, loads):
        others = len(loads) - 1
        first, second = divmod(int(u * len(loads) * others), others)
        second += second >= first
        return first if loads[first] < loads[second] else second

    _with_draw(patch, wrong)


@planted(system="nodes, asked by two choices")
def the_fuller_of_two_nodes_is_chosen(patch):
    def wrong(u, loads):
        return rules.less_loaded_of_two(u, -loads, np.ones(len(loads), np.int64), len(loads))

    _with_draw(patch, wrong)


@planted(system="nodes, asked by two choices")
def two_choices_may_be_one_node(patch):
    def wrong(u, loads):
        pair = int(u * len(loads) ** 2)
        first, second = divmod(pair, len(loads))
        return second if loads[second] < loads[first] else first

    _with_draw(patch, wrong)


@around(Balancer, "choose", system="nodes, pushed in turns")
def connections_and_messages_have_turns_of_their_own(original, self, client, purpose, *address):
    turn = self._turn
    node = original(self, client, purpose, *address)
    if purpose == Purpose.NODE_OF_REQUEST:
        self._turn = turn
    return node


@around(Balancer, "choose", system="nodes, pushed, kept")
def affinity_lasts_for_one_arrival(original, self, client, *address):
    node = original(self, client, *address)
    if self._homes is not None:
        self._homes.pop(client, None)
    return node


@around(Balancer, "choose", system="nodes, pushed, kept")
def messages_and_connections_are_kept_apart(original, self, client, purpose, *address):
    return original(self, 2 * client + (purpose == Purpose.NODE_OF_MESSAGE), purpose, *address)


def at_the_next_address(purpose, system):
    """Let a choice of a kind be drawn at the address of the next one."""

    def choose(original, self, client, for_what, entity, index):
        return original(self, client, for_what, entity, index + (for_what == purpose))

    choose.__name__ = f"a_choice_is_drawn_at_the_next_address_{purpose.name}"
    around(Balancer, "choose", system=system)(choose)


at_the_next_address(Purpose.NODE_OF_MESSAGE, "nodes, pushed at random")
at_the_next_address(Purpose.NODE_OF_REQUEST, "nodes, polled at random")
at_the_next_address(Purpose.NODE_OF_ANSWER, "nodes, elicitations at random")


# What nodes hold


@instead_of(Balancer, "enter", system="nodes, pushed")
def a_node_does_not_hold_messages(self, node):
    pass


@around(Balancer, "_choose", system="nodes, polled")
def a_node_does_not_hold_connections(original, self, *arguments):
    connections, self._connections = self._connections, self._connections * 0
    node = original(self, *arguments)
    self._connections = connections
    return node


@around(Bridge, "acknowledge", system="nodes, pushed")
def a_message_leaves_its_node_before_it_is_answered(original, self, message, *, stored):
    self.balancer.leave(message.node)
    yield from original(self, message, stored=stored)
    self.balancer.enter(message.node)


@around(Bridge, "admit", system="nodes, a limit of their rate")
def a_message_that_is_not_let_in_stays_on_its_node(original, self, message):
    let_in = original(self, message)
    if not let_in:
        self.balancer.enter(message.node)
    return let_in


@around(Push, "_enter", system="nodes, a line")
def who_waits_in_line_is_not_held(original, self, agent, attempt, node):
    if self._is_full(node):
        self.bridge.balancer.leave(node)
        let_in = yield from original(self, agent, attempt, node)
        self.bridge.balancer.enter(node)
        return let_in
    return (yield from original(self, agent, attempt, node))


def not_held(system, *purposes):
    """Let what a node does for some purposes be done for nobody that it holds."""

    def compute(original, self, agent, stage, entity, index, node=0, *size):
        if stage is None or stage.purpose not in purposes:
            yield from original(self, agent, stage, entity, index, node, *size)
            return
        self.balancer.leave(node)
        yield from original(self, agent, stage, entity, index, node, *size)
        self.balancer.enter(node)

    compute.__name__ = f"a_node_does_not_hold_what_it_does_for_{purposes[0].name}"
    around(Bridge, "compute", system=system)(compute)


not_held("nodes, fallback", Purpose.PARSE_REQUEST, Purpose.QUERY_CPU, Purpose.RESPOND)
not_held("nodes, elicitations", Purpose.PARSE_ANSWER, Purpose.VALIDATE_ANSWER)


@around(Bridge, "choose_node", system="nodes, elicitations")
def an_answer_goes_to_the_node_that_asked(original, self, agent, purpose, entity, index):
    if purpose == Purpose.NODE_OF_ANSWER:
        return 0
    return original(self, agent, purpose, entity, index)


@instead_of(Push, "_is_full", system="nodes, few places")
def a_limit_of_connections_is_that_of_all_nodes(self, _node):
    limit = self.server.connections
    return limit is not None and self.bridge.memory.connections >= limit


@instead_of(Polling, "_accept", system="nodes, polled, few places")
def a_limit_of_requests_is_that_of_all_nodes(self, node):
    limit = self.server.connections
    if limit is not None and self.bridge.memory.connections >= limit:
        self.refused += 1
        return False
    self.bridge.memory.connect(node)
    return True


@around(Polling, "_node_of", system="nodes, polled, few places")
def a_request_that_is_refused_takes_no_turn(original, self, agent, request):
    turn = self.bridge.balancer._turn
    node = original(self, agent, request)
    limit = self.server.connections
    if limit is not None and self.bridge.memory.by_node[node] >= limit:
        self.bridge.balancer._turn = turn
    return node


@around(Answering, "_occupy", system="nodes, asked, workers")
def workers_are_those_of_all_nodes(original, self, workers, _node):
    yield from original(self, workers, 0)


# Loops, and what crosses


@instead_of(Bridge, "loop", system="nodes, pushed by hash")
def clients_of_a_node_are_on_its_loops_by_their_own_numbers(self, agent, node=0):
    loops = len(self.loops) // self.balancer.count
    return self.loops[node * loops + agent // self.agents_per_connection % loops]


def handing_over(*, link=True, relay_first=False, to=None):
    def hand_over(self, message):
        bridge, sender, target, number = (
            self.bridge, message.sender, message.target, message.number
        )  # fmt: skip
        connection = self._connections.get(bridge.client(target))
        node = message.node if connection is None else connection.node
        if to is not None and connection is None:
            node = to
        crosses = bridge.loop(sender, message.node) is not bridge.loop(target, node)
        if relay_first and crosses:
            yield from bridge.compute(target, self._relay, sender, number, node)
        if link and node != message.node:
            yield from bridge.delay(self._link, sender, number)
        if not relay_first and crosses:
            yield from bridge.compute(target, self._relay, sender, number, node)
        yield from self.push(message)

    return hand_over


@planted(system="nodes, pushed")
def a_message_that_crosses_takes_no_link(patch):
    patch.setattr(Push, "hand_over", handing_over(link=False))


@planted(system="nodes, pushed")
def a_message_is_relayed_before_it_crosses(patch):
    patch.setattr(Push, "hand_over", handing_over(relay_first=True))


@planted(system="nodes, few places")
def a_target_without_a_connection_is_on_the_first_node(patch):
    patch.setattr(Push, "hand_over", handing_over(to=0))


@around(Push, "hand_over", system="nodes, broadcasts")
def copies_of_a_broadcast_set_out_from_the_first_node(original, self, message):
    node = message.node
    if message.number % self.bridge.workload.copies(self.bridge.agents):
        message.node = 0
    yield from original(self, message)
    message.node = node


@around(Push, "_send_queued", system="nodes, pushed")
def a_message_is_sent_by_its_own_node(original, self, message, connection):
    node, connection.node = connection.node, message.node
    steps = original(self, message, connection)
    first = next(steps, None)
    connection.node = node
    if first is not None:
        yield first
        yield from steps


# Failures


@instead_of(Push, "fail", system="nodes, one fails")
def a_failure_leaves_connections_open(self, _node):
    pass


@around(Push, "fail", system="nodes, one fails")
def a_failure_cuts_the_connections_of_the_next_node(original, self, node):
    original(self, (node + 1) % self.bridge.balancer.count)


@instead_of(Balancer, "is_down", system="nodes, one fails")
def a_balancer_does_not_notice_a_failure(self, _node):
    return False


@around(Balancer, "is_down", system="nodes, one fails, kept")
def a_client_whose_node_has_failed_waits_for_it(original, self, node):
    kept = self._homes is not None and node in self._homes.values()
    return not kept and original(self, node)


@instead_of(incidents, "_fail", system="nodes, one fails, retries")
def a_failure_spares_who_waits_for_a_reply(_bridge, server, node):
    server.fail(node)


@instead_of(incidents, "_fail", system="nodes, one fails, retries")
def a_failure_cuts_who_waits_at_any_node(bridge, server, node):
    for reply in list(bridge.waiting.replies):
        reply.give(Failed.CUT)
    server.fail(node)


@around(Bridge, "_leave", system="nodes, one fails, retries, slow replies")
def a_failure_cuts_replies_on_their_way(original, self, message):
    reply, message.reply = message.reply, None
    original(self, message)
    message.reply = reply


@around(Push, "fail", system="nodes, one fails, a line")
def a_failure_lets_who_waits_in_line_wait(original, self, node):
    line, self._lines[node] = self._lines[node], type(self._lines[node])()
    original(self, node)
    self._lines[node].extend(line)
