/* SPDX-License-Identifier: MIT */
/*
 * Theory of operation
 *
 * The two families' addresses wait in two lists. The first attempt takes an IPv6 address if there is one, and every
 * further attempt the other family's next, as long as that has any. Addresses that come late simply stand in the lists
 * from then on.
 *
 * Two times are waited for. The Resolution Delay, before the first attempt only: IPv4 addresses are known, and whether
 * there are IPv6 ones is not. And the Connection Attempt Delay, after each attempt, unless that attempt has failed: an
 * older one's failure does not hurry the next, which would otherwise start beside one that is hardly on its way.
 */
#include "net/race.h"

#include <sys/socket.h>

enum { IPV6, IPV4 };

void race_init(struct race *race, int64_t delay_ns)
{
    *race = (struct race){.delay_ns = delay_ns, .last_family = -1, .wait_ns = INT64_MIN};
}

void race_add(struct race *race, const struct sonde_address *addresses, unsigned n, int64_t now_ns)
{
    for (unsigned i = 0; i < n; i++) {
        struct race_family *family = &race->families[addresses[i].family == AF_INET6 ? IPV6 : IPV4];
        if (family->n < SONDE_ATTEMPTS_MAX)
            family->list[family->n++] = addresses[i];
        else
            race->n_left_out++;
    }
    if (race->families[IPV4].n > 0 && race->wait_ns == INT64_MIN)
        race->wait_ns = now_ns + SONDE_RESOLUTION_DELAY_NS;
}

void race_complete(struct race *race)
{
    race->complete = true;
}

static bool has_more(const struct race *race, int family)
{
    return race->families[family].next < race->families[family].n;
}

/* The family whose turn it is; -1 when no address is left, or no place for another attempt. */
static int next_family(const struct race *race)
{
    int wanted = race->last_family == IPV6 ? IPV4 : IPV6;

    if (race->n_begun == SONDE_ATTEMPTS_MAX)
        return -1;
    if (has_more(race, wanted))
        return wanted;
    return has_more(race, !wanted) ? !wanted : -1;
}

/* How many addresses will never be tried, once there is no place for another attempt. */
static void leave_out_rest(struct race *race)
{
    for (int i = 0; i < 2; i++) {
        race->n_left_out += race->families[i].n - race->families[i].next;
        race->families[i].next = race->families[i].n;
    }
}

enum race_step race_next(struct race *race, int64_t now_ns, struct sonde_address *ret_address, int64_t *ret_until_ns)
{
    int family = next_family(race);
    int64_t until_ns = INT64_MAX;

    if (race->n_begun == SONDE_ATTEMPTS_MAX)
        leave_out_rest(race);
    if (family < 0) {
        if (race->n_running == 0 && (race->complete || race->n_begun == SONDE_ATTEMPTS_MAX))
            return RACE_LOST;
        *ret_until_ns = until_ns;
        return RACE_WAIT;
    }
    if (race->n_begun == 0 && family == IPV4 && !race->complete)
        until_ns = race->wait_ns;
    else if (race->last_runs)
        until_ns = race->next_ns;
    else
        until_ns = now_ns;
    if (until_ns > now_ns) {
        *ret_until_ns = until_ns;
        return RACE_WAIT;
    }
    *ret_address = race->families[family].list[race->families[family].next++];
    race->n_begun++;
    race->n_running++;
    race->last_family = family;
    race->last_runs = true;
    race->next_ns = race->delay_ns < INT64_MAX - now_ns ? now_ns + race->delay_ns : INT64_MAX;
    return RACE_BEGIN;
}

void race_failed(struct race *race, unsigned number)
{
    race->n_running--;
    if (number == race->n_begun - 1)
        race->last_runs = false;
}
