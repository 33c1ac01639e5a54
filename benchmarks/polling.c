/* The yardstick's system in plain C: N pollers, one database connection, messages in a ring.
 *
 *     polling agents duration seed < parameters
 *
 * The parameters are `struct parameters` and two quantile tables of 2048 cells, in binary, as
 * plain_c.py writes them: the gaps between the messages of an agent, and the service times of a
 * query. What is simulated is docs/reference/models.md for this one system, with the same draws and the same
 * order of events (time, then sequence in which they were scheduled), so that each figure equals
 * lhsim's to the bit. -ffp-contract=off keeps a * b + c from being rounded differently.
 *
 * There are three kinds of events, and each has the structure that suits it:
 *   - the completion of the one query in service: a variable;
 *   - the end of a sleep: all sleeps are equally long, so they end in the order in which they began,
 *     and a ring buffer holds them;
 *   - the next message of each agent (the first time: its start): the calendar of plain.h.
 *
 * Prints one line of JSON; "seconds" is processor time from the first allocation to the last event.
 */
#include "plain.h"

enum { LIMIT = 64, QUERY = 16 }; /* a purpose of draws, as in lhsim/streams.py */

struct parameters { double sleep, timeout, limit, start_over, mean_gap; };
struct poller { double asked; int32_t first, last; uint32_t queries; }; /* mailbox: first to last */
struct message { double created; int32_t next; };
struct sleeper { double until; uint64_t order; int32_t agent; };
struct service { double end; uint64_t order; int32_t agent, found; double created[LIMIT]; };
struct ring { int32_t first, count; }; /* of at most `agents` entries */

static struct parameters p;
static struct cell costs[CELLS];

static struct poller *pollers;
static struct message *messages; /* used and free ones; a list of the free */
static int32_t free_message = NONE, all_messages;
static struct sleeper *sleepers;
static struct ring asleep;
static int32_t *waiting;
static struct ring line;
static struct service services[2], *serving; /* the one in service, and the one just completed */
static int busy;

static uint64_t queries, wasted, timeouts;
static double busy_time;

/* -- the rings -------------------------------------------------------------------------------- */

static int32_t append(struct ring *ring) /* returns the place of the new last entry */
{
    int64_t place = (int64_t)ring->first + ring->count++;
    return (int32_t)(place < agents ? place : place - agents);
}

static int32_t remove_first(struct ring *ring) /* returns its place */
{
    int32_t place = ring->first;
    ring->first = place + 1 < agents ? place + 1 : 0;
    ring->count--;
    return place;
}

/* -- the database connection ------------------------------------------------------------------ */

static void start_service(int32_t agent) /* reads the mailbox: an answer is a snapshot */
{
    struct poller *poller = &pollers[agent];
    double cost = draw(costs, QUERY, agent, poller->queries++);
    serving->agent = agent;
    serving->end = now + cost;
    serving->order = scheduled++;
    serving->found = 0;
    while (poller->first != NONE && serving->found < (int)p.limit) {
        struct message *message = &messages[poller->first];
        int32_t next = message->next;
        serving->created[serving->found++] = message->created;
        message->next = free_message;
        free_message = poller->first;
        poller->first = next;
    }
    busy = 1;
    busy_time += serving->end <= duration ? cost : duration - now;
}

static void query(int32_t agent)
{
    queries++;
    if (busy)
        waiting[append(&line)] = agent;
    else
        start_service(agent);
}

static void ask(int32_t agent)
{
    pollers[agent].asked = now;
    query(agent);
}

static void complete(void) /* the next service starts before the owner of this one goes on */
{
    struct service *done = serving;
    busy = 0;
    serving = &services[serving == &services[0]];
    if (line.count)
        start_service(waiting[remove_first(&line)]);
    if (done->found) {
        for (int i = 0; i < done->found; i++)
            record(done->created[i], now - done->created[i]);
        ask(done->agent);
    } else {
        wasted++;
        sleepers[append(&asleep)] = (struct sleeper){now + p.sleep, scheduled++, done->agent};
    }
}

/* -- the agents ------------------------------------------------------------------------------- */

static void wake(void)
{
    int32_t agent = sleepers[remove_first(&asleep)].agent;
    int32_t soon = asleep.first + 8; /* with many agents most of the time is waiting for memory */
    __builtin_prefetch(&pollers[sleepers[soon < agents ? soon : 0].agent], 1);
    if (now - pollers[agent].asked < p.timeout) {
        query(agent);
    } else {
        timeouts++;
        ask(agent);
    }
}

static void post(int32_t target) /* a message, created now, to the mailbox of its target */
{
    if (free_message == NONE) {
        int32_t more = all_messages ? 2 * all_messages : 1024;
        messages = realloc(messages, (size_t)more * sizeof *messages);
        for (int32_t i = all_messages; i < more; i++)
            messages[i].next = i + 1 < more ? i + 1 : NONE;
        free_message = all_messages;
        all_messages = more;
    }
    struct poller *poller = &pollers[target];
    int32_t new = free_message;
    free_message = messages[new].next;
    messages[new] = (struct message){now, NONE};
    if (poller->first == NONE)
        poller->first = new;
    else
        messages[poller->last].next = new;
    poller->last = new;
}

static void send(int32_t agent) /* or start: the agent asks for messages, and plans its first */
{
    if (senders[agent].sent == NOT_STARTED) {
        ask(agent);
    } else {
        created++;
        post(agent + 1 < agents ? agent + 1 : 0);
    }
    plan_next(agent);
}

/* -- the run ---------------------------------------------------------------------------------- */

static void set_up(void)
{
    pollers = malloc((size_t)agents * sizeof *pollers);
    sleepers = calloc((size_t)agents, sizeof *sleepers);
    waiting = malloc((size_t)agents * sizeof *waiting);
    serving = services;
    for (int32_t agent = 0; agent < agents; agent++)
        pollers[agent] = (struct poller){0.0, NONE, NONE, 0};
    plan_starts(p.mean_gap, p.start_over);
}

static void run(void)
{
    for (;;) {
        int32_t sender = next_sender();
        double time = senders[sender].time;
        uint64_t order = senders[sender].order;
        enum { SEND, COMPLETE, WAKE } event = SEND;
        if (busy && before(serving->end, serving->order, time, order)) {
            time = serving->end;
            order = serving->order;
            event = COMPLETE;
        }
        const struct sleeper *sleeper = &sleepers[asleep.first];
        if (asleep.count && before(sleeper->until, sleeper->order, time, order)) {
            time = sleeper->until;
            event = WAKE;
        }
        if (time >= duration)
            return;
        now = time;
        if (event == SEND)
            send(sender);
        else if (event == COMPLETE)
            complete();
        else
            wake();
    }
}

static void print(double seconds)
{
    print_latencies(created + delivered + queries + wasted, seconds);
    printf(", \"queries\": %" PRIu64 ", \"wasted\": %" PRIu64 ", \"timeouts\": %" PRIu64
           ", \"busy\": %.17g}\n",
           queries, wasted, timeouts, busy_time);
}

int main(int argc, char **argv)
{
    if (!has_arguments(argc, argv))
        return 2;
    size_t read = fread(&p, sizeof p, 1, stdin) + fread(gaps, sizeof gaps, 1, stdin) +
                  fread(costs, sizeof costs, 1, stdin);
    if (read != 3 || p.limit > LIMIT) {
        fprintf(stderr, "%s: no parameters, or answers of more than %d messages\n", argv[0], LIMIT);
        return 2;
    }
    double begin = clock_now();
    set_up();
    run();
    print(clock_now() - begin);
    return 0;
}
