/* thumbhash - about 25 bytes that show what a picture looks like before it is there: its shape, its
 * mean colour, and a few of its lowest frequencies. The format is ThumbHash of Evan Wallace
 * (evanw.github.io/thumbhash); any decoder of it shows ours. Any thread. */
#ifndef RESTANTE_PHOTO_THUMBHASH_H
#define RESTANTE_PHOTO_THUMBHASH_H

#include <stddef.h>
#include <stdint.h>

#define THUMBHASH_EDGE 100 /* pixels of the longest edge; more of them change nothing */
#define THUMBHASH_MAX 25   /* bytes */

/* Hashes width × height pixels, each 1 to THUMBHASH_EDGE: red, green, blue, alpha of 8 bits, not
 * premultiplied, sRGB, rows without gaps. Returns how many bytes of hash it is. */
size_t thumbhash_encode(uint8_t hash[static THUMBHASH_MAX], const uint8_t *rgba, uint32_t width,
			uint32_t height);

#endif
