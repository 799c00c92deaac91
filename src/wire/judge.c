/* SPDX-License-Identifier: MIT */
/*
 * What becomes of a packet.
 *
 * In this order: clauses that take it away (stop, drop, mtu), as they are written, the first that does so names the
 * reason; the lines (rate), one behind the other, each with its queue; the delays, all of them added up; reorder; at
 * the far end what changes or doubles it. What is taken away never waits in a queue.
 *
 * Order is kept behind the delays: nothing is due before what left before it. Packets that a delay or a rate for one
 * port alone treats otherwise have an order of their own: a lane for each such clause. What is reordered leaves its
 * lane for later, and nothing waits for it.
 */
#include "wire/judge_internal.h"

#include <stdlib.h>
#include <string.h>

#define N_LANES (1 + WIRE_RULES_MAX)

/* What a number by chance is for. */
enum purpose { FOR_SHARE, FOR_JITTER, FOR_BIT };

struct direction {
    struct wire_rules rules;
    uint32_t epoch;
    bool drops, delays, alters, has_lanes; /* are there such clauses? */
    struct rate rate[WIRE_RULES_MAX];      /* of the clause with the same index */
    int64_t last_due_ns[N_LANES];          /* 0: for all; i + 1: of clause i */
};

struct wire_judge {
    int64_t start_ns, t_ns;
    struct flows flows;
    struct direction direction[N_ENDS];
};

/* One packet before the judge. */
struct trial {
    struct direction *direction;
    const struct seen *seen;
    int64_t since_ns; /* the wire began */
    int64_t t_ns;     /* where it is by now */
    uint32_t n_bytes;
    struct wire_fate fate;
};

struct wire_judge *wire_judge_new(uint64_t seed, int64_t start_ns)
{
    struct wire_judge *judge = calloc(1, sizeof *judge);

    if (judge == NULL)
        return NULL;
    judge->start_ns = start_ns;
    judge->t_ns = INT64_MIN;
    if (!flows_init(&judge->flows, chance_mix(seed))) {
        free(judge);
        return NULL;
    }
    for (unsigned end = 0; end < N_ENDS; end++) {
        for (unsigned lane = 0; lane < N_LANES; lane++)
            judge->direction[end].last_due_ns[lane] = INT64_MIN;
    }
    return judge;
}

static void free_rates(struct direction *direction)
{
    for (unsigned i = 0; i < WIRE_RULES_MAX; i++)
        rate_free(&direction->rate[i]);
}

void wire_judge_free(struct wire_judge *judge)
{
    if (judge == NULL)
        return;
    for (unsigned end = 0; end < N_ENDS; end++)
        free_rates(&judge->direction[end]);
    flows_free(&judge->flows);
    free(judge);
}

/* What is under way is not overtaken by what comes under other rules. */
static void keep_order(struct direction *direction)
{
    int64_t latest = INT64_MIN;

    for (unsigned i = 0; i < N_LANES; i++) {
        if (direction->last_due_ns[i] > latest)
            latest = direction->last_due_ns[i];
    }
    for (unsigned i = 0; i < N_LANES; i++)
        direction->last_due_ns[i] = latest;
}

void wire_judge_set_rules(struct wire_judge *judge, enum event_end from, const struct wire_rules *rules)
{
    struct direction *direction = &judge->direction[from];

    free_rates(direction);
    keep_order(direction);
    direction->rules = *rules;
    if (direction->rules.n > WIRE_RULES_MAX)
        direction->rules.n = WIRE_RULES_MAX;
    direction->epoch++;
    direction->drops = direction->delays = direction->alters = direction->has_lanes = false;
    for (uint32_t i = 0; i < direction->rules.n; i++) {
        const struct wire_rule *rule = &direction->rules.rule[i];
        bool delays = rule->action == WIRE_DELAY || rule->action == WIRE_RATE;
        bool alters = rule->action == WIRE_DUPLICATE || rule->action == WIRE_REORDER || rule->action == WIRE_CORRUPT;
        direction->delays |= delays;
        direction->alters |= alters;
        direction->drops |= !delays && !alters;
        direction->has_lanes |= delays && rule->port != 0;
    }
}

uint64_t wire_judge_n_forgotten(const struct wire_judge *judge)
{
    return judge->flows.n_forgotten;
}

/* ---- which packets a clause is about */

static bool of_port(const struct seen *seen, uint16_t port)
{
    return port == 0 || seen->port[0] == port || seen->port[1] == port;
}

static bool in_force(const struct trial *trial, const struct wire_rule *rule)
{
    return trial->since_ns >= rule->from_ns && trial->since_ns < rule->to_ns && of_port(trial->seen, rule->port);
}

static uint64_t chance_of(const struct trial *trial, const struct wire_rule *rule, enum purpose purpose)
{
    uint64_t index = (uint64_t)(rule - trial->direction->rules.rule);
    return chance_add(trial->seen->chance, index << 8 | purpose);
}

static bool numbered(const struct wire_rule *rule, uint32_t number)
{
    uint64_t first = rule->first != 0 ? rule->first : rule->every;

    if (first == 0)
        return true;
    if (number < first || (rule->first != 0 && number > rule->last))
        return false;
    return rule->every == 0 || (number - first) % rule->every == 0;
}

static bool chosen(const struct trial *trial, const struct wire_rule *rule)
{
    const struct seen *seen = trial->seen;

    if (rule->kind >= N_WIRE_KINDS || !(seen->kinds & 1u << rule->kind) || !in_force(trial, rule))
        return false;
    if (!numbered(rule, seen->number[rule->kind]) || seen->copy[rule->kind] > rule->n_copies)
        return false;
    return !rule->by_share || chance_below(chance_of(trial, rule, FOR_SHARE), PPM_ALL) < rule->share_ppm;
}

/* ---- what clauses do */

static enum wire_reason take_away(struct trial *trial, const struct wire_rule *rule)
{
    switch ((enum wire_action)rule->action) {
    case WIRE_STOP:
        return in_force(trial, rule) ? WIRE_STOPPED : WIRE_PASSED;
    case WIRE_DROP:
        if (!chosen(trial, rule))
            return WIRE_PASSED;
        return rule->by_share ? WIRE_LOST : WIRE_DROPPED;
    case WIRE_MTU:
        if (trial->seen->ip_bytes <= rule->mtu_bytes || !in_force(trial, rule))
            return WIRE_PASSED;
        trial->fate.tell_mtu = trial->seen->tells;
        trial->fate.mtu_bytes = rule->mtu_bytes;
        return WIRE_TOO_LARGE;
    case WIRE_DELAY:
    case WIRE_DUPLICATE:
    case WIRE_REORDER:
    case WIRE_CORRUPT:
    case WIRE_RATE:
        break;
    }
    return WIRE_PASSED;
}

static enum wire_reason take_away_by_any(struct trial *trial)
{
    const struct wire_rules *rules = &trial->direction->rules;
    enum wire_reason reason = WIRE_PASSED;

    if (!trial->direction->drops || !trial->seen->is_ip)
        return WIRE_PASSED;
    for (uint32_t i = 0; i < rules->n && reason == WIRE_PASSED; i++)
        reason = take_away(trial, &rules->rule[i]);
    return reason;
}

/* The lines in turn. What is the link's own is sent, too, and is never refused. */
static enum wire_reason pass_lines(struct trial *trial)
{
    struct direction *direction = trial->direction;

    for (uint32_t i = 0; i < direction->rules.n; i++) {
        const struct wire_rule *rule = &direction->rules.rule[i];
        if (rule->action != WIRE_RATE || rule->bits_per_s == 0 || !in_force(trial, rule))
            continue;
        enum wire_reason reason = rate_judge(&direction->rate[i], rule, trial->t_ns, trial->n_bytes);
        if (reason != WIRE_PASSED && trial->seen->is_ip)
            return reason;
        trial->t_ns = rate_take(&direction->rate[i], rule, trial->t_ns, trial->n_bytes);
    }
    return WIRE_PASSED;
}

/* Evenly from -jitter to +jitter. */
static int64_t jitter_of(const struct trial *trial, const struct wire_rule *rule)
{
    if (rule->jitter_ns == 0 || !trial->seen->is_ip)
        return 0;
    uint64_t spread = 2 * (uint64_t)rule->jitter_ns + 1;
    return (int64_t)chance_below(chance_of(trial, rule, FOR_JITTER), spread) - rule->jitter_ns;
}

static void delay(struct trial *trial)
{
    const struct wire_rules *rules = &trial->direction->rules;

    for (uint32_t i = 0; i < rules->n; i++) {
        const struct wire_rule *rule = &rules->rule[i];
        if (rule->action == WIRE_DELAY && in_force(trial, rule))
            trial->t_ns += rule->delay_ns + jitter_of(trial, rule);
    }
}

static int64_t *lane_of(struct trial *trial)
{
    struct direction *direction = trial->direction;

    for (uint32_t i = 0; direction->has_lanes && i < direction->rules.n; i++) {
        const struct wire_rule *rule = &direction->rules.rule[i];
        bool delays = rule->action == WIRE_DELAY || rule->action == WIRE_RATE;
        if (delays && rule->port != 0 && of_port(trial->seen, rule->port))
            return &direction->last_due_ns[i + 1];
    }
    return &direction->last_due_ns[0];
}

static void corrupt(struct trial *trial, const struct wire_rule *rule)
{
    const struct seen *seen = trial->seen;

    if (seen->payload_to == seen->payload_from || trial->fate.corrupted)
        return;
    uint64_t bit = chance_below(chance_of(trial, rule, FOR_BIT), (uint64_t)(seen->payload_to - seen->payload_from) * 8);
    trial->fate.corrupted = true;
    trial->fate.corrupt_offset = seen->payload_from + (uint32_t)(bit / 8);
    trial->fate.corrupt_mask = (uint8_t)(1u << bit % 8);
}

/* Returns for how long it is held back. */
static int64_t alter(struct trial *trial)
{
    const struct wire_rules *rules = &trial->direction->rules;
    int64_t held_ns = 0;

    for (uint32_t i = 0; i < rules->n && trial->direction->alters && trial->seen->is_ip; i++) {
        const struct wire_rule *rule = &rules->rule[i];
        bool alters = rule->action == WIRE_REORDER || rule->action == WIRE_DUPLICATE || rule->action == WIRE_CORRUPT;
        if (!alters || !chosen(trial, rule))
            continue;
        if (rule->action == WIRE_REORDER) {
            trial->fate.reordered = true;
            held_ns += rule->delay_ns;
        } else if (rule->action == WIRE_DUPLICATE) {
            trial->fate.n_copies = WIRE_COPIES_MAX;
        } else {
            corrupt(trial, rule);
        }
    }
    return held_ns;
}

static void pass(struct trial *trial)
{
    struct wire_fate *fate = &trial->fate;
    int64_t *last_due_ns = lane_of(trial);

    fate->n_copies = 1;
    int64_t held_ns = alter(trial);
    if (trial->t_ns < *last_due_ns)
        trial->t_ns = *last_due_ns;
    *last_due_ns = trial->t_ns;
    for (unsigned i = 0; i < fate->n_copies; i++)
        fate->due_ns[i] = trial->t_ns + held_ns;
}

static void learn(const struct seen *seen)
{
    if (seen->acknowledges != NULL && seen->acked > seen->acknowledges->acked)
        seen->acknowledges->acked = seen->acked;
}

void wire_judge_packet(struct wire_judge *judge, enum event_end from, int64_t t_ns, const void *frame, size_t n_bytes,
                       struct wire_fate *ret_fate)
{
    struct direction *direction = &judge->direction[from];
    struct seen seen;

    if (t_ns < judge->t_ns)
        t_ns = judge->t_ns;
    judge->t_ns = t_ns;
    seen_packet(&judge->flows, from, direction->epoch, frame, n_bytes, &seen);
    struct trial trial = {
        .direction = direction,
        .seen = &seen,
        .since_ns = t_ns - judge->start_ns,
        .t_ns = t_ns,
        .n_bytes = (uint32_t)n_bytes,
    };
    enum wire_reason reason = take_away_by_any(&trial);
    if (reason == WIRE_PASSED && direction->delays) {
        reason = pass_lines(&trial);
        delay(&trial);
    }
    trial.fate.reason = (uint8_t)reason;
    if (reason == WIRE_PASSED) {
        pass(&trial);
        learn(&seen);
    }
    *ret_fate = trial.fate;
}
