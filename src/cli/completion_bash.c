/* SPDX-License-Identifier: MIT */
/*
 * The script for bash. It needs nothing but bash, neither the package bash-completion nor sonde itself.
 *
 * Readline cuts words at the characters of COMP_WORDBREAKS, and : and = are among them: tcp://:7007 reaches a
 * completion function in pieces, and what it answers replaces the last piece only. So the script puts the pieces
 * together again where no blank stands between them, completes the whole word, and takes away from each answer what
 * stands before the last piece.
 */
#include "cli/completion_internal.h"
#include "service/service.h"

#include <sonde/url.h>

/* Sets `what` and `values` for an option that takes a value; each row of these tables becomes a pattern. */
static void write_names(const struct verb *verb, const struct option_row *row, FILE *out)
{
    char name[128];
    fputs("    ", out);
    if (row->letter != 0) {
        snprintf(name, sizeof name, "%s -%c", verb->name, row->letter);
        completion_quote(name, out);
    }
    if (row->letter != 0 && row->name)
        fputs(" | ", out);
    if (row->name) {
        snprintf(name, sizeof name, "%s --%s", verb->name, row->name);
        completion_quote(name, out);
    }
    fputs(") ", out);
}

static void write_value(const struct verb *verb, const struct option_row *row, FILE *out)
{
    char word[COMPLETION_WORD_MAX];
    enum completion_value value = completion_value(verb, row);
    if (value == VALUE_NONE)
        return;
    write_names(verb, row, out);
    if (value == VALUE_FILE)
        fputs("what=file ", out);
    else if (value == VALUE_CAPTURE)
        fputs("what=capture ", out);
    else if (value == VALUE_INTERFACE)
        fputs("what=interface ", out);
    else if (value == VALUE_PROXY)
        fputs("what=proxy ", out);
    if (completion_is_optional(row))
        fputs("tied=1 ", out);
    if (value == VALUE_WORDS) {
        fputs("values=(", out);
        for (unsigned i = 0; completion_word(row, i, word); i++) {
            fputs(i == 0 ? "" : " ", out);
            completion_quote(word, out);
        }
        fputs(") ", out);
    }
    fputs(";;\n", out);
}

static void write_values(const struct verb *const *list, FILE *out)
{
    fputs("# What comes after an option; fails when it takes no value.\n"
          "_sonde_value() # VERB OPTION\n"
          "{\n"
          "    what='' tied=0 values=()\n"
          "    case \"$1 $2\" in\n",
          out);
    for (const struct verb *const *verb = list; *verb; verb++) {
        for (const struct option_row *row = (*verb)->options; option_is_row(row); row++)
            write_value(*verb, row, out);
    }
    fputs("    *) return 1 ;;\n"
          "    esac\n"
          "}\n\n",
          out);
}

static void write_options(const struct verb *const *list, FILE *out)
{
    fputs("_sonde_options() # VERB\n"
          "{\n"
          "    case $1 in\n"
          "    '') words=('-h' '--help' '--version') ;;\n",
          out);
    for (const struct verb *const *verb = list; *verb; verb++) {
        fprintf(out, "    %s) words=('-h' '--help'", (*verb)->name);
        for (const struct option_row *row = (*verb)->options; option_is_row(row); row++) {
            if (row->kind == OPTION_REFUSED)
                continue;
            if (row->letter != 0)
                fprintf(out, " '-%c'", row->letter);
            if (row->name)
                fprintf(out, " '--%s'", row->name);
        }
        fputs(") ;;\n", out);
    }
    fputs("    *) words=() ;;\n"
          "    esac\n"
          "}\n\n",
          out);
}

static void write_service(const struct service *service, FILE *out)
{
    if (service->flags & SERVICE_TAKES_TEXT)
        fprintf(out, "    %s) takes=text ;;\n", service->name);
    else if (service->flags & SERVICE_TAKES_PROGRAM)
        fprintf(out, "    %s) takes=program ;;\n", service->name);
}

/* What the operands of each verb are. */
static void write_operands(const struct verb *const *list, FILE *out)
{
    const struct sonde_option_description *url_options = sonde_url_options();

    fputs("# What the operands of a verb are.\n"
          "_sonde_operands() # VERB SERVICE\n"
          "{\n"
          "    services=() first=() url=0 schemes=() url_options=() takes=''\n"
          "    case $1 in\n",
          out);
    for (const struct verb *const *verb = list; *verb; verb++) {
        fprintf(out, "    %s)\n", (*verb)->name);
        if (completion_takes_service(*verb)) {
            fputs("        services=(", out);
            for (const struct service *const *row = services; *row; row++)
                fprintf(out, "%s'%s'", row == services ? "" : " ", (*row)->name);
            fputs(")\n", out);
        }
        if (completion_takes_shell(*verb)) {
            fputs("        first=(", out);
            for (unsigned i = 0; completion_shells[i]; i++)
                fprintf(out, "%s'%s'", i == 0 ? "" : " ", completion_shells[i]);
            fputs(")\n", out);
        }
        if (completion_takes_url(*verb)) {
            const char *scheme;
            fputs("        schemes=(", out);
            for (unsigned i = 0; completion_scheme(*verb, i, &scheme); i++)
                fprintf(out, "%s'%s'", i == 0 ? "" : " ", scheme);
            fputs(")\n        url=1 url_options=(", out);
            for (int i = 0, n = 0; i < SONDE_N_OPTIONS; i++) {
                if (completion_url_option_fits(*verb, url_options[i].where))
                    fprintf(out, "%s'%s'", n++ == 0 ? "" : " ", url_options[i].name);
            }
            fputs(")\n", out);
        }
        fputs("        ;;\n", out);
    }
    fputs("    esac\n"
          "    case $2 in\n",
          out);
    for (const struct service *const *row = services; *row; row++)
        write_service(*row, out);
    fputs("    esac\n"
          "}\n\n",
          out);
}

static void write_verbs(const struct verb *const *list, FILE *out)
{
    fputs("_sonde_verbs=(", out);
    for (const struct verb *const *verb = list; *verb; verb++)
        fprintf(out, "%s'%s'", verb == list ? "" : " ", (*verb)->name);
    fputs(")\n_sonde_captures=(", out);
    for (unsigned i = 0; completion_captures[i]; i++)
        fprintf(out, "%s'%s'", i == 0 ? "" : " ", completion_captures[i]);
    fputs(")\n\n", out);
}

/* Answers go into COMPREPLY. `cut` is what readline keeps of the word, `head` what stands before the value in it. */
static const char finding[] =
    "# Offer those of the words that begin as VALUE does.\n"
    "_sonde_offer() # HEAD VALUE WORD...\n"
    "{\n"
    "    local head=$1 value=$2 word\n"
    "    for word in \"${@:3}\"; do\n"
    "        [[ $word == \"$value\"* ]] && _sonde_found+=(\"$head$word\")\n"
    "    done\n"
    "}\n"
    "\n"
    "_sonde_files() # HEAD VALUE [ENDING...]\n"
    "{\n"
    "    local head=$1 name ending\n"
    "    compopt -o filenames 2>/dev/null\n"
    "    if (($# == 2)); then\n"
    "        while IFS= read -r name; do _sonde_found+=(\"$head$name\"); done < <(compgen -f -- \"$2\")\n"
    "        return\n"
    "    fi\n"
    "    while IFS= read -r name; do _sonde_found+=(\"$head$name\"); done < <(compgen -d -- \"$2\")\n"
    "    for ending in \"${@:3}\"; do\n"
    "        while IFS= read -r name; do\n"
    "            [[ -d $name ]] || _sonde_found+=(\"$head$name\")\n"
    "        done < <(compgen -f -X \"!*.$ending\" -- \"$2\")\n"
    "    done\n"
    "}\n"
    "\n"
    "_sonde_url() # VALUE, with the lists that _sonde_operands has set\n"
    "{\n"
    "    case $1 in\n"
    "    *\\?*) _sonde_offer \"${1%\"${1##*[?&]}\"}\" \"${1##*[?&]}\" \"${url_options[@]/%/=}\" ;;\n"
    "    *unix:@* | unixgram:@* | seqpacket:@*) ;;\n"
    "    unix:* | *+unix:* | unixgram:* | seqpacket:*) _sonde_files \"${1%%:*}:\" \"${1#*:}\" ;;\n"
    "    *) _sonde_offer '' \"$1\" \"${schemes[@]}\" ;;\n"
    "    esac\n"
    "}\n"
    "\n"
    "_sonde_argument() # HEAD VALUE, for the option that _sonde_value was asked about\n"
    "{\n"
    "    local names=()\n"
    "    case $what in\n"
    "    file) _sonde_files \"$1\" \"$2\" ;;\n"
    "    capture) _sonde_files \"$1\" \"$2\" \"${_sonde_captures[@]}\" ;;\n"
    "    interface)\n"
    "        names=(/sys/class/net/*)\n"
    "        _sonde_offer \"$1\" \"$2\" any \"${names[@]##*/}\"\n"
    "        ;;\n"
    "    proxy) _sonde_offer \"$1\" \"$2\" 'socks5://' 'socks5h://' 'http://' ;;\n"
    "    *) _sonde_offer \"$1\" \"$2\" \"${values[@]}\" ;;\n"
    "    esac\n"
    "}\n"
    "\n";

/* Reads the words before the cursor. */
static const char reading[] =
    "# Put together what readline has cut apart: where no blank stands between two pieces, they are one word.\n"
    "_sonde_split() # sets `typed`\n"
    "{\n"
    "    local line=${COMP_LINE:0:COMP_POINT} rest word i\n"
    "    typed=()\n"
    "    for ((i = 0; i <= COMP_CWORD; i++)); do\n"
    "        rest=${line#\"${line%%[![:space:]]*}\"}\n"
    "        word=${COMP_WORDS[i]}\n"
    "        ((i == COMP_CWORD)) && word=$rest\n"
    "        if ((${#typed[@]} > 0)) && [[ $rest == \"$line\" ]]; then\n"
    "            typed[${#typed[@]} - 1]+=$word\n"
    "        else\n"
    "            typed+=(\"$word\")\n"
    "        fi\n"
    "        line=${rest#\"$word\"}\n"
    "    done\n"
    "}\n"
    "\n"
    "# Does this cluster of letters, as -vw, end in one whose value is the next word?\n"
    "_sonde_waits() # VERB -LETTERS\n"
    "{\n"
    "    local i\n"
    "    for ((i = 1; i < ${#2}; i++)); do\n"
    "        if _sonde_value \"$1\" \"-${2:i:1}\"; then\n"
    "            ((tied == 0 && i + 1 == ${#2}))\n"
    "            return\n"
    "        fi\n"
    "    done\n"
    "    return 1\n"
    "}\n"
    "\n"
    "# Walk over all words but the last. Sets `verb`, `operands`, and `state`: what the last word is.\n"
    "_sonde_walk()\n"
    "{\n"
    "    local i word\n"
    "    verb='' operands=() state=verb behind=0\n"
    "    for ((i = 1; i < ${#typed[@]} - 1; i++)); do\n"
    "        word=${typed[i]}\n"
    "        if [[ $state == value ]]; then\n"
    "            state=operand\n"
    "        elif [[ $state == verb ]]; then\n"
    "            verb=$word state=operand\n"
    "        elif [[ $state == behind ]]; then\n"
    "            ((behind += 1))\n"
    "        elif [[ $word == -- ]]; then\n"
    "            state=behind\n"
    "        elif [[ $word == --*=* ]]; then\n"
    "            [[ $word == --file=* ]] && has_file=1\n"
    "        elif [[ $word == --* ]]; then\n"
    "            [[ $word == --file ]] && has_file=1\n"
    "            _sonde_value \"$verb\" \"$word\" && ((tied == 0)) && state=value\n"
    "        elif [[ $word == -?* ]]; then\n"
    "            _sonde_waits \"$verb\" \"$word\" && state=value\n"
    "        else\n"
    "            operands+=(\"$word\")\n"
    "        fi\n"
    "    done\n"
    "}\n"
    "\n"
    "_sonde_operand() # VALUE\n"
    "{\n"
    "    local services first url schemes url_options takes n=${#operands[@]}\n"
    "    _sonde_operands \"$verb\" \"${operands[0]}\"\n"
    "    ((${#services[@]} > 0)) || takes=''\n"
    "    if [[ $state == behind && $takes == program ]]; then\n"
    "        compopt -o filenames 2>/dev/null\n"
    "        ((behind > 0)) && _sonde_files '' \"$1\" && return\n"
    "        while IFS= read -r name; do _sonde_found+=(\"$name\"); done < <(compgen -c -- \"$1\")\n"
    "    elif ((n == 0 && ${#services[@]} > 0)); then\n"
    "        _sonde_offer '' \"$1\" \"${services[@]}\"\n"
    "    elif ((n == 0 && ${#first[@]} > 0)); then\n"
    "        _sonde_offer '' \"$1\" \"${first[@]}\"\n"
    "    elif ((url == 1)) && ! [[ $takes == text && $n -eq 1 && $has_file -eq 0 ]]; then\n"
    "        _sonde_url \"$1\"\n"
    "    fi\n"
    "}\n"
    "\n";

static const char answering[] =
    "_sonde()\n"
    "{\n"
    "    local typed words verb operands state behind has_file=0 what tied values name i\n"
    "    local _sonde_found=()\n"
    "    COMPREPLY=()\n"
    "    _sonde_split\n"
    "    _sonde_walk\n"
    "    local current=${typed[${#typed[@]} - 1]} piece=$2 cut=''\n"
    "    case $current in [\\'\\\"]*) current=${current:1} ;; esac\n"
    "    [[ $current == *\"$piece\" ]] && cut=${current%\"$piece\"}\n"
    "\n"
    "    if [[ $state == value ]]; then\n"
    "        _sonde_argument '' \"$current\"\n"
    "    elif [[ $state == operand && $current == --*=* ]]; then\n"
    "        _sonde_value \"$verb\" \"${current%%=*}\" && _sonde_argument \"${current%%=*}=\" \"${current#*=}\"\n"
    "    elif [[ $state != behind && $current == -* ]]; then\n"
    "        _sonde_options \"$verb\"\n"
    "        _sonde_offer '' \"$current\" \"${words[@]}\"\n"
    "    elif [[ $state == verb ]]; then\n"
    "        _sonde_offer '' \"$current\" \"${_sonde_verbs[@]}\"\n"
    "    else\n"
    "        _sonde_operand \"$current\"\n"
    "    fi\n"
    "\n"
    "    # An answer that is to be gone on with gets no blank behind it.\n"
    "    if ((${#_sonde_found[@]} == 1)) && [[ ${_sonde_found[0]} == *[:/=] ]]; then\n"
    "        compopt -o nospace 2>/dev/null\n"
    "    fi\n"
    "    for ((i = 0; i < ${#_sonde_found[@]}; i++)); do\n"
    "        COMPREPLY+=(\"${_sonde_found[i]#\"$cut\"}\")\n"
    "    done\n"
    "}\n"
    "\n"
    "complete -F _sonde sonde\n";

void completion_bash(const struct verb *const *list, FILE *out)
{
    fputs("# Completion of sonde for bash, as `sonde completion bash` prints it.\n\n", out);
    write_verbs(list, out);
    write_options(list, out);
    write_values(list, out);
    write_operands(list, out);
    fputs(finding, out);
    fputs(reading, out);
    fputs(answering, out);
}
