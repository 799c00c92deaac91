/*
 * Runs a command and tells what it took: time, processor time, memory.
 *
 *     took SECONDS FILE COMMAND [ARGUMENT...]
 *
 * Standard output of the command goes to FILE. After so many seconds it is killed. Prints one line of JSON. A program
 * of its own because the peak of a child's memory counts from before its exec, and this one is small.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double seconds(const struct timeval *t)
{
    return (double)t->tv_sec + (double)t->tv_usec / 1e6;
}

/* Seconds it was ready to run while somebody else had the processor. It is a zombie by now, and can still be asked. */
static double waited(pid_t pid)
{
    char path[64];
    unsigned long long ran, delayed = 0;
    snprintf(path, sizeof path, "/proc/%d/schedstat", (int)pid);
    FILE *file = fopen(path, "re");
    if (!file)
        return 0;
    if (fscanf(file, "%llu %llu", &ran, &delayed) != 2)
        delayed = 0;
    fclose(file);
    return (double)delayed / 1e9;
}

static void run(const char *path, char **command)
{
    int in = open("/dev/null", O_RDONLY), out = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (in < 0 || out < 0 || dup2(in, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0) {
        fprintf(stderr, "took: %s: %s\n", path, strerror(errno));
        _exit(126);
    }
    close(in);
    close(out);
    execvp(command[0], command);
    fprintf(stderr, "took: %s: %s\n", command[0], strerror(errno));
    _exit(127);
}

int main(int argc, char **argv)
{
    double limit = argc > 3 ? atof(argv[1]) : 0;
    if (limit <= 0 || limit > 3600) {
        fprintf(stderr, "usage: took SECONDS FILE COMMAND [ARGUMENT...]\n");
        return 2;
    }
    double begin = now();
    pid_t pid = fork();
    if (pid == 0)
        run(argv[2], argv + 3);
    int end = pid < 0 ? -1 : (int)syscall(SYS_pidfd_open, pid, 0);
    if (end < 0) {
        fprintf(stderr, "took: %s\n", strerror(errno));
        return 1;
    }
    struct pollfd ended = {.fd = end, .events = POLLIN};
    bool late = poll(&ended, 1, (int)(limit * 1000)) <= 0;
    if (late)
        kill(pid, SIGKILL);
    siginfo_t info;
    waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT);
    double took = now() - begin, delayed = waited(pid);
    struct rusage usage;
    int status;
    if (wait4(pid, &status, 0, &usage) != pid)
        return 1;
    printf("{\"seconds\": %.6f, \"user\": %.6f, \"system\": %.6f, \"waited\": %.6f, \"peak_bytes\": %lld, "
           "\"status\": %d, \"late\": %s}\n",
           took, seconds(&usage.ru_utime), seconds(&usage.ru_stime), delayed, (long long)usage.ru_maxrss * 1024,
           WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), late ? "true" : "false");
    return 0;
}
