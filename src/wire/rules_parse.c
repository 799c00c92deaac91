/* SPDX-License-Identifier: MIT */
/*
 * From text to rules. A clause begins with what is done and, for some, a value; then words come in any order, each at
 * most once, and each only with the actions that it has a meaning for.
 */
#include "wire/rules_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define N_ROWS(table) (sizeof(table) / sizeof((table)[0]))

#define BIT(action) (1u << (action))
#define CHOOSING (BIT(WIRE_DROP) | BIT(WIRE_DUPLICATE) | BIT(WIRE_REORDER) | BIT(WIRE_CORRUPT))
#define ALL_ACTIONS UINT32_MAX

/* What a clause has been given already. */
enum {
    HAS_SHARE = 1 << 0,
    HAS_KIND = 1 << 1,
    HAS_NUMBER = 1 << 2,
    HAS_EVERY = 1 << 3,
    HAS_COPIES = 1 << 4,
    HAS_BY = 1 << 5,
    HAS_FROM = 1 << 6,
    HAS_TO = 1 << 7,
    HAS_PORT = 1 << 8,
    HAS_JITTER = 1 << 9,
};

struct clause {
    struct scan scan;
    struct wire_rule rule;
    const struct verb *verb;
    unsigned given;
};

struct verb {
    char word[12];
    uint8_t action;
    bool (*read)(struct clause *clause); /* what has to come right behind it; NULL: nothing */
};

static bool give(struct clause *clause, unsigned what, const char *word)
{
    if (clause->given & what)
        return scan_refuse(&clause->scan, "%s is given twice", word);
    clause->given |= what;
    return true;
}

/* ---- what comes right behind the action */

static bool read_delay(struct clause *clause)
{
    return scan_duration(&clause->scan, DELAY_MAX_NS, &clause->rule.delay_ns);
}

static bool read_rate(struct clause *clause)
{
    return scan_rate(&clause->scan, &clause->rule.bits_per_s);
}

static bool read_mtu(struct clause *clause)
{
    struct scan *scan = &clause->scan;
    uint64_t bytes;
    char word[RULE_WORD_SIZE];

    if (!scan_count(scan, "the bytes of the largest IP packet", MTU_LEAST, MTU_MOST, &bytes))
        return false;
    clause->rule.mtu_bytes = (uint32_t)bytes;
    const char *before = scan->at;
    if (scan_word(scan, word) && !words_equal(word, "bytes") && !words_equal(word, "B"))
        scan->at = before;
    return true;
}

static const struct verb verbs[] = {
    {"delay", WIRE_DELAY, read_delay},   {"loss", WIRE_DROP, NULL},       {"drop", WIRE_DROP, NULL},
    {"duplicate", WIRE_DUPLICATE, NULL}, {"reorder", WIRE_REORDER, NULL}, {"corrupt", WIRE_CORRUPT, NULL},
    {"rate", WIRE_RATE, read_rate},      {"mtu", WIRE_MTU, read_mtu},     {"stop", WIRE_STOP, NULL},
};

static const struct verb *find_verb(const char *word)
{
    for (size_t i = 0; i < N_ROWS(verbs); i++) {
        if (words_equal(word, verbs[i].word))
            return &verbs[i];
    }
    return NULL;
}

/* ---- the words behind */

static bool read_jitter(struct clause *clause)
{
    return give(clause, HAS_JITTER, "jitter") && scan_duration(&clause->scan, DELAY_MAX_NS, &clause->rule.jitter_ns);
}

static bool take_kind(struct clause *clause, enum wire_kind kind)
{
    if (clause->given & HAS_KIND)
        return scan_refuse(&clause->scan, "a clause is about one kind of packets: write two clauses");
    clause->given |= HAS_KIND;
    clause->rule.kind = (uint8_t)kind;
    return true;
}

static bool read_of(struct clause *clause)
{
    char word[RULE_WORD_SIZE];
    enum wire_kind kind;

    if (!scan_word(&clause->scan, word) || !kind_find(word, &kind))
        return scan_refuse(&clause->scan,
                           "expected a kind behind of: any, data, ack, syn, syn-ack, fin, rst, udp or icmp");
    return take_kind(clause, kind);
}

static bool read_by(struct clause *clause)
{
    return give(clause, HAS_BY, "by") && scan_duration(&clause->scan, DELAY_MAX_NS, &clause->rule.delay_ns);
}

static bool read_from(struct clause *clause)
{
    return give(clause, HAS_FROM, "from") && scan_duration(&clause->scan, WINDOW_MAX_NS, &clause->rule.from_ns);
}

static bool read_to(struct clause *clause)
{
    return give(clause, HAS_TO, "to") && scan_duration(&clause->scan, WINDOW_MAX_NS, &clause->rule.to_ns);
}

static bool read_port(struct clause *clause)
{
    uint64_t port;

    if (!give(clause, HAS_PORT, "port") || !scan_count(&clause->scan, "a port", 1, UINT16_MAX, &port))
        return false;
    clause->rule.port = (uint16_t)port;
    return true;
}

static bool read_every(struct clause *clause)
{
    return give(clause, HAS_EVERY, "every") &&
           scan_count(&clause->scan, "a number behind every", 1, UINT32_MAX, &clause->rule.every);
}

static bool read_once(struct clause *clause)
{
    clause->rule.n_copies = 1;
    return give(clause, HAS_COPIES, "the number of copies");
}

static bool read_always(struct clause *clause)
{
    clause->rule.n_copies = WIRE_COPIES_ALL;
    return give(clause, HAS_COPIES, "the number of copies");
}

static bool read_queue(struct clause *clause)
{
    struct wire_rule *rule = &clause->rule, had = *rule;

    if (!scan_queue(&clause->scan, rule))
        return false;
    bool twice = (had.queue_bytes != 0 && rule->queue_bytes != had.queue_bytes) ||
                 (had.queue_ns != 0 && rule->queue_ns != had.queue_ns) ||
                 (had.queue_packets != 0 && rule->queue_packets != had.queue_packets);
    return !twice || scan_refuse(&clause->scan, "the same bound of the queue is given twice");
}

static const struct {
    char word[8];
    uint32_t actions;
    bool (*read)(struct clause *clause);
} words[] = {
    {"jitter", BIT(WIRE_DELAY), read_jitter}, {"of", CHOOSING, read_of},        {"by", BIT(WIRE_REORDER), read_by},
    {"every", CHOOSING, read_every},          {"once", CHOOSING, read_once},    {"always", CHOOSING, read_always},
    {"queue", BIT(WIRE_RATE), read_queue},    {"from", ALL_ACTIONS, read_from}, {"to", ALL_ACTIONS, read_to},
    {"port", ALL_ACTIONS, read_port},
};

static bool for_all_packets(struct clause *clause)
{
    return scan_refuse(&clause->scan,
                       "%s is for every packet: kinds, numbers and shares go with drop, duplicate, reorder and corrupt",
                       clause->verb->word);
}

/* "x2" */
static bool is_copies(const char *word)
{
    return (word[0] == 'x' || word[0] == 'X') && word[1] != '\0' && word[1 + strspn(word + 1, "0123456789")] == '\0';
}

static bool take_copies(struct clause *clause, const char *digits)
{
    struct scan number = {.at = digits, .end = digits + strlen(digits)};
    uint64_t n_copies;

    if (!action_chooses(clause->verb->action))
        return for_all_packets(clause);
    if (!scan_count(&number, "a number of copies", 1, WIRE_COPIES_ALL - 1, &n_copies))
        return scan_refuse(&clause->scan, "%s", number.detail);
    clause->rule.n_copies = (uint32_t)n_copies;
    return give(clause, HAS_COPIES, "the number of copies");
}

static bool read_word(struct clause *clause)
{
    char word[RULE_WORD_SIZE];
    enum wire_kind kind;

    if (!scan_word(&clause->scan, word))
        return scan_refuse(&clause->scan, "a word this long is not known");
    if (is_copies(word))
        return take_copies(clause, word + 1);
    for (size_t i = 0; i < N_ROWS(words); i++) {
        if (!words_equal(word, words[i].word))
            continue;
        if (words[i].actions & BIT(clause->verb->action))
            return words[i].read(clause);
        if (words[i].actions == CHOOSING)
            return for_all_packets(clause);
        return scan_refuse(&clause->scan, "%s does not go with %s", words[i].word, clause->verb->word);
    }
    if (kind_find(word, &kind))
        return action_chooses(clause->verb->action) ? take_kind(clause, kind) : for_all_packets(clause);
    if (find_verb(word) != NULL)
        return scan_refuse(&clause->scan, "%s begins a clause of its own: a comma goes before it", word);
    const char *near = near_word(word, NEAR_BEHIND);
    if (near != NULL)
        return scan_refuse(&clause->scan, "the word %s is not known; did you mean %s?", word, near);
    return scan_refuse(&clause->scan, "the word %s is not known", word);
}

/* Behind "#": "3", "3-5", "3-#5", "3-". */
static bool read_numbers(struct clause *clause)
{
    struct scan *scan = &clause->scan;
    struct wire_rule *rule = &clause->rule;

    if (!action_chooses(clause->verb->action))
        return for_all_packets(clause);
    if (!give(clause, HAS_NUMBER, "a number") ||
        !scan_count(scan, "the number of a packet", 1, UINT32_MAX - 1, &rule->first))
        return false;
    rule->last = rule->first;
    if (!scan_take(scan, "-"))
        return true;
    rule->last = UINT64_MAX;
    if ((scan_take(scan, "#") || scan_at_number(scan)) &&
        !scan_count(scan, "the number of the last packet", 1, UINT32_MAX - 1, &rule->last))
        return false;
    return rule->last >= rule->first || scan_refuse(scan, "the last number comes before the first");
}

static bool read_share(struct clause *clause)
{
    if (!action_chooses(clause->verb->action))
        return for_all_packets(clause);
    clause->rule.by_share = true;
    return give(clause, HAS_SHARE, "a share") && scan_share(&clause->scan, &clause->rule.share_ppm);
}

static bool read_item(struct clause *clause)
{
    struct scan *scan = &clause->scan;

    if (scan_take(scan, "#"))
        return read_numbers(clause);
    if (scan_take(scan, "\xc2\xb1") || scan_take(scan, "+-") || scan_take(scan, "+/-"))
        return clause->verb->action == WIRE_DELAY ? read_jitter(clause)
                                                  : scan_refuse(scan, "jitter does not go with %s", clause->verb->word);
    if (scan_at_number(scan) && action_chooses(clause->verb->action))
        return read_share(clause);
    if (scan_at_number(scan))
        return scan_refuse(scan, "a second value is not understood here");
    if (*scan->at == '-')
        return scan_refuse(scan, "it cannot be negative");
    if ((*scan->at | 0x20) < 'a' || (*scan->at | 0x20) > 'z')
        return scan_refuse(scan, "a word was expected, or a number such as #3");
    return read_word(clause);
}

static bool check_choice(struct clause *clause)
{
    const char *word = clause->verb->word;
    unsigned choosing = HAS_SHARE | HAS_KIND | HAS_NUMBER | HAS_EVERY;

    if (clause->verb == &verbs[1] && !(clause->given & HAS_SHARE))
        return scan_refuse(&clause->scan, "loss is by share: loss 1%%; by name it is drop: drop data #3");
    if (!(clause->given & choosing))
        return scan_refuse(&clause->scan, "%s which? %s 1%%, %s data #3 or %s any, say", word, word, word, word);
    if (clause->verb->action == WIRE_REORDER && !(clause->given & HAS_BY))
        return scan_refuse(&clause->scan, "reorder needs how long packets are held back: by 10ms, say");
    if (!(clause->given & HAS_COPIES))
        clause->rule.n_copies = clause->given & (HAS_NUMBER | HAS_EVERY) ? 1 : WIRE_COPIES_ALL;
    return true;
}

static bool check(struct clause *clause)
{
    struct wire_rule *rule = &clause->rule;

    if (rule->jitter_ns > rule->delay_ns)
        return scan_refuse(&clause->scan, "the jitter is larger than the delay");
    if (rule->to_ns <= rule->from_ns)
        return scan_refuse(&clause->scan, "it ends before it begins: from has to be earlier than to");
    if (rule->action == WIRE_RATE && rule->queue_bytes == 0 && rule->queue_ns == 0 && rule->queue_packets == 0)
        rule->queue_packets = QUEUE_PACKETS_DEFAULT;
    return !action_chooses(rule->action) || check_choice(clause);
}

static bool read_verb(struct clause *clause)
{
    char word[RULE_WORD_SIZE];

    if (!scan_word(&clause->scan, word))
        return scan_refuse(&clause->scan, "a clause begins with what is done: delay, loss, drop, duplicate, reorder, "
                                          "corrupt, rate, mtu or stop");
    clause->verb = find_verb(word);
    if (clause->verb != NULL) {
        clause->rule.action = clause->verb->action;
        return clause->verb->read == NULL || clause->verb->read(clause);
    }
    const char *near = near_word(word, NEAR_VERBS);
    if (near != NULL)
        return scan_refuse(&clause->scan, "%s is not something that is done to packets; did you mean %s?", word, near);
    return scan_refuse(&clause->scan,
                       "%s is not something that is done to packets: delay, loss, drop, duplicate, "
                       "reorder, corrupt, rate, mtu or stop",
                       word);
}

static bool read_clause(struct clause *clause)
{
    clause->rule.to_ns = INT64_MAX;
    if (!read_verb(clause))
        return false;
    while (scan_more(&clause->scan)) {
        if (!read_item(clause))
            return false;
    }
    return check(clause);
}

/* The clause as it was written, without what would disturb a line of text. */
static int refuse(struct sonde_why *ret_why, int code, const char *text, size_t n, const char *detail)
{
    if (ret_why == NULL)
        return code;
    memset(ret_why, 0, sizeof *ret_why);
    ret_why->code = code;
    ret_why->call = "parse";
    if (n >= sizeof ret_why->subject) {
        n = sizeof ret_why->subject - 1;
        /* Not in the middle of a character. */
        while (n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80)
            n--;
    }
    for (size_t i = 0; i < n; i++)
        ret_why->subject[i] = (unsigned char)text[i] < ' ' || text[i] == 0x7f ? ' ' : text[i];
    snprintf(ret_why->detail, sizeof ret_why->detail, "%s", detail);
    return code;
}

int wire_rules_parse(const char *text, struct wire_rules *rules, struct sonde_why *ret_why)
{
    struct wire_rules parsed = *rules;

    for (;;) {
        size_t n = strcspn(text, ",");
        struct clause clause = {.scan = {.at = text, .end = text + n}};
        if (scan_more(&clause.scan)) {
            const char *begin = clause.scan.at;
            if (parsed.n == WIRE_RULES_MAX)
                return refuse(ret_why, -E2BIG, begin, (size_t)(text + n - begin), "there are at most 32 clauses");
            if (!read_clause(&clause))
                return refuse(ret_why, -SONDE_EOPTION, begin, (size_t)(text + n - begin), clause.scan.detail);
            parsed.rule[parsed.n++] = clause.rule;
        }
        if (text[n] == '\0')
            break;
        text += n + 1;
    }
    *rules = parsed;
    return 0;
}
