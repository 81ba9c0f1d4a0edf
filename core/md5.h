/*
 * md5.h - the MD5 message digest, RFC 1321, for TCP-MD5 (RFC 2385) alone: nothing else here may
 * rest on it.
 *
 * Our own because the library that core may use (libsodium) does not have it.
 */
#ifndef STANDIN_CORE_MD5_H
#define STANDIN_CORE_MD5_H

#include <stddef.h>
#include <stdint.h>

#define MD5_LEN 16u

struct md5 {
    uint32_t state[4];
    uint64_t len; /* bytes so far */
    uint8_t block[64];
};

void md5_init(struct md5 *m);
void md5_add(struct md5 *m, const void *p, size_t n);
void md5_end(struct md5 *m, uint8_t out[MD5_LEN]);

#endif
