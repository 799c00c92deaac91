/* SPDX-License-Identifier: MIT */
/* Programs of the play, on threads of their own where they have to block. */
#include "lab/lab_internal.h"
#include "term/translate.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define INTERRUPT_SIGNAL SIGUSR2
#define INTERRUPT_AGAIN_NS NS_PER_MS
#define INTERRUPT_TRIES 2000

struct party *lab_party(struct lab *lab, const char *name, enum event_end end)
{
    struct party *party = calloc(1, sizeof *party);
    if (!party || lab->n_parties == PARTIES_MAX) {
        free(party);
        lab_give_up(lab, _("No room for another party."));
    }
    party->lab = lab;
    party->end = end;
    snprintf(party->name, sizeof party->name, "%s", name);
    pthread_mutex_lock(&lab->lock);
    lab->parties[lab->n_parties++] = party;
    pthread_mutex_unlock(&lab->lock);
    return party;
}

enum event_end party_end(const struct party *party)
{
    return party->end;
}

/* Does nothing: that a call was interrupted is all that is wanted. */
static void on_interrupt(int signal_number)
{
    (void)signal_number;
}

static void *run(void *data)
{
    struct party *party = data;
    pthread_mutex_lock(&party->lab->lock);
    party->tid = (pid_t)syscall(SYS_gettid);
    pthread_mutex_unlock(&party->lab->lock);
    return party->run(party, party->data);
}

void party_start(struct party *party, void *(*run_function)(struct party *party, void *data), void *data)
{
    struct sigaction action = {.sa_handler = on_interrupt}; /* without SA_RESTART */
    sigaction(INTERRUPT_SIGNAL, &action, NULL);
    party->run = run_function;
    party->data = data;
    int error = pthread_create(&party->thread, NULL, run, party);
    if (error != 0)
        lab_give_up(party->lab, _("A thread could not be started: %s"), sonde_strerror(-error));
    party->started = true;
}

void *party_join(struct party *party)
{
    void *result = NULL;
    if (!party->started)
        return NULL;
    pthread_join(party->thread, &result);
    party->started = false;
    return result;
}

int64_t party_blocked_ns(const struct party *party)
{
    int64_t since_ns = atomic_load(&party->inside_since_ns);
    if (since_ns == 0)
        return 0;
    int64_t ns = lab_now() - since_ns;
    return ns > 0 ? ns : 1;
}

/* Is the thread off the processor, waiting? Where that can't be seen, the time alone tells. */
static bool is_asleep(const struct party *party)
{
    char path[64], text[512];
    pthread_mutex_lock(&party->lab->lock);
    pid_t tid = party->tid;
    pthread_mutex_unlock(&party->lab->lock);
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", tid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return true;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n <= 0)
        return true;
    text[n] = '\0';
    const char *behind = strrchr(text, ')'); /* the name before may hold anything */
    return !behind || strlen(behind) < 3 || behind[2] == 'S';
}

bool party_until_blocked(const struct party *party, int64_t at_least_ns, int64_t within_ns)
{
    int64_t until_ns = lab_now() + within_ns;
    for (;;) {
        bool last = lab_now() >= until_ns;
        int64_t blocked_ns = party_blocked_ns(party);
        if (blocked_ns > 0 && blocked_ns >= at_least_ns && is_asleep(party))
            return true;
        if (last)
            return false;
        lab_sleep(200 * NS_PER_US);
    }
}

void party_interrupt(struct party *party)
{
    int64_t inside = atomic_load(&party->inside_since_ns);
    if (!party->started || inside == 0)
        return;
    atomic_store(&party->interrupting, true);
    /* A signal that comes just before the call begins interrupts nothing: again, until it has taken effect. */
    for (int i = 0;
         i < INTERRUPT_TRIES && atomic_load(&party->interrupting) && atomic_load(&party->inside_since_ns) == inside;
         i++) {
        pthread_kill(party->thread, INTERRUPT_SIGNAL);
        lab_sleep(INTERRUPT_AGAIN_NS);
    }
    atomic_store(&party->interrupting, false);
}
