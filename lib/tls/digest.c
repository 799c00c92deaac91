/* SPDX-License-Identifier: MIT */
#include "tls/digest.h"
#include "tls/openssl.h"

#include <errno.h>

int tls_sha1(const void *data, size_t n_bytes, uint8_t ret_digest[20])
{
    int error = tls_openssl_load(NULL);

    if (error < 0)
        return error;
    return EVP_Digest(data, n_bytes, ret_digest, NULL, EVP_sha1(), NULL) == 1 ? 0 : -ENOMEM;
}
