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
 *   - the next message of each agent (the first time: its start): a calendar queue, a wheel of one
 *     sorted list per short interval of time, on average with about one agent in each.
 *
 * Prints one line of JSON; "seconds" is processor time from the first allocation to the last event.
 */
#define _POSIX_C_SOURCE 199309L /* clock_gettime */
#include <inttypes.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CELLS = 2048, BODY = 1024, OCTAVES = 32, STEPS = 16, TAIL = OCTAVES * STEPS + 1 };
enum { BUCKETS = 4096, BUCKET_STEPS = 64, LOWEST = -31, BATCHES = 20, LIMIT = 64 };
enum { START = 1, MESSAGE_GAP = 2, QUERY = 16 }; /* purposes of draws, as in lhsim/streams.py */
enum { NONE = -1, NOT_STARTED = -1 };

struct cell { double start, width; };
struct parameters { double sleep, timeout, limit, start_over, mean_gap; };
struct poller { double asked; int32_t first, last; uint32_t queries; }; /* mailbox: first to last */
struct sender { double time; uint64_t order; int32_t next, sent; };     /* next in its slot */
struct message { double created; int32_t next; };
struct sleeper { double until; uint64_t order; int32_t agent; };
struct service { double end; uint64_t order; int32_t agent, found; double created[LIMIT]; };
struct ring { int32_t first, count; }; /* of at most `agents` entries */

static struct parameters p;
static struct cell gaps[CELLS], costs[CELLS];
static int32_t agents;
static double duration;
static uint64_t seed;

static double now;
static uint64_t scheduled; /* events so far: the next one's place in the order */
static struct poller *pollers;
static struct sender *senders;
static struct message *messages; /* used and free ones; a list of the free */
static int32_t free_message = NONE, all_messages;
static struct sleeper *sleepers;
static struct ring asleep;
static int32_t *waiting;
static struct ring line;
static struct service services[2], *serving; /* the one in service, and the one just completed */
static int busy;
static int32_t *wheel; /* first sender of each slot */
static uint64_t slots, tick;
static double ticks_per_second;

static uint64_t created, delivered, queries, wasted, timeouts, counts[BATCHES][BUCKETS];
static double sums[BATCHES], shortest = INFINITY, longest = -INFINITY, busy_time;

/* -- draws ------------------------------------------------------------------------------------ */

static double uniform(uint32_t purpose, uint32_t entity, uint64_t index) /* Philox4x32-10 */
{
    uint32_t x0 = (uint32_t)index, x1 = (uint32_t)(index >> 32), x2 = entity, x3 = purpose;
    uint32_t key0 = (uint32_t)seed, key1 = (uint32_t)(seed >> 32);
    for (int round = 0; round < 10; round++) {
        uint64_t product0 = (uint64_t)0xD2511F53 * x0, product1 = (uint64_t)0xCD9E8D57 * x2;
        x0 = (uint32_t)(product1 >> 32) ^ x1 ^ key0;
        x1 = (uint32_t)product1;
        x2 = (uint32_t)(product0 >> 32) ^ x3 ^ key1;
        x3 = (uint32_t)product0;
        key0 += 0x9E3779B9;
        key1 += 0xBB67AE85;
    }
    return (double)((((uint64_t)x0 << 32) | x1) >> 11) * 0x1p-53;
}

static double look_up_tail(const struct cell *cells, double t, int upper)
{
    int exponent, index = 0;
    double mantissa = frexp(t, &exponent), fraction = t * 0x1p32;
    if (exponent > -OCTAVES && t != 0.0) {
        double position = (mantissa - 0.5) * (2 * STEPS);
        index = 1 + (OCTAVES - 1 + exponent) * STEPS + (int)position;
        fraction = position - (int)position;
    }
    if (upper) {
        index = CELLS - 1 - index;
        fraction = 1.0 - fraction;
    }
    return cells[index].start + fraction * cells[index].width;
}

static double draw(const struct cell *cells, uint32_t purpose, int32_t agent, uint32_t index)
{
    double u = uniform(purpose, (uint32_t)agent, index), scaled = u * BODY;
    int whole = (int)scaled;
    if (whole == 0)
        return look_up_tail(cells, scaled, 0);
    if (whole == BODY - 1)
        return look_up_tail(cells, ((1 - 0x1p-53) - u) * BODY, 1);
    const struct cell *cell = &cells[TAIL - 1 + whole];
    return cell->start + (scaled - whole) * cell->width;
}

/* -- the calendar of the senders -------------------------------------------------------------- */

static uint64_t tick_of(double time) { return (uint64_t)(time * ticks_per_second); }

static void plan(int32_t agent, double time)
{
    struct sender *sender = &senders[agent];
    sender->time = time;
    sender->order = scheduled++;
    int32_t *place = &wheel[tick_of(time) & (slots - 1)];
    while (*place != NONE && senders[*place].time <= time) /* equal times: first come, first out */
        place = &senders[*place].next;
    sender->next = *place;
    *place = agent;
}

/* The sender whose turn is next; it is the first in its slot, and `tick` stands there. */
static int32_t next_sender(void)
{
    for (;; tick++) {
        int32_t agent = wheel[tick & (slots - 1)];
        if (agent != NONE && tick_of(senders[agent].time) == tick)
            return agent;
    }
}

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

static void record(double sent_at, double latency)
{
    int exponent, bucket = 0, batch = (int)(sent_at / duration * BATCHES);
    double mantissa = frexp(latency, &exponent);
    if (latency >= 0x1p-31)
        bucket = (exponent - 1 - LOWEST) * BUCKET_STEPS + (int)((mantissa - 0.5) * 128);
    counts[batch][bucket]++;
    sums[batch] += latency;
    shortest = fmin(shortest, latency);
    longest = fmax(longest, latency);
}

static void complete(void) /* the next service starts before the owner of this one goes on */
{
    struct service *done = serving;
    busy = 0;
    serving = &services[serving == &services[0]];
    if (line.count)
        start_service(waiting[remove_first(&line)]);
    if (done->found) {
        delivered += (uint64_t)done->found;
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
    struct sender *sender = &senders[agent];
    wheel[tick & (slots - 1)] = sender->next;
    if (sender->sent++ == NOT_STARTED) {
        ask(agent);
    } else {
        created++;
        post(agent + 1 < agents ? agent + 1 : 0);
    }
    plan(agent, now + draw(gaps, MESSAGE_GAP, agent, (uint32_t)sender->sent));
}

/* -- the run ---------------------------------------------------------------------------------- */

static void set_up(void)
{
    pollers = malloc((size_t)agents * sizeof *pollers);
    senders = malloc((size_t)agents * sizeof *senders);
    sleepers = calloc((size_t)agents, sizeof *sleepers);
    waiting = malloc((size_t)agents * sizeof *waiting);
    serving = services;
    for (slots = 1; slots < (uint64_t)agents; slots *= 2) {}
    ticks_per_second = agents / p.mean_gap; /* messages of all agents */
    wheel = malloc(slots * sizeof *wheel);
    memset(wheel, 0xFF, slots * sizeof *wheel); /* NONE */
    for (int32_t agent = 0; agent < agents; agent++) {
        pollers[agent] = (struct poller){0.0, NONE, NONE, 0};
        senders[agent].sent = NOT_STARTED;
        plan(agent, p.start_over * uniform(START, (uint32_t)agent, 0));
    }
}

static int before(double time, uint64_t order, double other, uint64_t others_order)
{
    return time < other || (time == other && order < others_order);
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

static double clock_now(void) /* [s] */
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void print(double seconds)
{
    uint64_t checksum = 0; /* of the histogram: each bucket times its number, modulo 2^64 */
    for (int i = 0; i < BATCHES * BUCKETS; i++)
        checksum += (uint64_t)i * counts[i / BUCKETS][i % BUCKETS];
    uint64_t events = created + delivered + queries + wasted;
    printf("{\"events\": %" PRIu64 ", \"seconds\": %.9f, \"latencies\": [", events, seconds);
    for (int batch = 0; batch < BATCHES; batch++)
        printf("%s%.17g", batch ? ", " : "", sums[batch]);
    printf("], \"created\": %" PRIu64 ", \"delivered\": %" PRIu64 ", \"queries\": %" PRIu64
           ", \"wasted\": %" PRIu64 ", \"timeouts\": %" PRIu64 ", \"histogram\": %" PRIu64
           ", \"busy\": %.17g, \"shortest\": %.17g, \"longest\": %.17g}\n",
           created, delivered, queries, wasted, timeouts, checksum, busy_time, shortest, longest);
}

int main(int argc, char **argv)
{
    if (argc != 4 || (agents = (int32_t)atol(argv[1])) < 1 || !((duration = atof(argv[2])) > 0)) {
        fprintf(stderr, "usage: %s agents duration seed < parameters\n", argv[0]);
        return 2;
    }
    seed = strtoull(argv[3], NULL, 10);
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
