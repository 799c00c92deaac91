/* SPDX-License-Identifier: MIT */
#include "service/service_internal.h"

#include <string.h>

const struct service *const services[] = {
    &service_echo,  &service_discard, &service_chargen, &service_daytime, &service_time,
    &service_greet, &service_hold,    &service_exec,    &service_talk,    NULL,
};

const struct service *service_find(const char *name)
{
    for (const struct service *const *row = services; *row != NULL; row++)
        if (strcmp((*row)->name, name) == 0)
            return *row;
    return NULL;
}
