/* paserk - keys of grants as text (PASERK, version 4): k4.public, k4.secret and k4.pid, the id of a
 * public key. Readers are strict: one spelling for each key. Pure functions; any thread, after
 * sodium_init(). */
#ifndef RESTANTE_WIRE_PASERK_H
#define RESTANTE_WIRE_PASERK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"

#define PASERK_PUBLIC_BYTES 32
#define PASERK_SECRET_BYTES 64 /* seed, public key */
#define PASERK_PID_BYTES 33

/* Room for the text and its NUL. */
#define PASERK_PUBLIC_SIZE (sizeof("k4.public.") + BASE64URL_LEN(PASERK_PUBLIC_BYTES))
#define PASERK_SECRET_SIZE (sizeof("k4.secret.") + BASE64URL_LEN(PASERK_SECRET_BYTES))
#define PASERK_PID_SIZE (sizeof("k4.pid.") + BASE64URL_LEN(PASERK_PID_BYTES))

/* Write the text and its NUL. */
void paserk_public(char out[static PASERK_PUBLIC_SIZE],
		   const uint8_t key[static PASERK_PUBLIC_BYTES]);
void paserk_secret(char out[static PASERK_SECRET_SIZE],
		   const uint8_t secret[static PASERK_SECRET_BYTES]);
void paserk_pid(char out[static PASERK_PID_SIZE], const uint8_t key[static PASERK_PUBLIC_BYTES]);

/* Read text[0..n). False, with nothing to be read from the key, if it is none: of another version
 * or type, spelled in another way, a public key that is no point of the curve (or one of small
 * order), a secret key whose two halves do not belong together. */
bool paserk_read_public(uint8_t key[static PASERK_PUBLIC_BYTES], const char *text, size_t n);
bool paserk_read_secret(uint8_t secret[static PASERK_SECRET_BYTES], const char *text, size_t n);

#endif
