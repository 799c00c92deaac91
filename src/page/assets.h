/* SPDX-License-Identifier: MIT */
/* What a browser loads: built from src/page/web by tools/embed, and part of the program. */
#ifndef PAGE_ASSETS_H
#define PAGE_ASSETS_H

#include <stddef.h>

struct page_asset {
    const char *path; /* "/", "/page.js" */
    const char *type; /* "text/html; charset=utf-8" */
    const unsigned char *data;
    size_t n_bytes;
};

/* Ends with path NULL. Nothing is in it where the program was built without Node.js. */
extern const struct page_asset page_assets[];

#endif
