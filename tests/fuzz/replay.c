/* SPDX-License-Identifier: MIT */
/*
 * Replays a corpus: every file of the folders that are named goes once through LLVMFuzzerTestOneInput, so that what a
 * fuzzer once found is checked with any compiler and without libFuzzer. A single file may be named too.
 *
 * A folder without inputs is an error: a test that tests nothing must not pass.
 */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

static void quit(const char *what, const char *path)
{
    fprintf(stderr, "replay: %s: %s: %s\n", what, path, strerror(errno));
    exit(1);
}

static void replay_file(const char *path, off_t n_bytes)
{
    uint8_t *data = malloc(n_bytes > 0 ? (size_t)n_bytes : 1);
    FILE *file = fopen(path, "rb");

    if (data == NULL || file == NULL)
        quit("cannot open", path);
    if (fread(data, 1, (size_t)n_bytes, file) != (size_t)n_bytes)
        quit("cannot read", path);
    fclose(file);
    /* Said before it runs: when it crashes, this is the name to look for. */
    if (getenv("REPLAY_VERBOSE") != NULL)
        fprintf(stderr, "%s\n", path);
    LLVMFuzzerTestOneInput(data, (size_t)n_bytes);
    free(data);
}

/* Returns how many inputs there were. */
static unsigned long replay(const char *path)
{
    struct stat status;
    unsigned long n_inputs = 0;

    if (stat(path, &status) < 0)
        quit("cannot find", path);
    if (S_ISREG(status.st_mode)) {
        replay_file(path, status.st_size);
        return 1;
    }
    DIR *folder = opendir(path);
    if (folder == NULL)
        quit("cannot open", path);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char name[4096];
        if (entry->d_name[0] == '.')
            continue;
        if ((size_t)snprintf(name, sizeof name, "%s/%s", path, entry->d_name) >= sizeof name) {
            errno = ENAMETOOLONG;
            quit("cannot open", path);
        }
        if (stat(name, &status) < 0)
            quit("cannot find", name);
        if (!S_ISREG(status.st_mode))
            continue;
        replay_file(name, status.st_size);
        n_inputs++;
    }
    closedir(folder);
    return n_inputs;
}

int main(int argc, char **argv)
{
    unsigned long n_inputs = 0;

    for (int i = 1; i < argc; i++) {
        unsigned long n = replay(argv[i]);
        if (n == 0) {
            fprintf(stderr, "replay: no inputs in %s\n", argv[i]);
            return 1;
        }
        n_inputs += n;
    }
    if (argc < 2) {
        fprintf(stderr, "usage: %s FOLDER...\n", argv[0]);
        return 2;
    }
    printf("%lu inputs\n", n_inputs);
    return 0;
}
