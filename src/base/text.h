/* text - hexadecimal and base64, strict both ways (RFC 4648): decoders take the whole input or
 * nothing, know no white space, and refuse stray bits in the last character. Any thread. */
#ifndef RESTANTE_BASE_TEXT_H
#define RESTANTE_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Characters of the encodings of n bytes, without a NUL. */
#define HEX_LEN(n) ((n)*2)
#define BASE64_LEN(n) (((n) + 2) / 3 * 4)  /* with padding, RFC 4648 section 4 */
#define BASE64URL_LEN(n) (((n)*8 + 5) / 6) /* without padding, section 5 */

/* Write the encoding and a NUL; out has room for the length above plus one. */
void hex_encode(char *out, const uint8_t *in, size_t len);
void base64_encode(char *out, const uint8_t *in, size_t len);
void base64url_encode(char *out, const uint8_t *in, size_t len);

/* Decode text[0..n) into at most cap bytes and set *len. hex_decode takes both cases. On false
 * nothing is to be read from out. */
bool hex_decode(uint8_t *out, size_t cap, size_t *len, const char *text, size_t n);
bool base64_decode(uint8_t *out, size_t cap, size_t *len, const char *text, size_t n);
bool base64url_decode(uint8_t *out, size_t cap, size_t *len, const char *text, size_t n);

#endif
