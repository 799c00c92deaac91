/* SPDX-License-Identifier: MIT */
/* What a report says in the same words wherever it is shown: verdicts, answers, settings. */
#include "lab/render.h"
#include "term/translate.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *const verdict_words[N_LAB_VERDICTS] = {
    N_("TRUE"),
    N_("FALSE"),
    N_("IT DEPENDS"),
    N_("NOT SHOWN HERE"),
};

const char *verdict_word(enum lab_verdict verdict)
{
    return verdict_words[verdict];
}

/* ---- the question's answer */

static const char *choice_of(const struct experiment *experiment, const char *answer)
{
    if (!experiment->choices || !isalpha((unsigned char)answer[0]) || (answer[1] != '\0' && answer[1] != ')'))
        return NULL;
    for (size_t i = 0; experiment->choices[i]; i++) {
        const char *choice = experiment->choices[i];
        if (tolower((unsigned char)choice[0]) == tolower((unsigned char)answer[0]) && choice[1] == ')')
            return choice + 2 + strspn(choice + 2, " ");
    }
    return NULL;
}

const char *answer_meaning(const struct experiment *experiment, const char *answer)
{
    const char *choice = choice_of(experiment, answer);
    return choice ? choice : answer;
}

static bool as_number(const char *text, double *ret_number)
{
    char digits[64];
    size_t n = 0;
    for (; *text && n < sizeof digits - 1; text++) {
        if (*text != ',' && *text != ' ')
            digits[n++] = *text;
    }
    digits[n] = '\0';
    char *behind;
    *ret_number = strtod(digits, &behind);
    return n > 0 && *behind == '\0';
}

static bool same_answer(const struct experiment *experiment, const char *one, const char *other)
{
    double a, b;
    one = answer_meaning(experiment, one);
    other = answer_meaning(experiment, other);
    if (as_number(one, &a) && as_number(other, &b))
        return a >= b && a <= b;
    return strcasecmp(one, other) == 0;
}

bool answer_text(const struct report *report, char *ret_text, size_t size_bytes)
{
    const struct experiment *experiment = report->experiment;
    if (!report->answer)
        return false;
    const char *measured = answer_meaning(experiment, report->answer);
    if (!report->prediction)
        snprintf(ret_text, size_bytes, _("The answer to the question: %s."), measured);
    else if (same_answer(experiment, report->prediction, report->answer))
        snprintf(ret_text, size_bytes, _("You said %s, and so it was."),
                 answer_meaning(experiment, report->prediction));
    else
        snprintf(ret_text, size_bytes, _("You said %s, measured %s."), answer_meaning(experiment, report->prediction),
                 measured);
    return true;
}

/* ---- settings */

const char *setting_short_name(const struct report_setting *setting)
{
    static const char *const prefixes[] = {"net.ipv4.", "net.core."};
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
        size_t n = strlen(prefixes[i]);
        if (strncmp(setting->name, prefixes[i], n) == 0)
            return setting->name + n;
    }
    return setting->name;
}

static void add_text(char *text, size_t size_bytes, const char *more)
{
    size_t n = strlen(text);
    snprintf(text + n, size_bytes - n, "%s", more);
}

const char *setting_value(const struct report_setting *setting, char *ret_text, size_t size_bytes)
{
    const char *a = setting->end[END_A], *b = setting->end[END_B], *machine = setting->machine;
    ret_text[0] = '\0';
    if (setting->n_set > 0) {
        for (unsigned i = 0; i < setting->n_set; i++) {
            if (i > 0)
                add_text(ret_text, size_bytes, i + 1 < setting->n_set ? ", " : _(" and "));
            add_text(ret_text, size_bytes, setting->set[i]);
        }
        add_text(ret_text, size_bytes, _(" here"));
    } else if (a && b && strcmp(a, b) != 0) {
        snprintf(ret_text, size_bytes, _("%s at the client, %s at the server"), a, b);
    } else {
        const char *value = b ? b : a ? a : machine;
        add_text(ret_text, size_bytes, !value ? _("cannot be read here") : value[0] ? value : _("is empty"));
    }
    const char *here = setting->n_set > 0 ? setting->n_set == 1 ? setting->set[0] : "" : b ? b : a;
    return machine && here && strcmp(machine, here) != 0 ? machine : NULL;
}
