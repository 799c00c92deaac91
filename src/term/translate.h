/* SPDX-License-Identifier: MIT */
/* Sentences for people are whole format strings that pass through gettext: _() where they are shown, N_() in tables. */
#ifndef TERM_TRANSLATE_H
#define TERM_TRANSLATE_H

#include <libintl.h>

#define _(text) gettext(text)
#define N_(text) text

#endif
