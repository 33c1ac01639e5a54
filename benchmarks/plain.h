/* What polling.c and push.c have in common: draws, the calendar of the senders, and the latencies.
 *
 * It is all static, so that each program is compiled as one piece.
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
enum { BUCKETS = 4096, BUCKET_STEPS = 64, LOWEST = -31, BATCHES = 20 };
enum { START = 1, MESSAGE_GAP = 2 }; /* purposes of draws, as in lhsim/streams.py */
enum { NONE = -1, NOT_STARTED = -1 };

struct cell { double start, width; };
struct sender { double time; uint64_t order; int32_t next, sent; }; /* next in its slot */

static int32_t agents;
static double duration;
static uint64_t seed;

static double now;
static uint64_t scheduled; /* events so far: the next one's place in the order */
static struct cell gaps[CELLS];
static struct sender *senders;
static int32_t *wheel; /* first sender of each slot */
static uint64_t slots, tick;
static double ticks_per_second;

static uint64_t created, delivered, counts[BATCHES][BUCKETS];
static double sums[BATCHES], shortest = INFINITY, longest = -INFINITY;

/* -- draws ------------------------------------------------------------------------------------ */

static inline double uniform(uint32_t purpose, uint32_t entity, uint64_t index) /* Philox4x32-10 */
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

static inline double look_up(const struct cell *cells, double u)
{
    double scaled = u * BODY;
    int whole = (int)scaled;
    if (whole == 0)
        return look_up_tail(cells, scaled, 0);
    if (whole == BODY - 1)
        return look_up_tail(cells, ((1 - 0x1p-53) - u) * BODY, 1);
    const struct cell *cell = &cells[TAIL - 1 + whole];
    return cell->start + (scaled - whole) * cell->width;
}

static double draw(const struct cell *cells, uint32_t purpose, int32_t agent, uint32_t index)
{
    return look_up(cells, uniform(purpose, (uint32_t)agent, index));
}

/* -- the calendar of the senders -------------------------------------------------------------- */

/* A wheel of one sorted list per short interval of time, on average with about one agent in each. */

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

static void plan_next(int32_t agent) /* its turn has come: now it waits for its next message */
{
    struct sender *sender = &senders[agent];
    wheel[tick & (slots - 1)] = sender->next;
    plan(agent, now + draw(gaps, MESSAGE_GAP, agent, (uint32_t)++sender->sent));
}

static void plan_starts(double mean_gap, double start_over)
{
    senders = malloc((size_t)agents * sizeof *senders);
    for (slots = 1; slots < (uint64_t)agents; slots *= 2) {}
    ticks_per_second = agents / mean_gap; /* messages of all agents */
    wheel = malloc(slots * sizeof *wheel);
    memset(wheel, 0xFF, slots * sizeof *wheel); /* NONE */
    for (int32_t agent = 0; agent < agents; agent++) {
        senders[agent].sent = NOT_STARTED;
        plan(agent, start_over * uniform(START, (uint32_t)agent, 0));
    }
}

static inline int before(double time, uint64_t order, double other, uint64_t others_order)
{
    return time < other || (time == other && order < others_order);
}

/* -- what a run showed ------------------------------------------------------------------------ */

static void record(double sent_at, double latency)
{
    int exponent, bucket = 0, batch = (int)(sent_at / duration * BATCHES);
    double mantissa = frexp(latency, &exponent);
    if (latency >= 0x1p-31)
        bucket = (exponent - 1 - LOWEST) * BUCKET_STEPS + (int)((mantissa - 0.5) * 128);
    delivered++;
    counts[batch][bucket]++;
    sums[batch] += latency;
    shortest = latency < shortest ? latency : shortest;
    longest = latency > longest ? latency : longest;
}

static double clock_now(void) /* [s] */
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Prints the first part of the line of JSON, to which the program adds its own figures. */
static void print_latencies(uint64_t events, double seconds)
{
    uint64_t checksum = 0; /* of the histogram: each bucket times its number, modulo 2^64 */
    for (int i = 0; i < BATCHES * BUCKETS; i++)
        checksum += (uint64_t)i * counts[i / BUCKETS][i % BUCKETS];
    printf("{\"events\": %" PRIu64 ", \"seconds\": %.9f, \"latencies\": [", events, seconds);
    for (int batch = 0; batch < BATCHES; batch++)
        printf("%s%.17g", batch ? ", " : "", sums[batch]);
    printf("], \"created\": %" PRIu64 ", \"delivered\": %" PRIu64 ", \"histogram\": %" PRIu64
           ", \"shortest\": %.17g, \"longest\": %.17g",
           created, delivered, checksum, shortest, longest);
}

static int has_arguments(int argc, char **argv) /* and takes them */
{
    if (argc != 4 || (agents = (int32_t)atol(argv[1])) < 1 || !((duration = atof(argv[2])) > 0)) {
        fprintf(stderr, "usage: %s agents duration seed < parameters\n", argv[0]);
        return 0;
    }
    seed = strtoull(argv[3], NULL, 10);
    return 1;
}
