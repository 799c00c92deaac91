/* SPDX-License-Identifier: MIT */
/* The table of experiments: every claim and every system is there, and every description is whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lab/report.h"
#include "lab/systems.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define N_CLAIMS 67
#define N_SYSTEMS 23

static unsigned long number_of(const char *id, char letter)
{
    char *behind;
    assert_int_equal(id[0], letter);
    unsigned long number = strtoul(id + 1, &behind, 10);
    assert_true(*behind == '\0' || *behind == ' ');
    return number;
}

static void every_claim_is_checked(void **state)
{
    unsigned n_times[N_CLAIMS + 1] = {0};
    (void)state;
    for (size_t i = 0; experiments[i]; i++) {
        unsigned n = 0;
        for (const struct lab_claim *claim = experiments[i]->claims; claim->id; claim++, n++) {
            unsigned long number = number_of(claim->id, 'C');
            assert_in_range(number, 1, N_CLAIMS);
            n_times[number]++;
            assert_non_null(claim->claim);
            assert_true(strlen(claim->claim) > 10);
            assert_null(strchr(claim->claim, '\n'));
        }
        assert_in_range(n, 0, REPORT_CLAIMS_MAX);
    }
    for (unsigned i = 1; i <= N_CLAIMS; i++) {
        if (n_times[i] == 0)
            print_message("no experiment checks C%u\n", i);
        assert_true(n_times[i] > 0);
    }
}

static void every_system_is_run(void **state)
{
    bool by_experiment[N_SYSTEMS + 1] = {false}, listed[N_SYSTEMS + 1] = {false};
    (void)state;
    for (size_t i = 0; experiments[i]; i++) {
        for (const char *at = experiments[i]->systems; at && *at;) {
            char id[8] = "";
            size_t n = strcspn(at, " ");
            assert_in_range(n, 2, 3);
            memcpy(id, at, n);
            unsigned long number = number_of(id, 'S');
            assert_in_range(number, 1, N_SYSTEMS);
            by_experiment[number] = true;
            at += n + strspn(at + n, " ");
        }
    }
    for (const struct lab_system *system = lab_systems; system->id; system++) {
        unsigned long number = number_of(system->id, 'S');
        assert_in_range(number, 1, N_SYSTEMS);
        listed[number] = true;
        if (!system->run && !by_experiment[number] && !system->remark)
            print_message("%s is run by nothing\n", system->id);
        assert_true(system->run || by_experiment[number] || system->remark);
    }
    for (unsigned i = 1; i <= N_SYSTEMS; i++)
        assert_true(listed[i]);
}

static void names_are_plain_and_stand_once(void **state)
{
    int chapter = 0;
    (void)state;
    for (size_t i = 0; experiments[i]; i++) {
        for (const char *c = experiments[i]->name; *c; c++)
            assert_true(islower((unsigned char)*c) || isdigit((unsigned char)*c) || *c == '-');
        for (size_t other = 0; other < i; other++)
            assert_string_not_equal(experiments[i]->name, experiments[other]->name);
        assert_string_not_equal(experiments[i]->name, "all");
        /* By chapter, in the order of reading. */
        assert_in_range(experiments[i]->chapter, chapter, N_CHAPTERS - 1);
        chapter = (int)experiments[i]->chapter;
    }
    assert_int_equal(chapter, N_CHAPTERS - 1);
}

static void descriptions_are_whole(void **state)
{
    (void)state;
    for (size_t i = 0; experiments[i]; i++) {
        const struct experiment *experiment = experiments[i];
        print_message("%s\n", experiment->name);
        assert_non_null(experiment->title);
        assert_non_null(experiment->done);
        assert_non_null(experiment->question);
        assert_non_null(experiment->by_hand);
        assert_non_null(experiment->read);
        assert_non_null(experiment->run);
        assert_in_range(experiment->milliseconds, 1, 60000);
        /* Ends as a question ends; the choices stand behind it. */
        assert_int_equal(experiment->question[strlen(experiment->question) - 1], '?');
        for (size_t c = 0; experiment->choices && experiment->choices[c]; c++) {
            assert_int_equal(experiment->choices[c][0], 'a' + (int)c);
            assert_int_equal(experiment->choices[c][1], ')');
        }
        for (size_t s = 0; experiment->settings && experiment->settings[s]; s++)
            assert_non_null(strchr(experiment->settings[s], '.'));
    }
}

static void rows_are_sorted_by_claim(void **state)
{
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    (void)state;
    systems_markdown("| C10 | a |\n| C9 | b |\n| C10 | c |\n", out);
    fclose(out);
    assert_non_null(strstr(text, "| C9 | b |\n| C10 | a |\n| C10 | c |\n\n## Systems"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_claim_is_checked),         cmocka_unit_test(every_system_is_run),
        cmocka_unit_test(names_are_plain_and_stand_once), cmocka_unit_test(descriptions_are_whole),
        cmocka_unit_test(rows_are_sorted_by_claim),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
