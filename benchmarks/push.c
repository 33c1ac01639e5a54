/* The default push system in plain C: N agents in a ring, each with a connection to the server.
 *
 *     push agents duration seed < parameters
 *
 * The parameters are `struct parameters`, quantile tables of 2048 cells, the curve of the warmth
 * and the stalls, in binary, as plain_c.py writes them. What is simulated is
 * docs/reference/models.md for this one system, with the same draws and the same order of events
 * (time, then sequence in which they were scheduled), so that each figure equals lhsim's to the
 * bit. -ffp-contract=off keeps a * b + c from being rounded differently.
 *
 * There are three kinds of events, and each has the structure that suits it:
 *   - the end of a service: a heap, which never holds more than there are servers;
 *   - the end of a way over the network: each direction always takes as long, so that what sets
 *     out first arrives first, and a ring buffer holds them;
 *   - the next message of each agent (the first time: its start): the calendar of plain.h.
 *
 * Prints one line of JSON; "seconds" is processor time from the first allocation to the last event.
 */
#include "plain.h"

/* What takes time at a station. The first six are those of a message; its costs are numbered so. */
enum { PARSE, VALIDATE, WRITE_CPU, WRITE, SEND, ACKNOWLEDGE, COSTS, CONNECT = COSTS, STAGES };
enum { COLLECTION = 26, CONNECTED = -2, MOST_STATIONS = UINT16_MAX };
/* Of the draws of each stage, as in lhsim/streams.py. */
static const uint32_t purposes[STAGES] = {10, 12, 13, 14, 20, 18, 19};

struct parameters {
    double up, down, start_over, mean_gap, memory; /* the last: work that halves the cold [s] */
    int64_t loops, connections, points, stalls, collect_every; /* points of the warmth's curve */
};
struct event { double time; uint64_t order; int32_t place; uint16_t phase, station; };
struct ring { struct event *events; uint64_t first, count, room; }; /* room: a power of two */
struct message { double created, stored, costs[COSTS]; int32_t sender, next, alive, parked; };
struct station {
    struct ring line;
    int64_t servers, busy;
    double busy_time, work_time, cold, idle_since; /* the last three: of a loop */
    int64_t operations;
};

static struct parameters p;
static struct cell tables[STAGES][CELLS], collections[CELLS];
static int takes_time[STAGES]; /* what costs nothing takes no event */
static double *warmth_gaps, *warmth_excess, *warmth_slopes, *stall_starts, *stall_ends;
static int64_t first_stall; /* that has not ended */

static struct station *stations; /* the loops, and then the store */
static struct event *services; /* a heap */
static uint64_t in_service;
static struct ring up, down;
static struct message *messages; /* used and free ones; a list of the free */
static int32_t free_message = NONE, all_messages;
/* Of each agent: CONNECTED, or the last of the messages that wait for that, a circular list. */
static int32_t *mailboxes;

static uint64_t attempts, stored, sent;
static double to_store, from_store;

/* -- the queues of events --------------------------------------------------------------------- */

static inline int is_earlier(const struct event *one, const struct event *other)
{
    return before(one->time, one->order, other->time, other->order);
}

static void append(struct ring *ring, struct event new)
{
    if (ring->count == ring->room) {
        uint64_t room = ring->room ? 2 * ring->room : 16;
        struct event *events = malloc(room * sizeof *events);
        for (uint64_t i = 0; i < ring->count; i++)
            events[i] = ring->events[(ring->first + i) & (ring->room - 1)];
        free(ring->events);
        *ring = (struct ring){events, 0, ring->count, room};
    }
    ring->events[(ring->first + ring->count++) & (ring->room - 1)] = new;
}

static inline const struct event *first_of(const struct ring *ring)
{
    return &ring->events[ring->first & (ring->room - 1)];
}

static struct event remove_first(struct ring *ring)
{
    ring->count--;
    return ring->events[ring->first++ & (ring->room - 1)];
}

static void add_service(struct event new)
{
    uint64_t place = in_service++;
    for (; place && is_earlier(&new, &services[(place - 1) / 2]); place = (place - 1) / 2)
        services[place] = services[(place - 1) / 2];
    services[place] = new;
}

static struct event remove_service(void)
{
    struct event first = services[0], last = services[--in_service];
    uint64_t place = 0;
    for (uint64_t child = 1; child < in_service; place = child, child = 2 * child + 1) {
        if (child + 1 < in_service && is_earlier(&services[child + 1], &services[child]))
            child++;
        if (!is_earlier(&services[child], &last))
            break;
        services[place] = services[child];
    }
    services[place] = last;
    return first;
}

/* -- the messages ----------------------------------------------------------------------------- */

static int32_t create(int32_t agent) /* all its draws at once: they do not wait for each other */
{
    if (free_message == NONE) {
        int32_t more = all_messages ? 2 * all_messages : 1024;
        messages = realloc(messages, (size_t)more * sizeof *messages);
        for (int32_t i = all_messages; i < more; i++)
            messages[i].next = i + 1 < more ? i + 1 : NONE;
        free_message = all_messages;
        all_messages = more;
    }
    int32_t place = free_message, number = senders[agent].sent;
    struct message *message = &messages[place];
    free_message = message->next;
    message->created = now;
    message->sender = agent;
    message->alive = 2; /* the request, which is answered, and what is delivered */
    message->parked = 0;
    for (int i = 0; i < COSTS; i++)
        message->costs[i] = uniform(purposes[i], (uint32_t)agent, (uint32_t)number);
    for (int i = 0; i < COSTS; i++)
        message->costs[i] = look_up(tables[i], message->costs[i]);
    created++;
    return place;
}

static void release(int32_t place)
{
    if (--messages[place].alive == 0) {
        messages[place].next = free_message;
        free_message = place;
    }
}

static int32_t target_of(int32_t place)
{
    int32_t target = messages[place].sender + 1;
    return target < agents ? target : 0;
}

static void deliver(int32_t place)
{
    const struct message *message = &messages[place];
    record(message->created, now - message->created);
    to_store += message->stored - message->created;
    from_store += now - message->stored;
    release(place);
}

/* -- what services cost ----------------------------------------------------------------------- */

static double excess_after(double gap) /* of an operation, by how long its loop was idle */
{
    int64_t point = 0;
    while (point < p.points && warmth_gaps[point] <= gap)
        point++;
    if (point == 0)
        return warmth_excess[0];
    if (point == p.points)
        return warmth_excess[point - 1];
    return warmth_excess[point - 1] + (gap - warmth_gaps[point - 1]) * warmth_slopes[point - 1];
}

static double operation_cost(struct station *loop, double demand)
{
    double cost = demand;
    if (p.points) {
        double excess = excess_after(now - loop->idle_since);
        double cold = excess > loop->cold ? excess : loop->cold;
        cost = demand * (1.0 + cold);
        loop->cold = cold * p.memory / (p.memory + cost);
    }
    if (p.collect_every && ++loop->operations % p.collect_every == 0) {
        int64_t which = loop->operations / p.collect_every - 1;
        cost += draw(collections, COLLECTION, (int32_t)(loop - stations), (uint32_t)which);
    }
    loop->work_time += cost;
    return cost;
}

static double with_stalls(double cost) /* of an operation that begins now */
{
    while (first_stall < p.stalls && stall_ends[first_stall] <= now)
        first_stall++;
    double time = cost;
    for (int64_t i = first_stall; i < p.stalls && stall_starts[i] < now + time; i++)
        time += stall_ends[i] - (stall_starts[i] > now ? stall_starts[i] : now);
    return time;
}

/* -- the stations ----------------------------------------------------------------------------- */

static uint16_t station_of(int phase, int32_t place)
{
    if (phase == WRITE)
        return (uint16_t)p.loops;
    if (p.loops == 1)
        return 0;
    int32_t agent = phase == CONNECT ? place
                    : phase == SEND  ? target_of(place)
                                     : messages[place].sender;
    return (uint16_t)(agent % (int32_t)p.loops);
}

static void start_service(struct event job)
{
    struct station *station = &stations[job.station];
    double time = job.phase == CONNECT ? draw(tables[CONNECT], purposes[CONNECT], job.place, 0)
                                       : messages[job.place].costs[job.phase];
    if (job.station < p.loops)
        time = with_stalls(operation_cost(station, time));
    station->busy++;
    station->busy_time += now + time <= duration ? time : duration - now;
    job.time = now + time;
    job.order = scheduled++;
    add_service(job);
}

static void go_on(int phase, int32_t place);

static void begin(int phase, int32_t place)
{
    if (!takes_time[phase]) {
        go_on(phase, place);
        return;
    }
    struct event job = {.place = place, .phase = (uint16_t)phase};
    job.station = station_of(phase, place);
    struct station *station = &stations[job.station];
    if (station->busy < station->servers)
        start_service(job);
    else
        append(&station->line, job);
}

static void complete(void) /* the next service starts before the owner of this one goes on */
{
    struct event done = remove_service();
    struct station *station = &stations[done.station];
    station->busy--;
    station->idle_since = now;
    if (station->line.count)
        start_service(remove_first(&station->line));
    go_on(done.phase, done.place);
}

/* -- the way of a message --------------------------------------------------------------------- */

static void travel(struct ring *way, double delay, int phase, int32_t place) /* phase: after it */
{
    append(way, (struct event){now + delay, scheduled++, place, (uint16_t)phase, 0});
}

static void push(int32_t place) /* a stored message; its sender is answered after it was sent */
{
    int32_t target = target_of(place);
    int32_t last = mailboxes[target];
    if (last == CONNECTED) {
        begin(SEND, place);
        return;
    }
    messages[place].parked = 1;
    messages[place].next = last == NONE ? place : messages[last].next;
    if (last != NONE)
        messages[last].next = place;
    mailboxes[target] = place;
    begin(ACKNOWLEDGE, place);
}

static void open_connection(int32_t agent) /* and send what has waited for it */
{
    int32_t last = mailboxes[agent];
    mailboxes[agent] = CONNECTED;
    if (last == NONE)
        return;
    int32_t place, next = messages[last].next;
    do {
        place = next;
        next = messages[place].next;
        begin(SEND, place);
    } while (place != last);
}

static void go_on(int phase, int32_t place)
{
    switch (phase) {
    case PARSE: begin(VALIDATE, place); break;
    case VALIDATE: begin(WRITE_CPU, place); break;
    case WRITE_CPU: begin(WRITE, place); break;
    case WRITE:
        stored++;
        messages[place].stored = now;
        push(place);
        break;
    case SEND:
        sent++;
        if (!messages[place].parked) /* else its sender was answered before */
            begin(ACKNOWLEDGE, place);
        travel(&down, p.down, NONE, place);
        break;
    case ACKNOWLEDGE: release(place); break;
    case CONNECT: open_connection(place); break;
    }
}

static void arrive(void) /* at the server */
{
    struct event arrived = remove_first(&up);
    attempts += arrived.phase == CONNECT;
    begin(arrived.phase, arrived.place);
}

static void take_turn(int32_t agent) /* of a sender: it sends, or starts with its connection */
{
    if (senders[agent].sent == NOT_STARTED) {
        travel(&up, p.up, CONNECT, agent);
        plan_next(agent);
    } else { /* the message sets out when its sender has gone on */
        int32_t place = create(agent);
        plan_next(agent);
        travel(&up, p.up, PARSE, place);
    }
}

/* -- the run ---------------------------------------------------------------------------------- */

static void set_up(void)
{
    stations = calloc((size_t)p.loops + 1, sizeof *stations);
    for (int64_t i = 0; i <= p.loops; i++) {
        stations[i].servers = i < p.loops ? 1 : p.connections;
        stations[i].idle_since = -INFINITY; /* a loop begins as cold as it can be */
    }
    services = malloc((size_t)(p.loops + p.connections) * sizeof *services);
    mailboxes = malloc((size_t)agents * sizeof *mailboxes);
    memset(mailboxes, 0xFF, (size_t)agents * sizeof *mailboxes); /* NONE */
    plan_starts(p.mean_gap, p.start_over);
    scheduled += (uint64_t)agents; /* the other side of each starts with it, in the same event */
}

static inline int comes_before(const struct event *event, double *time, uint64_t *order)
{
    if (!before(event->time, event->order, *time, *order))
        return 0;
    *time = event->time;
    *order = event->order;
    return 1;
}

static void run(void)
{
    for (int32_t sender = next_sender();;) {
        enum { SENDER, SERVICE, UP, DOWN } what = SENDER;
        double time = senders[sender].time;
        uint64_t order = senders[sender].order;
        if (in_service && comes_before(&services[0], &time, &order))
            what = SERVICE;
        if (up.count && comes_before(first_of(&up), &time, &order))
            what = UP;
        if (down.count && comes_before(first_of(&down), &time, &order))
            what = DOWN;
        if (time >= duration)
            return;
        now = time;
        if (what == SERVICE) {
            complete();
        } else if (what == UP) {
            arrive();
        } else if (what == DOWN) {
            deliver(remove_first(&down).place);
        } else {
            take_turn(sender);
            sender = next_sender();
        }
    }
}

static void print(double seconds)
{
    print_latencies(created + delivered, seconds);
    printf(", \"attempts\": %" PRIu64 ", \"stored\": %" PRIu64 ", \"sent\": %" PRIu64
           ", \"scheduled\": %" PRIu64 ", \"to_store\": %.17g, \"from_store\": %.17g",
           attempts, stored, sent, scheduled, to_store, from_store);
    printf(", \"connections\": %" PRId64 ", \"busy\": %.17g, \"loops_busy\": [",
           p.connections, stations[p.loops].busy_time);
    for (int64_t i = 0; i < p.loops; i++)
        printf("%s%.17g", i ? ", " : "", stations[i].busy_time);
    printf("], \"loops_work\": [");
    for (int64_t i = 0; i < p.loops; i++)
        printf("%s%.17g", i ? ", " : "", stations[i].work_time);
    printf("]}\n");
}

static int reads(void *values, size_t size) { return fread(values, 1, size, stdin) == size; }

static int reads_list(double **values, int64_t count)
{
    size_t size = (size_t)count * sizeof **values;
    return (*values = malloc(size + 1)) && reads(*values, size);
}

static int has_parameters(void) /* and takes them */
{
    if (!reads(&p, sizeof p) || p.loops + p.connections > MOST_STATIONS)
        return 0;
    if (!reads(gaps, sizeof gaps) || !reads(tables, sizeof tables))
        return 0;
    for (int stage = 0; stage < STAGES; stage++)
        for (int i = 0; i < CELLS; i++)
            takes_time[stage] |= tables[stage][i].start != 0 || tables[stage][i].width != 0;
    return reads(collections, sizeof collections) && reads_list(&warmth_gaps, p.points) &&
           reads_list(&warmth_excess, p.points) && reads_list(&warmth_slopes, p.points) &&
           reads_list(&stall_starts, p.stalls) && reads_list(&stall_ends, p.stalls);
}

int main(int argc, char **argv)
{
    if (!has_arguments(argc, argv))
        return 2;
    if (!has_parameters()) {
        fprintf(stderr, "%s: no parameters, or more than %d servers\n", argv[0], MOST_STATIONS);
        return 2;
    }
    double start = clock_now();
    set_up();
    run();
    print(clock_now() - start);
    return 0;
}
